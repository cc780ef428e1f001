"""Finding one CT series: what is read is right or refused with a reason, from headers alone."""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_maker import ct_array, write_series
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.fileset import FileSet
from pydicom.uid import MRImageStorage, SecondaryCaptureImageStorage, generate_uid
from refusals import refused
from S2LDMLib.dicom.reading.headers import read_header
from S2LDMLib.dicom.reading.series import find_series, list_series
from S2LDMLib.errors import InputError, S2LDMWarning
from S2LDMLib.reading import read_volume

STORED = ct_array() + 1024


def voxels(image: sitk.Image) -> np.ndarray:
    return sitk.GetArrayFromImage(image)


def changed(**tags: object):
    """An edit that sets tags of slice 4."""

    def edit(index: int, slice_: Dataset) -> Dataset:
        for name, value in tags.items() if index == 4 else ():
            setattr(slice_, name, value)
        return slice_

    return edit


def as_class(kind: str):
    def edit(_: int, slice_: Dataset) -> Dataset:
        slice_.SOPClassUID = slice_.file_meta.MediaStorageSOPClassUID = kind
        return slice_

    return edit


# What is read ------------------------------------------------------------------------------------------------------


def test_series_is_read_in_hu_sorted_by_position_with_its_geometry(tmp_path):
    write_series(tmp_path, STORED)
    (tmp_path / "notes.txt").write_text("not an image")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image = read_volume(tmp_path)
    assert np.array_equal(voxels(image), ct_array())
    assert image.GetPixelID() == sitk.sitkInt16
    assert image.GetSpacing() == (1.5, 2.0, 5.0)
    assert image.GetOrigin() == (-40.0, -50.0, 100.0)
    assert np.allclose(image.GetDirection(), np.eye(3).ravel())


def test_slices_of_the_series_are_those_of_the_image(tmp_path):
    write_series(tmp_path, STORED)
    series = find_series(tmp_path)
    image = series.read()
    assert series.regular and series.warnings == () and series.uid == dcmread(series.slices[0].path).SeriesInstanceUID
    for index, one in enumerate(series.slices):
        assert np.allclose(image.TransformIndexToPhysicalPoint((0, 0, index)), one.position)
        assert one.sop_instance_uid == dcmread(one.path).SOPInstanceUID
        assert one.size == (64, 48) and one.spacing == (1.5, 2.0) and one.frame is None
        assert one.header.PatientName == "Made^Up" and "PixelData" not in one.header


def test_files_may_be_given_one_by_one(tmp_path):
    files = write_series(tmp_path / "a", STORED)
    write_series(tmp_path / "b", STORED)
    assert len(find_series(list(map(str, files))).slices) == 12
    with pytest.raises(InputError, match="2 slices are missing"):
        find_series(files[:4] + files[6:])
    with pytest.raises(InputError, match="No DICOM files"):
        find_series([])


def test_feet_to_head_reversed_rows_give_a_right_handed_volume(tmp_path):
    write_series(tmp_path, STORED, ImageOrientationPatient=[-1, 0, 0, 0, 1, 0])
    image = read_volume(tmp_path)
    assert np.linalg.det(np.reshape(image.GetDirection(), (3, 3))) == pytest.approx(1)
    assert np.array_equal(voxels(image), ct_array()[::-1])
    assert image.GetOrigin()[2] == 155.0


def test_files_without_suffix_in_subfolders_among_others_are_found(tmp_path):
    for number, path in enumerate(write_series(tmp_path / "made", STORED)):
        target = tmp_path / "study" / "series" / f"part{number % 3}" / f"IM{number}"
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
    (tmp_path / "study" / "notes.txt").write_text("not an image")
    (tmp_path / "study" / "._IM1.dcm").write_bytes(b"a system's own file")
    assert np.array_equal(voxels(read_volume(tmp_path)), ct_array())


def test_old_files_without_a_preamble_are_known_by_their_suffix(tmp_path):
    for path in write_series(tmp_path, STORED):
        dataset = dcmread(path)
        del dataset.file_meta
        dataset.preamble = None
        dcmwrite(path, dataset, implicit_vr=True, little_endian=True)
        assert path.read_bytes()[128:132] != b"DICM"
    assert np.array_equal(voxels(read_volume(tmp_path)), ct_array())


