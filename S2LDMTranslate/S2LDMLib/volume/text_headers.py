"""The text that an NRRD or a MetaImage file begins with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_LONGEST_LINE = 1 << 16


@dataclass(frozen=True)
class TextHeader:
    """A header.

    lines: as they stand in the file.
    fields: values by name; names in lower case and without blanks, since NRRD allows some with and without.
    end: byte at which it ends.
    """

    lines: list[str]
    fields: dict[str, str]
    end: int


def read_nrrd_header(path: Path) -> TextHeader:
    """The header of a ``.nrrd`` or ``.nhdr`` file, up to its empty line. Raises OSError."""
    return _read(path, ":", lambda line: not line.strip())


def read_metaimage_header(path: Path) -> TextHeader:
    """The header of an ``.mha`` or ``.mhd`` file, up to the line that says where the voxels are. Raises OSError."""
    return _read(path, "=", lambda line: line.lower().startswith("elementdatafile"))


def _read(path: Path, mark: str, is_last: Callable[[str], bool]) -> TextHeader:
    lines: list[str] = []
    with path.open("rb") as stream:
        while line := stream.readline(_LONGEST_LINE):
            lines.append(line.decode("utf-8", "replace").rstrip("\r\n"))
            if is_last(lines[-1]):
                break
        pairs = (line.partition(mark) for line in lines if mark in line and not line.startswith("#"))
        fields = {name.replace(" ", "").lower(): value.strip() for name, _, value in pairs}
        return TextHeader(lines, fields, stream.tell())
