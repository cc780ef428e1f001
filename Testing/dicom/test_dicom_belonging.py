"""Slices of two patients, studies or passes are no volume, whatever their SeriesInstanceUID says."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pydicom
import pytest
from dicom_maker import ct_array, write_series
from pydicom.dataset import FileDataset
from S2LDMLib.dicom.reading.series import find_series
from S2LDMLib.dicom.writing.allow_list import OF_THE_SERIES, taken
from S2LDMLib.errors import InputError
from S2LDMLib.reading import read_ncct, read_volume

STORED = ct_array() + 1024


def halves(keyword: str, first: Any, second: Any, interleaved: bool) -> Any:
    """Gives one half of the slices another value: every other one, or all from the middle on."""

    def edit(index: int, slice_: FileDataset) -> FileDataset:
        is_second = index % 2 if interleaved else index >= len(STORED) // 2
        setattr(slice_, keyword, second if is_second else first)
        return slice_

    return edit


@pytest.mark.parametrize("interleaved", [True, False])
@pytest.mark.parametrize(
    ("keyword", "values", "word"),
    [
        ("PatientID", ("A", "B"), "2 patients"),
        ("PatientName", ("Doe^A", "Roe^B"), "2 patients"),
        ("PatientBirthDate", ("19500101", "19600101"), "2 patients"),
        ("StudyInstanceUID", ("1.2.3", "1.2.4"), "2 studies"),
        ("PatientPosition", ("FFS", "HFS"), "several passes"),
        ("ConvolutionKernel", ("B30f", "B60s"), "several passes"),
        ("ContrastBolusAgent", ("IOPAMIDOL", "OTHER"), "several passes"),
    ],
)
def test_slices_that_can_never_be_one_scan_are_refused(
    tmp_path: Path, keyword: str, values: tuple[str, str], word: str, interleaved: bool
) -> None:
    write_series(tmp_path, STORED, halves(keyword, *values, interleaved))
    with pytest.raises(InputError, match=word) as error:
        find_series(tmp_path)
    assert keyword in str(error.value) and "Doe" not in str(error.value)


@pytest.mark.parametrize(
    ("keyword", "values"),
    [
        ("AcquisitionNumber", (1, 2)),
        ("KVP", (80, 120)),
        ("TableHeight", (150, 160)),
        ("AcquisitionTime", ("101500", "101545.5")),
    ],
)
def test_passes_that_interleave_are_refused_and_those_that_follow_one_another_are_not(
    tmp_path: Path, keyword: str, values: tuple[Any, Any]
) -> None:
    write_series(tmp_path / "steps", STORED, halves(keyword, *values, interleaved=False))
    assert len(find_series(tmp_path / "steps").slices) == len(STORED)
    write_series(tmp_path / "passes", STORED, halves(keyword, *values, interleaved=True))
    with pytest.raises(InputError, match=f"several passes.*{keyword}"):
        find_series(tmp_path / "passes")


def test_the_second_pass_is_named_where_its_slices_lie_elsewhere(tmp_path: Path) -> None:
    """Shifted by less than a slice, they used to read as slices that are missing."""

    def edit(index: int, slice_: FileDataset) -> FileDataset:
        slice_.AcquisitionNumber = 1 + index % 2
        slice_.ImagePositionPatient = [-40.0, -50.0, 10.0 * (index // 2) + 0.3 * (index % 2)]
        return slice_

    write_series(tmp_path, STORED, edit)
    with pytest.raises(InputError, match="several passes"):
        find_series(tmp_path)


def test_times_that_rise_from_slice_to_slice_are_one_pass(tmp_path: Path) -> None:
    def edit(index: int, slice_: FileDataset) -> FileDataset:
        slice_.AcquisitionTime = f"{101500 + index}"
        return slice_

    write_series(tmp_path, STORED, edit)
    assert not find_series(tmp_path).warnings


def test_slices_without_an_id_go_along_with_a_warning(tmp_path: Path) -> None:
    write_series(tmp_path, STORED, halves("PatientID", "A", "", interleaved=True))
    assert any("lack PatientID" in warning for warning in find_series(tmp_path).warnings)


@pytest.mark.parametrize(("keyword", "text"), [("PatientName", "Mueller^Joerg"), ("StudyDescription", "ABD/PELVIS")])
def test_text_that_is_not_of_its_declared_character_set_keeps_its_bytes(
    tmp_path: Path, keyword: str, text: str
) -> None:
    (file,) = write_series(tmp_path, STORED[:1], SpecificCharacterSet="ISO_IR 192", **{keyword: text})
    latin = text.encode().replace(b"e", b"\xfc").replace(b"/", b"\xfc")
    file.write_bytes(file.read_bytes().replace(text.encode(), latin))
    result = pydicom.Dataset()
    result.SpecificCharacterSet = "ISO_IR 192"
    result.update(taken(pydicom.dcmread(file, stop_before_pixels=True), OF_THE_SERIES))
    result.save_as(tmp_path / "taken.dcm", implicit_vr=False, little_endian=True)
    assert latin in (tmp_path / "taken.dcm").read_bytes()


@pytest.mark.parametrize(
    ("description", "told"), [("LIVER ARTERIAL", True), ("PORTAL VENOUS 5.0", True), ("ABD W/O", False), ("ABD", False)]
)
def test_what_the_headers_say_of_contrast_is_told_when_it_is_to_be_translated(
    tmp_path: Path, description: str, told: bool
) -> None:
    write_series(tmp_path, STORED, SeriesDescription=description)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read_ncct(tmp_path)
        assert any("speak of contrast" in str(each.message) for each in caught) is told
        caught.clear()
        read_volume(tmp_path)
        assert not caught