def test_subfolders_are_left_alone_where_the_folder_holds_ct(tmp_path):
    write_series(tmp_path, STORED)
    write_series(tmp_path / "deeper", STORED[:5])
    assert read_volume(tmp_path).GetSize()[2] == 12


def test_dicomdir_is_read_as_a_file_and_passed_over_in_a_folder(tmp_path):
    medium = FileSet()
    for path in write_series(tmp_path / "made", STORED, edit=None, PatientID="none", StudyID="1", SeriesNumber=1,
                             StudyDate="20260101", StudyTime="120000", AccessionNumber="1"):  # fmt: skip
        medium.add(path)
    medium.write(tmp_path / "medium")
    assert np.array_equal(voxels(read_volume(tmp_path / "medium" / "DICOMDIR")), ct_array())
    assert np.array_equal(voxels(read_volume(tmp_path / "medium")), ct_array())
    lost = find_series(tmp_path / "medium").slices[3].path
    lost.unlink()
    refused(tmp_path / "medium" / "DICOMDIR", str(lost), "not there", "whole medium")
    (tmp_path / "medium" / "DICOMDIR").write_bytes(b"nothing")
    refused(tmp_path / "medium" / "DICOMDIR", "DICOMDIR", "damaged")


def test_other_files_are_never_read_as_dicom(tmp_path, monkeypatch):
    write_series(tmp_path, STORED)
    for number in range(20):
        (tmp_path / f"{number}.json").write_text("{}")
    read = []
    monkeypatch.setattr(
        "S2LDMLib.dicom.reading.series.read_header", lambda path: read.append(path) or read_header(path)
    )
    assert len(find_series(tmp_path).slices) == len(read) == 12


# Choosing ----------------------------------------------------------------------------------------------------------


def test_several_series_are_listed_and_one_can_be_chosen(tmp_path):
    first, second = generate_uid(), generate_uid()
    write_series(tmp_path, STORED, SeriesInstanceUID=first, SeriesDescription="native 5 mm")
    write_series(tmp_path, STORED[:7], SeriesInstanceUID=second, SeriesDescription="liver art.")
    refused(
        tmp_path, "2 CT series", "--series", f'{first} "native 5 mm" (12 slices, without contrast)',
        f'{second} "liver art." (7 slices, arterial)',
    )  # fmt: skip
    assert read_volume(tmp_path, second).GetSize()[2] == 7
    refused(tmp_path, "no series 1.2.3", first, series_uid="1.2.3")


@pytest.mark.parametrize(
    ("described", "tags", "hint"),
    [
        *((described, {}, hint) for hint, words in {
            "without contrast": ("Abdomen NATIV 5.0", "w/o contrast", "Non-contrast liver"),
            "arterial": ("ARTERIAL_PHASE 1.25",), "venous": ("portal venous", "Leber portalvenös"),
            "delayed": ("Late phase 5min",), "contrast": ("post c",),
            "": ("Parties molles", "Ventilation, portable, post-op", "Invented start, party prevention"),
        }.items() for described in words),
        ("LIVER", {"ContrastBolusAgent": "Iohexol"}, "contrast"),
        ("LIVER", {"ProtocolName": "Liver hap"}, "arterial"),
    ],
)  # fmt: skip
def test_phase_is_guessed_from_descriptions(tmp_path, described, tags, hint):
    write_series(tmp_path, STORED[:2], SeriesDescription=described, **tags)
    assert [one.phase_hint for one in list_series(tmp_path)] == [hint]


