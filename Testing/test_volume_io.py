"""Volumes in and out: what is read is right or refused with a reason, what is written is whole or absent."""

from __future__ import annotations

import gzip
import hashlib
import zipfile
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_maker import ct_array, ct_image, write_series
from pydicom.uid import MRImageStorage, generate_uid
from S2LDMLib.errors import InputError
from S2LDMLib.volume_io import check_output_path, read_volume, write_volume

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
STORED = ct_array() + 1024


def shared(name: str) -> Path:
    path = SHARED_DATA / name
    if not path.exists():
        pytest.skip(f"shared data absent: {path}")
    return path


def refused(path: Path, *words: str, series_uid: str | None = None) -> str:
    """Asserts one line of reason that holds every word."""
    with pytest.raises(InputError) as caught:
        read_volume(path, series_uid)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message, message
    return message


def oblique() -> sitk.Image:
    image = ct_image(spacing=(0.7123456, 0.7123456, 3.3))
    turn = sitk.Euler3DTransform((0, 0, 0), 0.2, -0.3, 0.1)
    image.SetDirection(turn.GetMatrix())
    image.SetOrigin((-123.456789, 45.678, -999.123))
    return image


# DICOM -------------------------------------------------------------------------------------------------------------


def test_series_is_read_in_hu_sorted_by_position_with_its_geometry(tmp_path):
    write_series(tmp_path, STORED)
    (tmp_path / "notes.txt").write_text("not an image")
    image = read_volume(tmp_path)
    assert np.array_equal(sitk.GetArrayFromImage(image), ct_array())
    assert image.GetPixelID() == sitk.sitkInt16
    assert image.GetSpacing() == (1.5, 2.0, 5.0)
    assert image.GetOrigin() == (-40.0, -50.0, 100.0)
    assert np.allclose(image.GetDirection(), np.eye(3).ravel())


def test_feet_to_head_reversed_rows_give_a_right_handed_volume(tmp_path):
    write_series(tmp_path, STORED, ImageOrientationPatient=[-1, 0, 0, 0, 1, 0])
    image = read_volume(tmp_path)
    assert np.linalg.det(np.reshape(image.GetDirection(), (3, 3))) == pytest.approx(1)
    assert np.array_equal(sitk.GetArrayFromImage(image), ct_array()[::-1])
    assert image.GetOrigin()[2] == 155.0


def test_rescale_of_each_slice_is_applied(tmp_path):
    def edit(index, slice_):
        slice_.RescaleIntercept = -1024 - 10 * index
        return slice_

    write_series(tmp_path, STORED, edit)
    expected = ct_array() - 10 * np.arange(len(STORED))[:, None, None]
    assert np.array_equal(sitk.GetArrayFromImage(read_volume(tmp_path)), expected)


def test_fractional_rescale_on_some_slices_is_not_truncated(tmp_path):
    def edit(index, slice_):
        slice_.RescaleSlope = 1 if index < 4 else 1.25
        return slice_

    write_series(tmp_path, STORED, edit)
    slope = np.where(np.arange(len(STORED)) < 4, 1, 1.25)[:, None, None]
    assert np.allclose(sitk.GetArrayFromImage(read_volume(tmp_path)), STORED * slope - 1024)


def test_subfolder_is_searched_where_the_folder_holds_no_dicom(tmp_path):
    write_series(tmp_path / "study" / "series", STORED)
    assert read_volume(tmp_path).GetSize() == (64, 48, 12)


def test_several_series_are_listed_and_one_can_be_chosen(tmp_path):
    first, second = generate_uid(), generate_uid()
    write_series(tmp_path, STORED, SeriesInstanceUID=first, SeriesDescription="native 5 mm")
    write_series(tmp_path, STORED[:7], SeriesInstanceUID=second, SeriesDescription="arterial")
    refused(tmp_path, "2 CT series", "--series", first, "native 5 mm", "12 slices", second, "arterial", "7 slices")
    assert read_volume(tmp_path, second).GetSize()[2] == 7
    refused(tmp_path, "no series 1.2.3", first, series_uid="1.2.3")


def test_other_modalities_beside_the_ct_are_passed_over(tmp_path):
    write_series(tmp_path, STORED)
    write_series(tmp_path, STORED, Modality="PT")
    assert np.array_equal(sitk.GetArrayFromImage(read_volume(tmp_path)), ct_array())


def test_localizer_within_the_series_is_left_out(tmp_path):
    def edit(index, slice_):
        if index == 3:
            slice_.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
            slice_.ImagePositionPatient = [0, 0, 0]
            slice_.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
        elif index < 3:
            return None
        return slice_

    write_series(tmp_path, STORED, edit)
    assert read_volume(tmp_path).GetSize()[2] == 8


def test_missing_slices_are_named(tmp_path):
    paths = write_series(tmp_path, STORED, lambda index, slice_: None if index in (5, 6) else slice_)
    refused(tmp_path, "2 slices are missing", paths[4].name, paths[5].name, "120.0 to 135.0 mm")


