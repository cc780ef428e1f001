"""The files of one command: none of them may be written over another, least of all over the input."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from ..errors import InputError


def check_distinct(inputs: Iterable[Path], outputs: Mapping[str, Path]) -> None:
    """Raises InputError where two names mean one file, by whatever spelling, link or hard link.

    Args:
        inputs: what is read.
        outputs: what is written, by the option that names it.
    """
    read, seen = list(inputs), dict[str, Path]()
    for option, path in outputs.items():
        if any(is_same_file(path, each) for each in read):
            raise InputError(f"{option} {path} is the input, which must not be changed. Give another file.")
        other = next((name for name, each in seen.items() if is_same_file(path, each)), None)
        if other:
            raise InputError(f"{option} {path} is {other} too. Give each output a file of its own.")
        seen[option] = path


def is_same_file(one: Path, other: Path) -> bool:
    """Whether two paths are one file; of files that are not there yet, whether they would be."""
    try:
        return os.path.samefile(one, other)
    except OSError:  # one of them is not there
        return _place(one) == _place(other)


def _place(path: Path) -> str:
    return os.path.normcase(os.path.realpath(path))