def test_everything_with_pixels_is_listed_and_what_is_no_ct_says_so(tmp_path, cli):
    ct, scout, mr, capture = (generate_uid() for _ in range(4))
    write_series(tmp_path, STORED, SeriesInstanceUID=ct, SeriesNumber=3, SeriesDescription="pre")
    write_series(tmp_path, STORED[:2], SeriesInstanceUID=scout, SeriesNumber=1,
                 ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])  # fmt: skip
    write_series(tmp_path, STORED, as_class(MRImageStorage), SeriesInstanceUID=mr, SeriesNumber=2, Modality="MR")
    write_series(tmp_path, STORED[:1], as_class(SecondaryCaptureImageStorage), SeriesInstanceUID=capture)
    found = list_series(tmp_path)
    assert [(one.uid, one.slices) for one in found] == [(scout, 2), (mr, 12), (ct, 12), (capture, 1)]
    assert [one.problem for one in found] == [
        "localizers (scouts)", "MR images", "", "secondary captures (screen pictures)",
    ]  # fmt: skip
    assert find_series(tmp_path).uid == ct
    for uid, words in ((scout, "scouts"), (mr, "MR images"), (capture, "secondary captures")):
        refused(tmp_path, uid, "not a CT but", words, ct, series_uid=uid)
    assert f"{ct}\n  series 3, pre, CT, 12 slices, phase: without contrast" in cli("series", tmp_path).done()
    told = cli("series", tmp_path, "--json").json()
    assert [(one["uid"], one["number"], one["problem"]) for one in told[:1]] == [(scout, 1, "localizers (scouts)")]
    assert "does not exist" in cli("series", tmp_path / "absent").refused()


def test_synthetic_series_is_not_chosen_where_there_is_a_real_one(tmp_path):
    real, made = generate_uid(), generate_uid()
    write_series(tmp_path, STORED, SeriesInstanceUID=real)
    write_series(tmp_path, STORED, SeriesInstanceUID=made,
                 ImageType=["DERIVED", "SECONDARY", "AXIAL", "SYNTHETIC"])  # fmt: skip
    assert find_series(tmp_path).uid == real
    assert find_series(tmp_path).warnings == ()
    assert "synthetic already" in find_series(tmp_path, made).warnings[0]


def test_other_modalities_beside_the_ct_are_passed_over(tmp_path):
    write_series(tmp_path, STORED)
    write_series(tmp_path, STORED, Modality="PT")
    assert np.array_equal(voxels(read_volume(tmp_path)), ct_array())


def test_slices_that_do_not_name_their_frame_of_reference_are_taken_along(tmp_path):
    write_series(tmp_path, STORED, changed(FrameOfReferenceUID="1.2.3"))
    assert find_series(tmp_path).regular


def test_localizer_within_the_series_is_left_out_with_a_warning(tmp_path):
    def edit(index, slice_):
        if index == 3:
            slice_.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
            slice_.ImagePositionPatient = [0, 0, 0]
            slice_.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
        elif index < 3:
            return None
        return slice_

    write_series(tmp_path, STORED, edit)
    with pytest.warns(S2LDMWarning, match=r"localizers, are left out: 1\."):
        assert read_volume(tmp_path).GetSize()[2] == 8


# Bad input ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda i, s: delattr(s, "RescaleIntercept"), ("no rescale tags", "HU")),
        (lambda i, s: setattr(s, "RescaleSlope", 0), ("no rescale tags", "HU")),
        (lambda i, s: setattr(s, "RescaleType", "Z_EFF"), ("in Z_EFF and not in HU",)),
        (lambda i, s: delattr(s, "ImagePositionPatient"), ("position or orientation",)),
        (lambda i, s: setattr(s, "ImageOrientationPatient", [1, 0, 0, 1, 0, 0]), ("position or orientation",)),
        (lambda i, s: delattr(s, "PixelSpacing"), ("matrix or pixel spacing",)),
        (lambda i, s: setattr(s, "PixelSpacing", [2, 0]), ("matrix or pixel spacing",)),
        (lambda i, s: setattr(s, "PixelSpacing", [2, 1.5 + 0.1 * (i == 4)]), ("differ in matrix size or pixel",)),
        (lambda i, s: setattr(s, "ImageOrientationPatient", [1, 0, 0, 0, 1 - (i == 4), -1.0 * (i == 4)]),
         ("differ in orientation",)),
        (lambda i, s: setattr(s, "FrameOfReferenceUID", f"1.2.{i // 6}"), ("different frames of reference",)),
        (lambda i, s: setattr(s, "ImageType", ["ORIGINAL", "PRIMARY", "LOCALIZER"]), ("no CT slices", "localizer")),
        (lambda i, s: setattr(s, "PhotometricInterpretation", "RGB"), ("colour image (RGB)",)),
        (lambda i, s: delattr(s, "PixelData") if i == 4 else None, ("no pixel data",)),
        (lambda i, s: setattr(s, "SOPInstanceUID", "1.2.3"), ("share one SOP Instance UID",)),
    ],
    ids=["no rescale", "zero slope", "effective Z", "no position", "no orientation", "no spacing", "zero spacing",
         "mixed spacing", "mixed orientation", "mixed frames", "localizers", "colour", "no pixels", "one UID"],
)  # fmt: skip
def test_stacks_that_are_not_what_they_seem_are_refused(tmp_path, change, words):
    def edit(index, slice_):
        change(index, slice_)
        return slice_

    write_series(tmp_path, STORED, edit)
    refused(tmp_path, str(tmp_path), *words)