def test_duplicate_positions_are_named(tmp_path):
    paths = write_series(tmp_path, STORED)
    (tmp_path / "copy.dcm").write_bytes(paths[2].read_bytes())
    refused(tmp_path, "1 slices lie where another one does", "copy.dcm", paths[2].name, "duplicates")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda i, s: setattr(s, "ImagePositionPatient", [-40, -50, 5.0 * i + (1.2 if i > 6 else 0)]), ("unevenly",)),
        (lambda i, s: setattr(s, "ImagePositionPatient", [-40, -50 + 0.5 * i, 5.0 * i]), ("5.7 degrees", "warped")),
        (lambda i, s: delattr(s, "RescaleIntercept"), ("no rescale tags", "HU")),
        (lambda i, s: delattr(s, "ImagePositionPatient"), ("position or orientation",)),
        (lambda i, s: setattr(s, "PixelSpacing", [2, 1.5 + 0.1 * (i == 4)]), ("differ in matrix size or pixel",)),
        (lambda i, s: setattr(s, "ImageOrientationPatient", [1, 0, 0, 0, 1 - (i == 4), -1.0 * (i == 4)]),
         ("differ in orientation",)),
        (lambda i, s: setattr(s, "ImageType", ["ORIGINAL", "PRIMARY", "LOCALIZER"]), ("no CT slices", "localizer")),
    ],
    ids=["uneven", "gantry tilt", "no rescale", "no position", "mixed spacing", "mixed orientation", "localizers"],
)
def test_stacks_that_are_not_what_they_seem_are_refused(tmp_path, change, words):
    def edit(index, slice_):
        change(index, slice_)
        return slice_

    write_series(tmp_path, STORED, edit)
    refused(tmp_path, str(tmp_path), *words)


def test_tilted_but_even_stack_along_its_own_normal_is_accepted(tmp_path):
    turn = np.radians(15)

    def edit(index, slice_):
        slice_.ImageOrientationPatient = [1, 0, 0, 0, float(np.cos(turn)), float(np.sin(turn))]
        slice_.ImagePositionPatient = [0, float(-5 * index * np.sin(turn)), float(5 * index * np.cos(turn))]
        slice_.GantryDetectorTilt = 15
        return slice_

    write_series(tmp_path, STORED, edit)
    assert read_volume(tmp_path).GetSpacing()[2] == pytest.approx(5)


def test_mr_is_refused(tmp_path):
    def edit(_, slice_):
        slice_.SOPClassUID = slice_.file_meta.MediaStorageSOPClassUID = MRImageStorage
        return slice_

    write_series(tmp_path, STORED, edit, Modality="MR")
    refused(tmp_path, "no CT slices", "MR")


def test_empty_folder_one_slice_and_single_file_are_refused(tmp_path):
    refused(tmp_path, str(tmp_path), "holds no DICOM image")
    (path,) = write_series(tmp_path, STORED[:1])
    refused(tmp_path, "one slice", "whole series")
    refused(path, "single DICOM file", f"Give its folder ({tmp_path})")


@pytest.mark.parametrize("kept", [0.9, 0.3, 0.01])
def test_truncated_slice_is_named_and_nothing_else_is_printed(tmp_path, capfd, kept):
    paths = write_series(tmp_path, STORED)
    data = paths[3].read_bytes()
    paths[3].write_bytes(data[: int(len(data) * kept)])
    refused(tmp_path, paths[3].name, "truncated")
    assert capfd.readouterr() == ("", "")


def test_jpeg2000_series_is_read():
    image = read_volume(shared("dicom/jpeg2000_portal_20slices"))
    assert image.GetSize() == (512, 512, 20)
    assert image.GetSpacing() == pytest.approx((0.9765625, 0.9765625, 2.0))
    assert sitk.GetArrayViewFromImage(image).min() == -1024


def test_real_study_holds_three_series_and_the_chosen_one_equals_its_nifti(tmp_path):
    with zipfile.ZipFile(shared("dicom/HCC_005_19990123_multiphase_dicom.zip")) as archive:
        archive.extractall(tmp_path)
    message = refused(tmp_path, "3 CT series", '"PRE LIVER" (48 slices)')
    uid = message.split(' "PRE LIVER"')[0].split()[-1]
    image = read_volume(tmp_path, uid)
    expected = read_volume(shared("native/HCC_005_19990123/ncct.nii.gz"))
    assert np.array_equal(sitk.GetArrayViewFromImage(image), sitk.GetArrayViewFromImage(expected))
    assert np.allclose(image.GetOrigin(), expected.GetOrigin(), atol=1e-3)
    assert np.allclose(image.GetSpacing(), expected.GetSpacing(), atol=1e-5)


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
    refused(tmp_path / "ct.nrrd", "--series", "folder", series_uid="1.2")


# Writing -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("suffix", "direction_error", "origin_error"), [(".nii.gz", 1e-7, 1e-4), (".nrrd", 1e-15, 0), (".mha", 1e-15, 0)]
)
def test_oblique_volume_comes_back(tmp_path, suffix, direction_error, origin_error):
    path, image = tmp_path / f"out{suffix}", oblique()
    write_volume(image, path)
    back = read_volume(path)
    assert np.array_equal(sitk.GetArrayFromImage(back), sitk.GetArrayFromImage(image))
    assert back.GetPixelID() == sitk.sitkInt16
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


@pytest.mark.parametrize(
    ("suffix", "key"), [(".nii.gz", "descrip"), (".nrrd", "description"), (".mha", "description")]
)
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
