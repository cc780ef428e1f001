"""Whatever is damaged in a file, reading it ends in a volume or in an InputError; a damaged stream never in others' HU.

Hypothesis draws the damage, always the same: bytes flipped, cut off, zeroed, doubled, and fields replaced.
"""

from __future__ import annotations

import gzip
import itertools
import shutil
import struct
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pydicom.uid as syntaxes
import pytest
import SimpleITK as sitk
from dicom_maker import ct_array, transcode, write_enhanced, write_series
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import dcmread, dcmwrite
from pydicom.dataset import FileDataset
from S2LDMLib.errors import InputError
from S2LDMLib.reading import read_volume

pytestmark = pytest.mark.slow

VALUES = ct_array((4, 12, 16))
WORDS = [
    b"", b"0", b"-1", b"1e39", b"nan", b"99999999999", b"1 1", b"3 3 3", b"x", b"(1,0,0) (0,1,0)", b"LIST", b"double",
    b"unsigned char", b"MET_DOUBLE", b"gzip", b"raw", b"True", b"false", b"none", b"%d 1 3 1", b"\xff\xfe", b"%s",
]  # fmt: skip
NUMBERS = [struct.pack(code, value) for code, value in (
    ("<h", 0), ("<h", -1), ("<h", 32767), ("<i", -1), ("<i", 1 << 30), ("<f", 0.0), ("<f", -1.0), ("<f", float("nan")),
    ("<f", float("inf")), ("<f", 1e38), ("<d", float("nan")), ("<h", 1), ("<h", 2), ("<h", 64), ("<h", 16),
)]  # fmt: skip

Field = tuple[int, int]  # first byte and length of a value
Damage = Callable[[bytes, list[Field]], bytes]


def at(place: float, length: int) -> int:
    return min(int(place * length), max(0, length - 1))


def flip(place: float, bits: int) -> Damage:
    def change(content: bytes, _: list[Field]) -> bytes:
        i = at(place, len(content))
        return content[:i] + bytes(byte ^ bits for byte in content[i : i + 1]) + content[i + 1 :]

    return change


def cut(place: float) -> Damage:
    return lambda content, _: content[: at(place, len(content))]


def drop(place: float, length: int) -> Damage:
    return lambda content, _: content[: at(place, len(content))] + content[at(place, len(content)) + length :]


def zero(place: float, length: int) -> Damage:
    def change(content: bytes, _: list[Field]) -> bytes:
        i = at(place, len(content))
        return content[:i] + bytes(min(length, len(content) - i)) + content[i + length :]

    return change


def double(place: float, length: int) -> Damage:
    def change(content: bytes, _: list[Field]) -> bytes:
        i = at(place, len(content))
        return content[: i + length] + content[i : i + length] + content[i + length :]

    return change