def test_a_compression_without_a_decoder_is_named(tmp_path):
    paths = write_series(tmp_path, STORED)
    data = paths[0].read_bytes()
    paths[0].write_bytes(data.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.9\0"))
    refused(tmp_path, paths[0].name, "compressed in a way that cannot be read", "without compression")


def test_empty_folder_one_slice_and_single_file_are_refused(tmp_path):
    refused(tmp_path, str(tmp_path), "holds no DICOM image")
    write_series(tmp_path / "mr", STORED[:2], as_class(MRImageStorage), Modality="MR")
    refused(tmp_path / "mr", "no CT slices", "MR")
    shutil.rmtree(tmp_path / "mr")
    (path,) = write_series(tmp_path, STORED[:1])
    refused(tmp_path, "one slice", "whole series")
    refused(path, "single DICOM file", f"Give its folder ({tmp_path})")
    bare = path.rename(tmp_path / "IM1")
    refused(bare, "single DICOM file")


@pytest.mark.parametrize("kept", [0.9, 0.3, 0.1, 0.01])
def test_truncated_slice_is_named_and_nothing_else_is_printed(tmp_path, capfd, kept):
    paths = write_series(tmp_path, STORED)
    data = paths[3].read_bytes()
    paths[3].write_bytes(data[: int(len(data) * kept)])
    refused(tmp_path, paths[3].name, "truncated")
    assert capfd.readouterr() == ("", "")


def test_a_slice_cut_off_anywhere_is_named(tmp_path):
    paths = write_series(tmp_path, STORED[:3, :4, :4], Rows=4, Columns=4)
    data = paths[1].read_bytes()
    for kept in range(0, len(data), 5):
        paths[1].write_bytes(data[:kept])
        refused(tmp_path, paths[1].name)


def test_random_damage_never_ends_in_another_error(tmp_path):
    paths = write_series(tmp_path, STORED[:3, :4, :4], Rows=4, Columns=4)
    data = paths[1].read_bytes()
    random = np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(data)
        for place in random.integers(132, len(data), 4):
            damaged[place] = random.integers(256)
        paths[1].write_bytes(damaged)
        try:
            find_series(tmp_path).read()
        except InputError as error:
            assert "\n" not in str(error)


@contextmanager
def someone_else() -> Iterator[None]:
    """Root may read everything, so nobody reads instead."""
    user = os.geteuid()
    os.seteuid(user or 65534)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs POSIX permissions")
def test_unreadable_file_and_folders_are_named():
    with tempfile.TemporaryDirectory() as name:  # not below tmp_path, which is root's alone
        Path(name).chmod(0o755)
        folder = Path(name) / "study" / "scan"
        paths = write_series(folder, STORED[:3])
        paths[1].chmod(0)
        with someone_else():
            refused(folder, f"{paths[1]} cannot be read: Permission denied")
        folder.chmod(0)
        with someone_else():
            refused(folder, f"{folder} cannot be read: Permission denied")
            refused(folder.parent, f"{folder} cannot be read: Permission denied")
            refused(folder / "more", "cannot be read: Permission denied")
        folder.chmod(0o755)


def test_missing_path_is_named(tmp_path):
    refused(tmp_path / "absent", "does not exist")
