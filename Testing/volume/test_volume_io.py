"""Volumes in and out: what is read is right or refused with a reason, what is written is whole or absent."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_maker import ct_array, ct_image, hu
from refusals import refused
from S2LDMLib.errors import InputError
from S2LDMLib.reading import read_volume
from S2LDMLib.volume.files import check_output_path, write_volume


def oblique() -> sitk.Image:
    image = ct_image(spacing=(0.7123456, 0.7123456, 3.3))
    turn = sitk.Euler3DTransform((0, 0, 0), 0.2, -0.3, 0.1)
    image.SetDirection(turn.GetMatrix())
    image.SetOrigin((-123.456789, 45.678, -999.123))
    return image


# Files -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd"])
def test_every_input_format_is_read(tmp_path, suffix):
    path = tmp_path / f"ct{suffix}"
    sitk.WriteImage(ct_image(), str(path))
    assert np.array_equal(sitk.GetArrayFromImage(read_volume(path)), ct_array())


@pytest.mark.parametrize("kept", [0.99, 0.5, 0.02, 0.0])
@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
def test_truncated_files_are_refused_and_nothing_else_is_printed(tmp_path, capfd, suffix, compressed, kept):
    path = tmp_path / f"ct{suffix}"
    sitk.WriteImage(ct_image(), str(path), compressed)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    refused(path, str(path), "truncated")
    assert capfd.readouterr() == ("", "")


def test_damaged_gzip_with_its_full_length_is_refused(tmp_path):
    path = tmp_path / "ct.nii.gz"
    sitk.WriteImage(ct_image(), str(path))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    refused(path, "damaged")


def test_nifti_2_is_refused_with_a_way_out(tmp_path):
    path = tmp_path / "ct.nii"
    path.write_bytes((540).to_bytes(4, "little") + b"n+2\0\r\n\x1a\n" + bytes(600))
    refused(path, "NIfTI-2", "NIfTI-1 or .nrrd")


def test_sheared_nifti_is_refused(tmp_path):
    path = tmp_path / "ct.nii"
    sitk.WriteImage(ct_image(), str(path))
    data = bytearray(path.read_bytes())
    data[252:256] = np.array([0, 1], "<i2").tobytes()  # sform alone
    data[280:328] = np.array([[5, 0, 2, 0], [0, 5, 0, 0], [0, 0, 5, 0]], "<f4").tobytes()
    path.write_bytes(data)
    refused(path, "sheared", "Resample")


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (sitk.Image([8, 9], sitk.sitkInt16), "2 dimensions"),
        (sitk.Image([8, 9, 5, 2], sitk.sitkInt16), "4 dimensions"),
        (sitk.Image([8, 9, 5], sitk.sitkVectorInt16, 3), "3 values a voxel"),
    ],
    ids=["2D", "4D", "vector"],
)
@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd"])
def test_other_than_one_3d_scalar_volume_is_refused(tmp_path, image, words, suffix):
    path = tmp_path / f"ct{suffix}"
    sitk.WriteImage(image, str(path))
    refused(path, str(path), words)


def test_missing_file_unknown_format_and_pointless_series_are_refused(tmp_path):
    refused(tmp_path / "absent.nrrd", "does not exist")
    picture = tmp_path / "ct.png"
    picture.write_bytes(b"\x89PNG")
    refused(picture, "unknown format", ".nii.gz", "DICOM folder")
    write_volume(ct_image(), tmp_path / "ct.nrrd")
    refused(tmp_path / "ct.nrrd", "--series", "DICOM folder", series_uid="1.2")


# Writing -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("suffix", "direction_error", "origin_error"), [(".nii.gz", 1e-7, 1e-4), (".nrrd", 1e-15, 0), (".mha", 1e-15, 0)]
)
def test_oblique_volume_comes_back(tmp_path, suffix, direction_error, origin_error):
    path, image = tmp_path / f"out{suffix}", oblique()
    write_volume(image, path)
    back = read_volume(path)
    assert np.array_equal(hu(back), hu(image)) and back.GetPixelID() == sitk.sitkInt16
    assert np.abs(np.subtract(back.GetDirection(), image.GetDirection())).max() <= direction_error
    assert np.abs(np.subtract(back.GetOrigin(), image.GetOrigin())).max() <= origin_error
    assert np.allclose(back.GetSpacing(), image.GetSpacing(), rtol=0, atol=1e-7)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_same_volume_gives_the_same_bytes(tmp_path, suffix):
    digests = set()
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / f"{folder}{suffix}"
        write_volume(oblique(), path, metadata={"description": "SYNTHETIC", "phase": "arterial"})
        digests.add(hashlib.sha256(path.read_bytes()).hexdigest())
    assert len(digests) == 1
    if suffix == ".nii.gz":
        assert path.read_bytes()[3:8] == bytes(5)  # neither a file name nor a time in the gzip header


@pytest.mark.parametrize(("suffix", "key"), [(".nii.gz", "descrip"), (".nrrd", "description"), (".mha", "description")])
def test_header_says_synthetic_and_forgets_the_source(tmp_path, suffix, key):
    path, image = tmp_path / f"out{suffix}", ct_image()
    image.SetMetaData("ITK_FileNotes", "patient name")
    image.SetMetaData("0010|0010", "patient name")
    write_volume(image, path, metadata={"description": "SYNTHETIC arterial\nCT " + "x" * 90, "phase": "arterial"})
    back = read_volume(path)
    assert back.GetMetaData(key).startswith("SYNTHETIC arterial CT xx")
    data = gzip.decompress(path.read_bytes()) if suffix == ".nii.gz" else path.read_bytes()
    assert b"patient name" not in data
    assert image.GetMetaData("0010|0010") == "patient name"


def test_float_volume_is_rounded_and_clipped_to_int16(tmp_path):
    values = np.array([-40000.0, -0.6, 0.4, 99.5001, 40000.0], np.float32).reshape(1, 1, 5)
    write_volume(sitk.GetImageFromArray(values), tmp_path / "out.nrrd")
    back = sitk.GetArrayFromImage(read_volume(tmp_path / "out.nrrd")).ravel()
    assert back.tolist() == [-32768, -1, 0, 100, 32767]


def test_existing_file_is_kept_unless_overwrite(tmp_path):
    path = tmp_path / "out.nrrd"
    path.write_text("precious")
    with pytest.raises(InputError, match=r"exists.*--overwrite"):
        write_volume(ct_image(), path)
    assert path.read_text() == "precious"
    write_volume(ct_image(), path, overwrite=True)
    assert read_volume(path).GetSize() == (64, 48, 12)


def test_failed_write_keeps_the_old_file_and_leaves_nothing_behind(tmp_path, monkeypatch):
    path = tmp_path / "out.nii.gz"
    path.write_text("precious")

    def fail(image, name, **_):
        Path(name).write_text("half a volume")
        raise RuntimeError("disk full")

    monkeypatch.setattr(sitk, "WriteImage", fail)
    with pytest.raises(InputError, match="could not be written"):
        write_volume(ct_image(), path, overwrite=True)
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.nii.gz"]
    assert path.read_text() == "precious"


def test_unusable_output_paths_are_refused_before_any_work(tmp_path):
    for path, words in [
        (tmp_path / "out.txt", "no known ending"),
        (tmp_path / "absent" / "out.nrrd", "does not exist"),
        (tmp_path, "is a folder"),
    ]:
        with pytest.raises(InputError, match=words):
            check_output_path(path, overwrite=False)
    check_output_path(tmp_path / "OUT.NII.GZ", overwrite=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder where even root may not write")
def test_folder_without_write_permission_is_refused():
    with pytest.raises(InputError, match="not writable"):
        check_output_path("/proc/out.nrrd", overwrite=True)
