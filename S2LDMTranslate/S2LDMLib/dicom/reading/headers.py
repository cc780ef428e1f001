"""Reads everything of a DICOM file but its pixels, and sees from there whether the pixels are all there."""

from __future__ import annotations

import math
import os
import struct
import warnings
from collections.abc import Iterator, MutableSequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pydicom.uid as syntaxes
from pydicom import Dataset
from pydicom.filereader import read_partial
from pydicom.tag import BaseTag
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from ...errors import InputError
from .files import unreadable

_PIXEL_DATA = 0x7FE00010
_OTHER_PIXELS = (0x7FE00008, 0x7FE00009)  # of parametric maps, in floating point
_UNDEFINED = 0xFFFFFFFF
_ITEM, _END = 0xFFFEE000, 0xFFFEE0DD


@dataclass(frozen=True, eq=False)
class Header:
    """What a file holds before its pixels.

    dataset: all elements before them; the file meta group, with a transfer syntax always, is in its ``file_meta``.
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
    """Read a file up to its pixel data.

    Raises:
        InputError: the file cannot be read, or no DICOM object can be made out in it.
    """
    pixels = _PixelElement()
    try:
        with path.open("rb") as file, quiet_pydicom():
            dataset = read_partial(file, pixels.begin, force=True)
            meta = dataset.file_meta
            if "TransferSyntaxUID" not in meta:
                meta.TransferSyntaxUID = _implied_syntax(dataset)
            if not isinstance(meta.TransferSyntaxUID, syntaxes.UID):
                raise damaged(path)  # it names several
            complete = pixels.are_there and _are_complete(pixels, file, dataset)
    except Exception as error:  # pydicom raises anything on damaged files
        if isinstance(error, OSError) and error.strerror:
            raise unreadable(path, error) from error
        raise damaged(path) from error
    header = Header(path, dataset, pixels.are_there, complete)
    if not header.sop_class and "Rows" not in dataset:
        raise damaged(path)
    return header


def text(dataset: Dataset, keyword: str) -> str:
    """The value of a data set's element as one line, parts joined by a backslash; empty where there is none."""
    try:
        with quiet_pydicom():
            value = dataset.get(keyword)
    except Exception:  # pydicom raises anything on damaged elements
        return ""
    parts = value if isinstance(value, MutableSequence) else [value]
    return " ".join("\\".join("" if part is None else str(part) for part in parts).replace("\0", "").split())


def numbers(dataset: Dataset, keyword: str, count: int) -> np.ndarray | None:
    """An element's numbers, (count,) float64; None where it is absent, damaged, of another length or not finite."""
    try:
        with quiet_pydicom():
            value = dataset.get(keyword)
        values = np.atleast_1d(np.array([] if value is None else value, float))
    except Exception:  # pydicom raises anything on damaged elements
        return None
    return values if len(values) == count and np.isfinite(values).all() else None


def number(dataset: Dataset, keyword: str) -> float | None:
    """An element's one finite number; None where there is none."""
    values = numbers(dataset, keyword, 1)
    return None if values is None else float(values[0])


def damaged(path: Path) -> InputError:
    """The error of a file that cannot be read to its end."""
    return InputError(f"{path} is damaged, truncated or not DICOM. Copy or export the file anew.")


@contextmanager
def quiet_pydicom() -> Iterator[None]:
    """Silence warnings of values that break a rule: most of them do not matter here, and the others are refused."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@dataclass
class _PixelElement:
    """What the start of the pixel data says: their length in bytes, and how long this start itself is."""

    are_there: bool = False
    length: int = 0
    start: int = 8

    def begin(self, tag: BaseTag, vr: str | None, length: int) -> bool:
        """Whether an element is the one to stop before; notes it if it is."""
        if tag == _PIXEL_DATA:
            self.are_there, self.length, self.start = True, length, 12 if vr in EXPLICIT_VR_LENGTH_32 else 8
        return self.are_there or tag in _OTHER_PIXELS


def _implied_syntax(dataset: Dataset) -> syntaxes.UID:
    implicit, little = dataset.original_encoding
    if implicit:
        return syntaxes.ImplicitVRLittleEndian
    return syntaxes.ExplicitVRLittleEndian if little else syntaxes.ExplicitVRBigEndian


def _are_complete(pixels: _PixelElement, file: BinaryIO, dataset: Dataset) -> bool:
    """Whether a file, read up to its pixel data, holds all of them."""
    if dataset.file_meta.TransferSyntaxUID == syntaxes.DeflatedExplicitVRLittleEndian:
        return pixels.length >= _expected_bytes(dataset)  # it was inflated to its end, which a truncated file lacks
    file.seek(pixels.start, os.SEEK_CUR)
    if pixels.length == _UNDEFINED:
        return _fragments_end(file)
    held = os.fstat(file.fileno()).st_size - file.tell()
    return held >= pixels.length >= _expected_bytes(dataset)


def _fragments_end(file: BinaryIO) -> bool:
    """Steps over the fragments of compressed pixel data; False if the file ends within one."""
    size = os.fstat(file.fileno()).st_size
    fragments = 0
    while len(head := file.read(8)) == 8:
        group, element, length = struct.unpack("<HHL", head)
        tag = group << 16 | element
        if tag == _END:
            return True
        if tag != _ITEM or file.tell() + length > size:
            return False
        file.seek(length, os.SEEK_CUR)
        fragments += 1
    return not head and fragments > 1  # some writers leave the end mark out; the first item is a table of offsets


def _expected_bytes(dataset: Dataset) -> int:
    """How long uncompressed pixels are; 0 where the header does not tell."""
    parts = [number(dataset, name) or 0 for name in ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated")]
    return int(math.prod(parts) * (number(dataset, "NumberOfFrames") or 1)) // 8
