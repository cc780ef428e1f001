"""Is all of a volume's voxel data there, and is it what was written? Asked before ITK reads it.

ITK reads an NRRD or MetaImage whose compressed data are damaged or end too early without an error, and leaves the rest
of the volume as it was in memory. Both formats carry what tells: a checksum of the compressed data (zlib, gzip, bzip2),
and a header from which their length follows.

Sources: NRRD definition, https://teem.sourceforge.net/nrrd/format.html; MetaIO documentation; RFC 1950 and 1952.
"""

from __future__ import annotations

import bz2
import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from .text_headers import read_metaimage_header, read_nrrd_header

_CHUNK = 1 << 20
_BYTES = {"char": 1, "int8": 1, "short": 2, "int16": 2, "int": 4, "int32": 4, "long": 4, "float": 4} | dict.fromkeys(
    ("longlong", "int64", "double"), 8
)
_MOST_AXES = 10  # of MetaIO
_AS_TEXT = ("ascii", "text", "txt", "hex")


class DamagedStreamError(Exception):
    """The voxel data are not all there, or not what was written."""


class Decompressor(Protocol):
    """Expands a stream piece by piece, as those of ``zlib`` and ``bz2`` do."""

    @property
    def eof(self) -> bool: ...

    def decompress(self, data: bytes, /) -> bytes: ...


def _inflater() -> Decompressor:
    return zlib.decompressobj(32 + zlib.MAX_WBITS)  # zlib or gzip, whichever the first bytes say


_DECOMPRESSORS: dict[str, Callable[[], Decompressor]] = {
    "gzip": _inflater, "gz": _inflater, "bzip2": bz2.BZ2Decompressor, "bz2": bz2.BZ2Decompressor,
}  # fmt: skip


@dataclass(frozen=True)
class _Data:
    """Voxel data of a volume: ``files``, one after another, each from byte ``start`` on; ``length`` bytes in all.

    new_decompressor: makes what expands them; None where they are stored as they are.
    """

    files: list[Path]
    start: int
    length: int
    new_decompressor: Callable[[], Decompressor] | None


def check_nrrd(path: Path) -> None:
    """Check the voxel data of a ``.nrrd`` or ``.nhdr`` file.

    Raises:
        DamagedStreamError: they are damaged or too short, or the header does not say what they are.
        OSError: a file cannot be read.
    """
    header = read_nrrd_header(path)
    fields = header.fields
    encoding, named = fields.get("encoding", "").lower(), fields.get("datafile", "")
    if encoding in _AS_TEXT or fields.get("lineskip", "0") != "0" or fields.get("byteskip", "0") != "0":
        return  # ITK counts numbers itself, and finds data that begin behind a foreign header
    if encoding != "raw" and encoding not in _DECOMPRESSORS:
        raise DamagedStreamError(f"its encoding {encoding!r} is unknown")
    length = math.prod(map(int, fields["sizes"].split())) * _bytes_of(fields["type"])
    files = _data_files(path, named, header.lines) if named else [path]
    _check(_Data(files, 0 if named else header.end, length, _DECOMPRESSORS.get(encoding)))


def check_metaimage(path: Path) -> None:
    """Check the voxel data of an ``.mha`` or ``.mhd`` file; errors as of :func:`check_nrrd`."""
    header = read_metaimage_header(path)
    fields = header.fields
    named, start = fields["elementdatafile"], int(fields.get("headersize", "0"))
    voxel = _bytes_of(fields["elementtype"].lower().removeprefix("met_").removesuffix("_array").replace("_", " "))
    size = list(map(int, fields["dimsize"].split()))
    if int(fields["ndims"]) != len(size) or len(size) > _MOST_AXES:  # or MetaIO would end the whole process
        raise DamagedStreamError(f"it has {len(size)} sizes for {fields['ndims']} axes")
    if fields.get("binarydata", "true").lower() == "false" or start < 0:
        return  # ITK counts numbers itself, and finds data that end with the file
    length = math.prod(size) * int(fields.get("elementnumberofchannels", "1")) * voxel
    is_local = named.upper() == "LOCAL"
    files = [path] if is_local else _data_files(path, named, path.read_text("utf-8", "replace").splitlines())
    compressed = fields.get("compresseddata", "false").lower() == "true"
    _check(_Data(files, header.end if is_local else start, length, _inflater if compressed else None))


def _data_files(header: Path, named: str, lines: list[str]) -> list[Path]:
    """The files that a detached header names: one, a list below it, or a pattern with first, last and step."""
    words = named.split()
    if words[0].upper() == "LIST":
        at = next(i for i, line in enumerate(lines) if "LIST" in line.upper().split())
        names = [line.strip() for line in lines[at + 1 :] if line.strip()]
    elif "%" in words[0] and len(words) >= 3:
        first, last, step = (int(word) for word in (*words[1:3], (words + ["1"] * 4)[3]))
        names = [words[0] % number for number in range(first, last + 1, step)]
    else:
        names = [named]
    return [header.parent / name for name in names]


def _bytes_of(kind: str) -> int:
    """Bytes of a voxel, of a type such as ``short``, ``unsigned short int``, ``uint16_t`` or ``float``."""
    name = kind.lower().removesuffix("_t").replace("unsigned", "").replace("signed", "").strip()
    short = name.removesuffix(" int").replace(" ", "").lstrip("u") or "int"
    if short not in _BYTES:
        raise DamagedStreamError(f"its type of voxel {kind!r} is unknown")
    return _BYTES[short]


def _check(data: _Data) -> None:
    held = 0
    for file in data.files:
        with file.open("rb") as stream:
            stream.seek(data.start)
            stored = max(0, file.stat().st_size - data.start)
            held += _expanded(stream, data.new_decompressor) if data.new_decompressor else stored
    # Behind plain voxels there may be something else; what a stream expands to is the volume and nothing more.
    if held < data.length or (data.new_decompressor and held > data.length):
        raise DamagedStreamError(f"it holds {held} of {data.length} bytes of voxels")


def _expanded(stream: BinaryIO, new_decompressor: Callable[[], Decompressor]) -> int:
    """Length of what a stream expands to, its checksum verified; what follows the stream is passed over."""
    decompressor, length = new_decompressor(), 0
    try:
        while not decompressor.eof and (chunk := stream.read(_CHUNK)):
            length += len(decompressor.decompress(chunk))
    except (zlib.error, OSError) as error:
        raise DamagedStreamError(str(error)) from error
    if not decompressor.eof:
        raise DamagedStreamError("its compressed data end too early")
    return length
