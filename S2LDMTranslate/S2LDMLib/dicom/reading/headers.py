"""Reads everything of a DICOM file but its pixels, and sees from there whether the pixels are all there."""

from __future__ import annotations

import os
import struct
import warnings
from collections.abc import Iterator, MutableSequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian

from ...errors import InputError
from .files import unreadable

_PIXEL_DATA = 0x7FE00010
_UNDEFINED = 0xFFFFFFFF
_ITEM, _END = 0xFFFEE000, 0xFFFEE0DD
_LONG_FORM = (b"OB", b"OW", b"OF", b"OD", b"UN")  # explicit VRs with a length of four bytes


@dataclass(frozen=True, eq=False)
class Header:
    """A file without its pixels.

    dataset: every other element; the file meta group, with a transfer syntax always, in its ``file_meta``.
    has_pixels: whether pixel data begin in the file.
    complete: whether they also end there.
    """

    path: Path
    dataset: Dataset
    has_pixels: bool
    complete: bool

    def text(self, keyword: str) -> str:
        """The value as one line, parts joined by a backslash; empty where there is none."""
        return text(self.dataset, keyword)

    @property
    def sop_class(self) -> str:
        """UID of the kind of object, empty where the file does not tell."""
        return self.text("SOPClassUID") or text(self.dataset.file_meta, "MediaStorageSOPClassUID")


def read_header(path: Path) -> Header:
    """Reads a file up to its pixel data.

    Raises:
        InputError: not readable, or no DICOM object can be made out in it.
    """
    try:
        with path.open("rb") as file, quiet_pydicom():
            dataset = dcmread(file, stop_before_pixels=True, force=True)
            meta = dataset.file_meta
            if "TransferSyntaxUID" not in meta:
                meta.TransferSyntaxUID = _implied_syntax(dataset)
            if meta.TransferSyntaxUID == DeflatedExplicitVRLittleEndian:
                has_pixels, complete = _inflated_pixels(path, dataset)
            else:
                has_pixels, complete = _pixels(file, dataset)
    except Exception as error:  # pydicom raises anything on damaged files
        if isinstance(error, OSError) and error.strerror:
            raise unreadable(path, error) from error
        raise damaged(path) from error
    header = Header(path, dataset, has_pixels, complete)
    if not header.sop_class and "Rows" not in dataset:
        raise damaged(path)
    return header


def text(dataset: Dataset, keyword: str) -> str:
    """The value of a data set's element as one line, parts joined by a backslash; empty where there is none."""
    try:
        with quiet_pydicom():
            value = dataset.get(keyword)
    except Exception:  # as above
        return ""
    parts = value if isinstance(value, MutableSequence) else [value]
    return " ".join("\\".join("" if part is None else str(part) for part in parts).replace("\0", "").split())


def numbers(dataset: Dataset, keyword: str, count: int) -> np.ndarray | None:
    """(count,) float64; None where the element is absent, damaged, of another length or not finite."""
    try:
        with quiet_pydicom():
            value = dataset.get(keyword)
        values = np.atleast_1d(np.array([] if value is None else value, float))
    except Exception:  # as above
        return None
    return values if len(values) == count and np.isfinite(values).all() else None


def number(dataset: Dataset, keyword: str) -> float | None:
    """One finite number; None where there is none."""
    values = numbers(dataset, keyword, 1)
    return None if values is None else float(values[0])


def damaged(path: Path) -> InputError:
    """The error of a file that cannot be read to its end."""
    return InputError(f"{path} is damaged, truncated or not DICOM. Copy or export the file anew.")


@contextmanager
def quiet_pydicom() -> Iterator[None]:
    """No warnings of values that break a rule: most of them do not matter here, and the others are refused."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _implied_syntax(dataset: Dataset) -> str:
    implicit, little = dataset.original_encoding
    return "1.2.840.10008.1.2" if implicit else "1.2.840.10008.1.2.1" if little else "1.2.840.10008.1.2.2"


def _inflated_pixels(path: Path, dataset: Dataset) -> tuple[bool, bool]:
    """A deflated file has no pixels to skip to, so it is inflated once more."""
    whole = dcmread(path)
    if "PixelData" not in whole:
        return False, False
    return True, len(whole.PixelData) >= _expected_bytes(dataset)


def _pixels(file: BinaryIO, dataset: Dataset) -> tuple[bool, bool]:
    """Whether pixel data start where the header ended, and whether the file holds all of them."""
    implicit, little = dataset.original_encoding
    order = "<" if little else ">"
    head = file.read(8)
    if len(head) < 8 or _tag(head, order) != _PIXEL_DATA:
        return False, False
    if implicit:
        (length,) = struct.unpack(order + "L", head[4:])
    elif head[4:6] in _LONG_FORM:
        (length,) = struct.unpack(order + "L", file.read(4))
    else:
        (length,) = struct.unpack(order + "H", head[6:])
    if length == _UNDEFINED:
        return True, _fragments_end(file)
    held = os.fstat(file.fileno()).st_size - file.tell()
    return True, held >= length >= _expected_bytes(dataset)


def _fragments_end(file: BinaryIO) -> bool:
    """Steps over the fragments of compressed pixel data; False if the file ends within one."""
    size = os.fstat(file.fileno()).st_size
    fragments = 0
    while len(head := file.read(8)) == 8:
        tag, (length,) = _tag(head, "<"), struct.unpack("<L", head[4:])
        if tag == _END:
            return True
        if tag != _ITEM or file.tell() + length > size:
            return False
        file.seek(length, os.SEEK_CUR)
        fragments += 1
    return not head and fragments > 1  # some writers leave the end mark out; the first item is a table of offsets


def _tag(head: bytes, order: str) -> int:
    group, element = struct.unpack(order + "HH", head[:4])
    return group << 16 | element


def _expected_bytes(dataset: Dataset) -> int:
    """Of uncompressed pixels; 0 where the header does not tell."""
    parts = [number(dataset, name) for name in ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated")]
    if None in parts:
        return 0
    frames = number(dataset, "NumberOfFrames") or 1
    return int(np.prod(parts) * frames) // 8
