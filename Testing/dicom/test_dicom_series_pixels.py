"""From stored pixels to HU: every compression, bit depth, rescale and padding gives the same values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pydicom.uid as syntaxes
import pytest
import SimpleITK as sitk
from dicom_maker import ct_array, transcode, write_enhanced, write_series
from pydicom import Dataset, dcmread
from refusals import refused
from S2LDMLib.dicom.reading.series import find_series
from S2LDMLib.reading import read_volume

STORED = np.maximum(ct_array(), -1024) + 1024
HU = STORED - 1024
PYDICOM_SAMPLES = Path(pydicom.__file__).parent / "data" / "test_files"  # made by other encoders than ours
SYNTAXES = [
    syntaxes.ImplicitVRLittleEndian,
    syntaxes.ExplicitVRBigEndian,
    syntaxes.DeflatedExplicitVRLittleEndian,
    syntaxes.RLELossless,
    syntaxes.JPEG2000Lossless,
    syntaxes.JPEGLosslessSV1,
]
every_syntax = pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.name.split("(")[0].strip())


def voxels(folder: Path) -> np.ndarray:
    return sitk.GetArrayFromImage(read_volume(folder))


def with_values(stored: np.ndarray, **tags: object):
    """An edit that stores other pixels, in their own type, with these tags."""

    def edit(index: int, slice_: Dataset) -> Dataset:
        slice_.BitsAllocated = slice_.BitsStored = 8 * stored.dtype.itemsize
        slice_.HighBit, slice_.PixelRepresentation = slice_.BitsStored - 1, int(stored.dtype.kind == "i")
        slice_.PixelData = stored[index].tobytes()
        for name, value in tags.items():
            setattr(slice_, name, value)
        if "PixelPaddingValue" in tags:
            tell_padding(slice_, tags["PixelPaddingValue"])
        return slice_

    return edit


def tell_padding(slice_: Dataset, value: int) -> None:
    """By its size, as scanners do: signed pixels with an unsigned padding value are common."""
    slice_.add_new("PixelPaddingValue", "SS" if value < 0 else "US", value)


# Compression -------------------------------------------------------------------------------------------------------


@every_syntax
def test_every_transfer_syntax_gives_the_same_hu(tmp_path, syntax):
    for path in write_series(tmp_path, STORED):
        transcode(path, syntax)
        assert dcmread(path).file_meta.TransferSyntaxUID == syntax
    assert np.array_equal(voxels(tmp_path), HU)


@every_syntax
def test_every_transfer_syntax_of_a_multi_frame_file_gives_the_same_hu(tmp_path, syntax):
    transcode(write_enhanced(tmp_path / "frames.dcm", STORED), syntax)
    assert np.array_equal(voxels(tmp_path), HU)


@every_syntax
def test_signed_pixels_below_zero_survive_every_transfer_syntax(tmp_path, syntax):
    for path in write_series(tmp_path, HU, RescaleIntercept=0):
        transcode(path, syntax)
    assert np.array_equal(voxels(tmp_path), HU)


@pytest.mark.parametrize(
    "sample",
    ["MR_small_implicit", "MR_small_bigendian", "MR_small_RLE", "MR_small_jp2klossless", "MR_small_jpeg_ls_lossless"],
)
def test_files_of_other_encoders_are_decoded_alike(tmp_path, sample):
    """Samples of pydicom; an MR made into a CT, as what is compared are the stored pixels."""
    expected = dcmread(PYDICOM_SAMPLES / "MR_small.dcm").pixel_array.astype(int) - 1000
    for number in range(2):
        dataset = dcmread(PYDICOM_SAMPLES / f"{sample}.dcm")
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = syntaxes.CTImageStorage
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.{number}"
        dataset.Modality, dataset.RescaleIntercept, dataset.RescaleSlope = "CT", -1000, 1
        dataset.ImagePositionPatient = [0, 0, 3 * number]
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        dataset.save_as(tmp_path / f"{number}.dcm")
    assert np.array_equal(voxels(tmp_path), [expected, expected])


@pytest.mark.parametrize("syntax", [syntaxes.RLELossless, syntaxes.JPEG2000Lossless, syntaxes.JPEGLosslessSV1])
@pytest.mark.parametrize("kept", [0.98, 0.6])
def test_truncated_compressed_slices_are_named(tmp_path, syntax, kept):
    paths = write_series(tmp_path, STORED)
    transcode(paths[3], syntax)
    data = paths[3].read_bytes()
    paths[3].write_bytes(data[: int(len(data) * kept)])
    refused(tmp_path, str(paths[3]), "truncated")


def test_truncated_deflated_slice_is_named(tmp_path):
    paths = write_series(tmp_path, STORED)
    transcode(paths[3], syntaxes.DeflatedExplicitVRLittleEndian)
    paths[3].write_bytes(paths[3].read_bytes()[:2000])
    refused(tmp_path, str(paths[3]), "truncated")


def test_garbage_in_compressed_pixels_is_named(tmp_path, capfd):
    paths = write_series(tmp_path, STORED)
    transcode(paths[3], syntaxes.JPEG2000Lossless)
    data = bytearray(paths[3].read_bytes())
    start = data.index(b"\xff\x4f\xff\x51")
    data[start : start + 60] = b"\x55" * 60
    paths[3].write_bytes(data)
    refused(tmp_path, str(paths[3]), "pixels are damaged", "JPEG 2000")
    assert capfd.readouterr() == ("", "")


# Rescale and bits --------------------------------------------------------------------------------------------------


def test_rescale_of_each_slice_is_applied(tmp_path):
    def edit(index, slice_):
        slice_.RescaleIntercept = -1024 - 10 * index
        return slice_

    write_series(tmp_path, STORED, edit)
    assert np.array_equal(voxels(tmp_path), HU - 10 * np.arange(len(STORED))[:, None, None])


def test_fractional_rescale_on_some_slices_is_not_truncated(tmp_path):
    def edit(index, slice_):
        slice_.RescaleSlope = 1 if index < 4 else 1.25
        return slice_

    write_series(tmp_path, STORED, edit)
    slope = np.where(np.arange(len(STORED)) < 4, 1, 1.25)[:, None, None]
    image = read_volume(tmp_path)
    assert image.GetPixelID() == sitk.sitkFloat32
    assert np.allclose(sitk.GetArrayFromImage(image), STORED * slope - 1024)


@pytest.mark.parametrize(
    ("dtype", "tags", "values"),
    [
        ("u2", {"BitsStored": 12, "HighBit": 11}, STORED),
        ("u2", {"BitsStored": 16, "HighBit": 15}, STORED),
        ("i2", {"BitsStored": 12, "HighBit": 11, "RescaleIntercept": 0}, HU),
        ("i4", {}, STORED),
        ("u1", {"RescaleSlope": 8, "RescaleIntercept": -1024}, STORED // 8),
    ],
    ids=["12 of 16 unsigned", "16 unsigned", "12 of 16 signed", "32", "8"],
)
def test_every_bit_depth_gives_hu(tmp_path, dtype, tags, values):
    write_series(tmp_path, STORED, with_values(values.astype(dtype), **tags))
    slope, intercept = tags.get("RescaleSlope", 1), tags.get("RescaleIntercept", -1024)
    assert np.array_equal(voxels(tmp_path), values.astype(int) * slope + intercept)


def test_overlays_in_unused_bits_are_no_pixels(tmp_path):
    stored = STORED.astype("u2") | np.where(np.arange(64) % 7 == 0, 0x8000, 0).astype("u2")
    write_series(tmp_path, STORED, with_values(stored, BitsStored=12, HighBit=11))
    assert np.array_equal(voxels(tmp_path), HU)


def test_pixels_in_the_upper_bits_are_shifted_down(tmp_path):
    write_series(tmp_path, STORED, with_values((STORED << 4).astype("u2"), BitsStored=12, HighBit=15))
    assert np.array_equal(voxels(tmp_path), HU)


def test_hu_beyond_int16_are_not_wrapped(tmp_path):
    write_series(tmp_path, STORED, with_values((STORED.astype(int) + 40000).astype("u2")))
    image = read_volume(tmp_path)
    assert image.GetPixelID() == sitk.sitkFloat32
    assert np.array_equal(sitk.GetArrayFromImage(image), HU.astype(int) + 40000)


# Padding -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "stored_padding", "tags"),
    [
        ("i2", -2000, {"PixelPaddingValue": -2000}),
        ("i2", -2000, {"PixelPaddingValue": 63536}),  # as an unsigned number, as GE does
        ("u2", 63536, {"PixelPaddingValue": 63536, "BitsStored": 12, "HighBit": 11}),
        ("u2", 4095, {"PixelPaddingValue": 4000, "PixelPaddingRangeLimit": 4095}),
        ("i2", -2000, {"PixelPaddingValue": -3000, "PixelPaddingRangeLimit": -1500}),
    ],
    ids=["negative", "told unsigned", "beyond the bits", "range above", "range below"],
)
def test_padding_becomes_air(tmp_path, dtype, stored_padding, tags):
    outside = np.hypot(*np.meshgrid(np.linspace(-1, 1, 64), np.linspace(-1, 1, 48))) > 1
    stored = np.where(outside, stored_padding, STORED).astype(dtype)
    write_series(tmp_path, STORED, with_values(stored, **tags))
    assert np.array_equal(voxels(tmp_path), np.where(outside, -1024, HU))


@pytest.mark.parametrize("syntax", [syntaxes.RLELossless, syntaxes.JPEG2000Lossless, syntaxes.ExplicitVRBigEndian])
def test_padding_becomes_air_in_compressed_slices_too(tmp_path, syntax):
    stored = STORED.copy()
    stored[:, :5] = -2000
    for path in write_series(tmp_path, stored, PixelPaddingValue=-2000):
        transcode(path, syntax)
    expected = HU.copy()
    expected[:, :5] = -1024
    assert np.array_equal(voxels(tmp_path), expected)


def test_series_of_mixed_compression_is_one_volume(tmp_path):
    for path, syntax in zip(write_series(tmp_path, STORED), SYNTAXES, strict=False):
        transcode(path, syntax)
    assert len({one.header.file_meta.TransferSyntaxUID for one in find_series(tmp_path).slices}) == 7
    assert np.array_equal(voxels(tmp_path), HU)
