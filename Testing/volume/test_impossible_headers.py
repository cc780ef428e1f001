"""Headers on which ITK or GDCM end the whole process, or Python ends in another error: refused before they are read."""

from __future__ import annotations

import struct
from pathlib import Path

import pydicom.uid as syntaxes
import pytest
import SimpleITK as sitk
from dicom_maker import ct_array, ct_image, transcode, write_series
from refusals import refused

STORED = ct_array((3, 12, 16)) + 1024


@pytest.mark.parametrize("axes", [b"99999999999", b"1e39", b"2", b"11", b"-1"])
def test_a_metaimage_with_another_number_of_axes_than_sizes(tmp_path: Path, axes: bytes) -> None:
    file = tmp_path / "v.mha"
    sitk.WriteImage(ct_image((3, 4, 5)), str(file))
    file.write_bytes(file.read_bytes().replace(b"NDims = 3", b"NDims = " + axes))
    refused(file, "damaged")


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (108, struct.pack("<f", float("inf"))),  # where the voxels begin
        (108, struct.pack("<f", float("nan"))),
        (72, struct.pack("<h", 8)),  # bits of a voxel of 16
        (80, struct.pack("<f", float("inf"))),  # spacing
        (280, struct.pack("<f", float("nan"))),  # transform
        (268, struct.pack("<f", float("inf"))),  # position
    ],
)
@pytest.mark.filterwarnings("error")
def test_a_nifti_with_numbers_that_are_none(tmp_path: Path, at: int, value: bytes) -> None:
    file = tmp_path / "v.nii"
    sitk.WriteImage(ct_image((3, 4, 5)), str(file))
    content = bytearray(file.read_bytes())
    content[at : at + len(value)] = value
    file.write_bytes(content)
    refused(file, str(file))


def test_more_voxels_in_a_stream_than_the_header_says(tmp_path: Path) -> None:
    for name, told, less in (("v.nrrd", b"sizes: 5 4 3", b"sizes: 5 4 2"), ("v.mha", b"= 5 4 3", b"= 5 4 2")):
        sitk.WriteImage(ct_image((3, 4, 5)), str(tmp_path / name), useCompression=True)
        content = (tmp_path / name).read_bytes()
        assert told in content
        (tmp_path / name).write_bytes(content.replace(told, less))
        refused(tmp_path / name, "damaged")


@pytest.mark.parametrize(
    ("syntax", "start", "at"),
    [
        (syntaxes.JPEGLosslessSV1, b"\xff\xc3\x00\x0b", 4),  # bits
        (syntaxes.JPEGLosslessSV1, b"\xff\xc3\x00\x0b", 6),  # rows
        (syntaxes.JPEGLosslessSV1, b"\xff\xc3\x00\x0b", 9),  # components
        (syntaxes.JPEG2000Lossless, b"\xff\x4f\xff\x51", 8),  # columns
        (syntaxes.JPEG2000Lossless, b"\xff\x4f\xff\x51", 42),  # bits
    ],
)
def test_a_compressed_frame_that_is_not_what_the_header_says(
    tmp_path: Path, syntax: syntaxes.UID, start: bytes, at: int
) -> None:
    path = write_series(tmp_path, STORED)[1]
    transcode(path, syntax)
    content = bytearray(path.read_bytes())
    content[content.index(start) + at] = 121
    path.write_bytes(content)
    refused(tmp_path, str(path), "pixels are damaged")


@pytest.mark.parametrize("syntax", [syntaxes.JPEGLosslessSV1, syntaxes.JPEG2000Lossless])
def test_a_compressed_frame_whose_end_is_zeroed(tmp_path: Path, syntax: syntaxes.UID) -> None:
    path = write_series(tmp_path, STORED)[1]
    transcode(path, syntax)
    content = path.read_bytes()
    end = content.rindex(b"\xff\xd9") + 2
    path.write_bytes(content[: end - 100] + bytes(100) + content[end:])
    refused(tmp_path, str(path), "pixels are damaged")


@pytest.mark.parametrize("tags", [{"RescaleSlope": "1e39"}, {"RescaleIntercept": "-1e12"}])
def test_a_rescale_beyond_all_hu(tmp_path: Path, tags: dict[str, str]) -> None:
    write_series(tmp_path, STORED, **tags)
    refused(tmp_path, "rescale that gives no HU")


def test_two_transfer_syntaxes(tmp_path: Path) -> None:
    path = write_series(tmp_path, STORED)[1]
    path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.1008\\1.2.1.3"))
    refused(tmp_path, str(path), "damaged")
