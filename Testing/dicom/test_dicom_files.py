"""Which files of a folder are DICOM images: behind links, among directory files of any name, and without a preamble."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_maker import ct_array, write_series
from pydicom import dcmread, dcmwrite
from pydicom.fileset import FileSet
from refusals import refused
from S2LDMLib.dicom.reading.files import deeper_files, direct_files, is_dicom
from S2LDMLib.dicom.reading.series import find_series, list_series
from S2LDMLib.reading import read_volume

STORED = ct_array((4, 48, 64)) + 1024


def voxels(source: Path) -> np.ndarray:
    return sitk.GetArrayFromImage(read_volume(source))


# Symbolic links ----------------------------------------------------------------------------------------------------


def test_a_series_behind_a_link_is_seen_beside_one_that_lies_there_itself(tmp_path: Path) -> None:
    write_series(tmp_path / "archive" / "plain", STORED)
    write_series(tmp_path / "patient" / "arterial", STORED)
    (tmp_path / "patient" / "plain").symlink_to(tmp_path / "archive" / "plain")
    assert len(list_series(tmp_path / "patient")) == 2
    refused(tmp_path / "patient", "2 CT series")


def test_links_that_lead_back_are_followed_once(tmp_path: Path) -> None:
    folder = tmp_path / "study" / "patient" / "series"
    write_series(folder, STORED)
    write_series(tmp_path / "study" / "of_someone_else", STORED)
    for number, target in enumerate((folder, folder.parent, folder.parent.parent)):
        (folder / f"again{number}").symlink_to(target)
    (folder.parent / "same").symlink_to(folder)
    (folder / "itself").symlink_to(folder / "itself")
    assert [path.parent for path in deeper_files(folder.parent)] == [folder] * 4
    assert np.array_equal(voxels(folder.parent), STORED - 1024)


def test_a_link_to_nothing_is_passed_over(tmp_path: Path) -> None:
    write_series(tmp_path / "series", STORED)
    (tmp_path / "series" / "lost.dcm").symlink_to(tmp_path / "nowhere.dcm")
    (tmp_path / "lost").symlink_to(tmp_path / "nowhere")
    assert len(find_series(tmp_path).slices) == 4


# Directory files ---------------------------------------------------------------------------------------------------


@pytest.fixture
def medium(tmp_path: Path) -> Path:
    """A disc of one series with its DICOMDIR."""
    written = FileSet()
    tags = dict.fromkeys(("StudyID", "AccessionNumber", "SeriesNumber"), "1")
    for path in write_series(tmp_path / "made", STORED, StudyDate="20260101", StudyTime="120000", **tags):
        written.add(path)
    written.write(tmp_path / "medium")
    return tmp_path / "medium"


@pytest.mark.parametrize("name", ["DIRFILE", "DICOMDIR;1", "DICOMDIR.OLD", "dicomdir", "index.dcm"])
def test_a_directory_file_is_known_whatever_its_name(medium: Path, name: str) -> None:
    directory = (medium / "DICOMDIR").rename(medium / name)
    assert np.array_equal(voxels(directory), STORED - 1024)
    assert np.array_equal(voxels(medium), STORED - 1024)
    folder = find_series(medium).slices[0].path.parent
    directory.rename(folder / name)
    assert direct_files(folder) == sorted(one.path for one in find_series(medium).slices)
    assert np.array_equal(voxels(folder), STORED - 1024)
    assert np.array_equal(voxels(folder / name), STORED - 1024)  # whose paths begin at the top of the disc


def test_a_directory_file_that_lists_directory_files_lists_their_images(medium: Path) -> None:
    """So do the discs of one maker: the DICOMDIR names a DIRFILE a study, and that one a DIRFILE a series."""
    folder = find_series(medium).slices[0].path.parent
    (medium / "DICOMDIR").rename(folder / "DIRFILE")
    top = dcmread(folder / "DIRFILE")
    for record in top.DirectoryRecordSequence:
        if "ReferencedFileID" in record:
            record.ReferencedFileID = [*folder.relative_to(medium).parts, "DIRFILE"]
    top.save_as(medium / "DICOMDIR")
    assert np.array_equal(voxels(medium / "DICOMDIR"), STORED - 1024)
    dcmwrite(folder / "DIRFILE", top)  # lists itself
    refused(medium / "DICOMDIR", "lists no files")


def test_names_that_a_system_spells_in_its_own_way_are_found(medium: Path) -> None:
    for one in find_series(medium).slices:
        shown = Path(medium, *(part.lower() for part in one.path.relative_to(medium).parts))
        shown.parent.mkdir(parents=True, exist_ok=True)
        one.path.rename(shown.with_name(f"{shown.name};1"))
    assert np.array_equal(voxels(medium / "DICOMDIR"), STORED - 1024)


# Without a preamble ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("meta", [True, False], ids=["meta", "no meta"])
@pytest.mark.parametrize(("implicit", "little"), [(True, True), (False, True), (False, False)])
def test_bare_data_sets_are_read_among_other_files(tmp_path: Path, implicit: bool, little: bool, meta: bool) -> None:
    for number, path in enumerate(write_series(tmp_path, STORED)):
        dataset = dcmread(path)
        if not little:
            dataset.PixelData = np.frombuffer(dataset.PixelData, "<i2").astype(">i2").tobytes()
            list(dataset.iterall())
        kept = path.read_bytes()[132 : path.read_bytes().index(b"\x08\x00\x08\x00CS")] if meta else b""
        if meta and (implicit or not little):
            syntax = b"1.2.840.10008.1.2\0\0\0" if implicit else b"1.2.840.10008.1.2.2\0"
            kept = kept.replace(b"1.2.840.10008.1.2.1\0", syntax)
        del dataset.file_meta
        dataset.preamble = None
        dcmwrite(path, dataset, implicit_vr=implicit, little_endian=little)
        (tmp_path / f"IM{number}").write_bytes(kept + path.read_bytes())
        path.unlink()
    rng = random.Random(0)
    beginnings = (b"\x08\x00", b"\x02\x00\x00\x00UL\x04\x00", b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 100", b"", b"\0" * 12)
    for number, start in enumerate(beginnings * 20):
        (tmp_path / f"other{number}").write_bytes(start + rng.randbytes(400))
    assert len(direct_files(tmp_path)) == 4
    assert np.array_equal(voxels(tmp_path), STORED - 1024)
    refused(tmp_path / "IM0", "single DICOM file")


def test_only_the_first_bytes_are_looked_at(tmp_path: Path) -> None:
    (path,) = write_series(tmp_path, STORED[:1])
    bare = tmp_path / "bare"
    bare.write_bytes(path.read_bytes()[132:][:500])
    assert is_dicom(bare)
    bare.write_bytes(path.read_bytes()[132:][:20])
    assert not is_dicom(bare)