def replace(place: float, value: bytes, keeps_length: bool) -> Damage:
    def change(content: bytes, fields: list[Field]) -> bytes:
        start, length = fields[at(place, len(fields))] if fields else (at(place, len(content)), len(value))
        new = (value * (length // max(1, len(value)) + 1))[:length] if keeps_length else value
        return content[:start] + new + content[start + length :]

    return change


PLACES, LENGTHS = st.floats(0, 1), st.integers(1, 64)
STREAM = st.one_of(
    st.builds(flip, PLACES, st.integers(1, 255)),
    st.builds(cut, PLACES),
    *(st.builds(kind, PLACES, LENGTHS) for kind in (drop, zero, double)),
)
HEADER = st.one_of(
    STREAM,
    st.builds(replace, PLACES, st.sampled_from(WORDS), st.just(False)),
    st.builds(replace, PLACES, st.sampled_from([*NUMBERS, *WORDS[1:]]), st.just(True)),
    st.builds(replace, PLACES, st.binary(min_size=1, max_size=8), st.just(True)),
)
fuzzed = settings(
    max_examples=300, derandomize=True, database=None, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip


def outcome(path: Path) -> sitk.Image | None:
    """The volume, or None where it is refused in one line."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", RuntimeWarning)  # of numpy, about numbers that nobody checked
        try:
            return read_volume(path)
        except InputError as error:
            assert "\n" not in str(error)
            return None


# Single files ------------------------------------------------------------------------------------------------------

FILES = ["gz.nrrd", "raw.nrrd", "gz.nhdr", "gz.mha", "raw.mha", "gz.mhd", "raw.nii", "gz.nii.gz"]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("written")
    image = sitk.GetImageFromArray(VALUES)
    image.SetSpacing((1.5, 2, 5))
    for name in FILES:
        sitk.WriteImage(image, str(folder / name), useCompression=name.startswith("gz"))
    return folder


def text_fields(content: bytes, mark: bytes) -> Iterator[Field]:
    """The values of the lines of a header."""
    start = 0
    for line in content[:2000].split(b"\n"):
        if mark in line and line.isascii():
            value = line.index(mark) + len(mark)
            yield start + value, len(line) - value
        start += len(line) + 1


def fields_of(name: str, content: bytes) -> list[Field]:
    if "nii" in name:  # sizes, type, spacing, offset of the voxels, scale, codes, transforms
        shorts = (*range(40, 56, 2), 70, 72, 252, 254)
        floats = (0, *range(76, 92, 4), 108, 112, 116, *range(256, 328, 4), 344)
        return [*((start, 2) for start in shorts), *((start, 4) for start in floats)]
    return list(text_fields(content, b": " if name.endswith(("nrrd", "nhdr")) else b" = "))


@pytest.mark.parametrize("name", FILES)
@fuzzed
@given(damages=st.lists(HEADER, min_size=1, max_size=3))
def test_a_damaged_file_is_read_or_refused(written: Path, tmp_path: Path, name: str, damages: list[Damage]) -> None:
    content = (written / name).read_bytes()
    packed = name.endswith(".gz")
    content = gzip.decompress(content) if packed else content
    for other in written.glob("gz.*raw*"):
        shutil.copy(other, tmp_path)
    for damage in damages:
        content = damage(content, fields_of(name, content))
    (tmp_path / name).write_bytes(gzip.compress(content, 1) if packed else content)
    outcome(tmp_path / name)


@pytest.mark.parametrize("name", ["gz.nrrd", "gz.mha", "gz.nii.gz", "gz.raw.gz", "gz.zraw"])
@fuzzed
@given(damages=st.lists(STREAM, min_size=1, max_size=3))
def test_a_damaged_stream_is_refused_or_gives_the_same_voxels(
    written: Path, tmp_path: Path, name: str, damages: list[Damage]
) -> None:
    header = {"gz.raw.gz": "gz.nhdr", "gz.zraw": "gz.mhd"}.get(name, name)
    shutil.copy(written / header, tmp_path)
    content = (written / name).read_bytes()
    start = next((content.index(end) + len(end) for end in (b"\n\n", b"LOCAL\n") if end in content[:2000]), 0)
    stream = content[start:]
    for damage in damages:
        stream = damage(stream, [])
    (tmp_path / name).write_bytes(content[:start] + stream)
    image = outcome(tmp_path / header)
    assert image is None or np.array_equal(sitk.GetArrayFromImage(image), VALUES)


# DICOM -------------------------------------------------------------------------------------------------------------


UIDS = {"SeriesInstanceUID": "1.2.826.0.1.1", "StudyInstanceUID": "1.2.826.0.1.2", "SOPInstanceUID": "1.2.826.0.1.3.0"}


def numbered(index: int, slice_: FileDataset) -> FileDataset:
    """UIDs that are the same every time, so that the same damage is."""
    slice_.SOPInstanceUID = slice_.file_meta.MediaStorageSOPInstanceUID = f"1.2.826.0.1.3.{index + 1}"
    return slice_


def as_bare(path: Path) -> None:
    dataset = dcmread(path)
    del dataset.file_meta
    dataset.preamble = None
    dcmwrite(path, dataset, implicit_vr=True, little_endian=True)
    path.rename(path.with_suffix(""))


SERIES = {
    "plain": None,
    "bare": as_bare,
    "rle": lambda path: transcode(path, syntaxes.RLELossless),
    "jpeg": lambda path: transcode(path, syntaxes.JPEGLosslessSV1),
    "jpeg 2000": lambda path: transcode(path, syntaxes.JPEG2000Lossless),
    "deflated": lambda path: transcode(path, syntaxes.DeflatedExplicitVRLittleEndian),
    "frames": None,
}


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("series")
    stored = np.maximum(VALUES, -1024) + 1024
    for name, change in SERIES.items():
        tags = {"RescaleType": "HU", "PixelPaddingValue": -2000, "AcquisitionTime": "101500"}
        if name == "frames":
            write_enhanced(folder / name / "frames.dcm", stored, **UIDS)
            continue
        for path in write_series(folder / name, stored, numbered, **tags, **UIDS):
            if change:
                change(path)
    return folder


def element_fields(content: bytes) -> list[Field]:
    """The values of elements, found by their tags' first bytes where the order is as usual."""
    found = []
    for group in (b"\x02\x00", b"\x08\x00", b"\x18\x00", b"\x20\x00", b"\x28\x00", b"\xe0\x7f"):
        for i in range(0, min(len(content), 3000) - 12, 2):
            if content[i : i + 2] == group and content[i + 4 : i + 6].isalpha():
                found.append((i + 8, struct.unpack_from("<H", content, i + 6)[0]))
            elif content[i : i + 2] == group and content[i + 6 : i + 8] == b"\0\0":
                found.append((i + 8, struct.unpack_from("<H", content, i + 4)[0]))
    return [(start, length) for start, length in found if 0 < length < 100]


@pytest.mark.parametrize("name", SERIES)
@fuzzed
@given(damages=st.lists(HEADER, min_size=1, max_size=3), which=st.integers(0, 3))
def test_a_damaged_series_is_read_or_refused(
    series: Path, tmp_path: Path, name: str, damages: list[Damage], which: int
) -> None:
    shutil.copytree(series / name, tmp_path / name, dirs_exist_ok=True)
    files = sorted((tmp_path / name).iterdir())
    path = next(itertools.islice(itertools.cycle(files), which, None))
    content = path.read_bytes()
    for damage in damages:
        content = damage(content, element_fields(content))
    path.write_bytes(content)
    outcome(tmp_path / name)
