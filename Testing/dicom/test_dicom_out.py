"""DICOM out: the contract of a synthetic series, tag by tag, for every kind of source."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_maker import ct_array, ct_image, transcode, write_series
from dicom_out_samples import KEPT, LEFT, REVISION, STORED, export, resampled, scanned
from PIL import Image
from pydicom import DataElement, Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.encaps import encapsulate
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
)
from S2LDMLib.dicom.reading.series import DicomSeries, find_series
from S2LDMLib.dicom.writing.options import ExportOptions
from S2LDMLib.dicom.writing.writer import write_series as write_synthetic
from S2LDMLib.errors import InputError


def test_every_item_of_the_contract(tmp_path: Path, source: DicomSeries) -> None:
    made = export(tmp_path / "out", source)
    assert len(made) == len(source.slices) == 12
    for one, original in zip(made, source.slices, strict=True):
        header = original.header
        assert one.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
        assert one.SOPClassUID == one.file_meta.MediaStorageSOPClassUID == CTImageStorage
        assert {keyword: one[keyword].value for keyword in KEPT} == {key: header[key].value for key in KEPT}
        assert one.StudyInstanceUID == header.StudyInstanceUID
        assert one.SeriesInstanceUID != header.SeriesInstanceUID
        assert one.SOPInstanceUID == one.file_meta.MediaStorageSOPInstanceUID != header.SOPInstanceUID
        assert one.ImageType == ["DERIVED", "SECONDARY", "AXIAL", "SYNTHETIC"]
        assert (one.SyntheticData, one.ContentQualification, one.BurnedInAnnotation) == ("YES", "RESEARCH", "NO")
        assert one.SeriesDescription == "SYNTHETIC arterial CECT of plain"
        (reference,) = one.SourceImageSequence
        assert reference.ReferencedSOPInstanceUID == original.sop_instance_uid
        assert reference.ReferencedSOPClassUID == CTImageStorage
        assert reference.PurposeOfReferenceCodeSequence[0].CodeValue == "121322"
        assert reference.SpatialLocationsPreserved == "YES" and "ReferencedFrameNumber" not in reference
        assert "DerivationCodeSequence" not in one
        assert one.DerivationDescription.startswith("SYNTHETIC") and "Not a real scan" in one.DerivationDescription
        assert "NOT FOR DIAGNOSIS" in one.ImageComments
        assert (one.WindowCenter, one.WindowWidth) == (0, 400)
        assert (one.RescaleIntercept, one.RescaleSlope, one.RescaleType) == (0, 1, "HU")
    assert len({one.SeriesInstanceUID for one in made}) == 1
    assert len({one.SOPInstanceUID for one in made}) == 12
    assert {int(one.SeriesNumber) for one in made} == {90031}


def test_the_equipment_says_who_made_it_with_which_model_and_settings(tmp_path: Path, source: DicomSeries) -> None:
    (one, *_) = export(tmp_path / "out", source)
    ours, scanner = one.ContributingEquipmentSequence
    code = ours.PurposeOfReferenceCodeSequence[0]
    assert (code.CodeValue, code.CodingSchemeDesignator) == ("109100", "DCM")
    assert (ours.Manufacturer, ours.ManufacturerModelName) == ("S2LDM", "bundled")
    assert list(ours.SoftwareVersions) == ["0.1.0", REVISION]
    for fact in ("phase=arterial", "version=0.1.0", f"revision={REVISION}", "seed=17", "steps=4", "detail=native"):
        assert fact in ours.ContributionDescription
    assert (one.Manufacturer, one.ManufacturerModelName) == ("S2LDM", "bundled")
    assert scanner.PurposeOfReferenceCodeSequence[0].CodeValue == "109101"
    assert (scanner.Manufacturer, scanner.ManufacturerModelName) == ("GE", "LightSpeed")


def test_what_is_not_allowed_does_not_travel(tmp_path: Path, source: DicomSeries) -> None:
    for one in export(tmp_path / "out", source):
        elements = list(one.iterall())
        assert not [element for element in elements if element.tag.is_private]
        assert not [element for element in elements if "Contrast" in element.keyword]
        for keyword in LEFT.keys() - {"ImageComments"}:
            assert keyword not in one, keyword
        assert "seen by X" not in one.ImageComments
    data = b"".join(file.read_bytes() for file in (tmp_path / "out").iterdir())
    for word in (b"OMNIPAQUE", b"private word", b"MAKER", b"Klinikum", b"Meier", b"SN4711X", b"seen by X"):
        assert word not in data


def test_hu_and_geometry_are_those_of_the_source_to_the_last_digit(tmp_path: Path, source: DicomSeries) -> None:
    image = source.read() + 37
    made = export(tmp_path / "out", source, image)
    for index, (one, original) in enumerate(zip(made, source.slices, strict=True)):
        for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
            texts = [[value.original_string for value in header[keyword].value] for header in (one, original.header)]
            assert texts[0] == texts[1]
        assert one.ImagePositionPatient[1].original_string == "-5.0e1"
        assert one.SliceThickness.original_string == "5.00"
        assert one.SliceLocation == original.header.SliceLocation
        assert one.InstanceNumber == original.header.InstanceNumber
        assert np.array_equal(one.pixel_array, sitk.GetArrayViewFromImage(image)[index])
    back = find_series(tmp_path / "out")
    assert np.array_equal(sitk.GetArrayFromImage(back.read()), sitk.GetArrayFromImage(image))
    assert back.read().GetOrigin() == source.read().GetOrigin()


def test_the_source_in_memory_is_not_changed(tmp_path: Path, source: DicomSeries) -> None:
    before = [str(one.header) for one in source.slices]
    export(tmp_path / "out", source)
    export(tmp_path / "anonymous", source, anonymize=True)
    assert [str(one.header) for one in source.slices] == before


def test_without_a_dicom_source_there_is_a_complete_new_study(tmp_path: Path) -> None:
    made = export(tmp_path / "out", None, ct_image())
    one = made[0]
    assert "SYNTHETIC" in str(one.PatientName) and one.PatientID.startswith("SYNTHETIC-")
    assert one.StudyDescription.startswith("SYNTHETIC") and one.StudyDate and one.StudyTime and one.StudyID
    for uid in (one.StudyInstanceUID, one.SeriesInstanceUID, one.FrameOfReferenceUID):
        assert uid.is_valid and all(uid in str(other) for other in made)
    assert "SourceImageSequence" not in one and "DerivationCodeSequence" not in one
    assert np.array_equal(sitk.GetArrayFromImage(find_series(tmp_path / "out").read()), ct_array())
    (other, *_) = export(tmp_path / "other", None, ct_image())
    assert other.StudyInstanceUID != one.StudyInstanceUID and other.PatientID != one.PatientID


def test_a_new_study_takes_what_the_user_gives(tmp_path: Path) -> None:
    options = {"patient_name": "山田^太郎", "patient_id": "X\\7", "study_description": "long " * 30}
    (one, *_) = export(tmp_path / "out", None, ct_image(), **options)
    assert one.PatientName == "山田^太郎" and one.PatientID == "X/7"
    assert one.StudyDescription.startswith("long long") and len(one.StudyDescription) <= 64
    (one, *_) = export(tmp_path / "blank", None, ct_image(), patient_name="  ", patient_id="\n")
    assert "SYNTHETIC" in str(one.PatientName) and "SYNTHETIC" in one.PatientID


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        ("ISO_IR 100", "Müller^Jörg"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("ISO_IR 192", "Müller^Jörg=山田^太郎"),
        ("GB18030", "Wang^XiaoDong=王^小东"),
        (None, "Müller^Undeclared"),
    ],
)
def test_a_name_in_any_script_comes_back(tmp_path: Path, charset: str | list[str] | None, name: str) -> None:
    def edit(_: int, slice_: Dataset) -> Dataset:
        if charset:
            slice_.SpecificCharacterSet = charset
        slice_.PatientName = slice_.ReferringPhysicianName = name
        return slice_

    source = scanned(tmp_path / "source", edit, SeriesDescription="Übersicht" if charset == "ISO_IR 100" else "x")
    (one, *_) = export(tmp_path / "out", source)
    assert str(one.PatientName) == str(one.ReferringPhysicianName) == name
    files = (source.slices[0].path, tmp_path / "out" / "0001.dcm")
    raw = [pydicom.dcmread(file).get_item("PatientName").value for file in files]
    assert raw[0] == raw[1]  # an archive compares bytes
    assert one.SeriesDescription.endswith(("Übersicht", "of x"))


def test_long_words_are_fitted_to_what_dicom_holds(tmp_path: Path) -> None:
    source = scanned(tmp_path / "source", SeriesDescription="d" * 64)
    long = {"S2LDM_model": "m" * 90 + "\\é", "S2LDM_region": "r" * 2000, "S2LDM_phase": "arterial"}
    (one, *_) = export(tmp_path / "out", source, provenance=long)
    assert len(one.SeriesDescription) == 64 and one.SeriesDescription.startswith("SYNTHETIC arterial CECT of ddd")
    assert one.ManufacturerModelName == "m" * 64
    assert len(one.DerivationDescription) <= 1024
    assert len(one.ContributingEquipmentSequence[0].ContributionDescription) <= 1024


def test_what_was_doubtful_about_the_source_is_told(tmp_path: Path) -> None:
    source = scanned(tmp_path / "ct")
    warned = export(tmp_path / "warned", source, provenance={"S2LDM_input_warnings": "Slices are 12 mm apart."})
    assert "Warnings on the source: Slices are 12 mm apart." in warned[0].DerivationDescription
    assert "warnings=Slices are 12 mm" in warned[0].ContributingEquipmentSequence[0].ContributionDescription
    usual = export(tmp_path / "usual", source, provenance={"S2LDM_input_warnings": "none"})
    assert "Warnings" not in usual[0].DerivationDescription


def lossy(_: int, slice_: Dataset) -> Dataset:
    slice_.LossyImageCompression, slice_.LossyImageCompressionRatio = "01", 8
    slice_.LossyImageCompressionMethod = "ISO_10918_1"
    return slice_


@pytest.mark.parametrize(
    ("edit", "kept"),
    [(lossy, ("01", 8, "ISO_10918_1")), (None, (None, None, None))],
    ids=["a lossy source", "a source that says nothing"],
)
def test_lossy_compression_of_the_source_stays_said(tmp_path: Path, edit: Callable | None, kept: tuple) -> None:
    for path in write_series(tmp_path / "source", STORED, edit):
        transcode(path, JPEG2000Lossless)
    for one in export(tmp_path / "out", find_series(tmp_path / "source")):
        said = [one.get(f"LossyImageCompression{what}") for what in ("", "Ratio", "Method")]
        assert tuple(said) == kept
        assert one.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian


def test_a_source_in_lossy_jpeg_that_does_not_say_so_is_known_by_its_transfer_syntax(tmp_path: Path) -> None:
    def compress(_: int, slice_: Dataset) -> Dataset:
        whole = BytesIO()
        Image.fromarray((slice_.pixel_array >> 4).astype(np.uint8)).save(whole, "JPEG")
        slice_.BitsAllocated, slice_.BitsStored, slice_.HighBit, slice_.PixelRepresentation = 8, 8, 7, 0
        slice_.RescaleSlope = 16
        slice_.PixelData = encapsulate([whole.getvalue()])
        slice_["PixelData"].VR = "OB"
        slice_.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
        return slice_

    made = export(tmp_path / "out", scanned(tmp_path / "source", compress))
    assert {one.LossyImageCompression for one in made} == {"01"}


def test_a_new_slice_is_lossy_where_one_that_it_comes_from_is(tmp_path: Path) -> None:
    source = scanned(tmp_path / "source", lambda index, slice_: lossy(index, slice_) if index == 6 else slice_)
    made = export(tmp_path / "out", source, resampled(source))
    bad = source.slices[6].sop_instance_uid
    of_bad = [any(item.ReferencedSOPInstanceUID == bad for item in one.SourceImageSequence) for one in made]
    assert [one.get("LossyImageCompression") == "01" for one in made] == of_bad and 1 <= sum(of_bad) < 6


def test_padding_of_the_source_is_declared_as_the_air_that_it_became(tmp_path: Path) -> None:
    stored = STORED.copy()
    stored[:, :4, :4] = -2000

    def pad(_: int, slice_: Dataset) -> Dataset:
        slice_.add_new("PixelPaddingValue", "SS", -2000)
        return slice_

    write_series(tmp_path / "source", stored, pad)
    (one, *_) = export(tmp_path / "out", find_series(tmp_path / "source"))
    assert one.PixelPaddingValue == -1024 and (one.pixel_array[:4, :4] == -1024).all()


def test_times_are_in_the_sources_own_time_zone(tmp_path: Path) -> None:
    (ahead, *_) = export(tmp_path / "a", scanned(tmp_path / "east", TimezoneOffsetFromUTC="+1400"))
    (behind, *_) = export(tmp_path / "b", scanned(tmp_path / "west", TimezoneOffsetFromUTC="-1000"))
    assert int(ahead.ContentDate) > int(behind.ContentDate)  # 24 hours between the zones
    assert ahead.TimezoneOffsetFromUTC == "+1400"


def test_what_identifies_a_study_and_is_missing_is_made_up(tmp_path: Path) -> None:
    def bare(_: int, slice_: Dataset) -> Dataset:
        for keyword in ("StudyInstanceUID", "PatientName", "PatientID"):
            delattr(slice_, keyword)
        return slice_

    made = export(tmp_path / "out", scanned(tmp_path / "source", bare))
    assert len({(one.StudyInstanceUID, one.FrameOfReferenceUID) for one in made}) == 1
    assert made[0].StudyInstanceUID.is_valid and made[0].FrameOfReferenceUID.is_valid
    for keyword in ("PatientName", "PatientID", "StudyDate", "AccessionNumber", "KVP", "PatientPosition"):
        assert keyword in made[0] and not made[0][keyword].value  # type 2: there, and empty


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_values_that_are_none_of_their_kind_stay_behind(tmp_path: Path) -> None:
    """What a careless program writes must not end an export: in implicit VR any text can stand anywhere."""
    wrong = {"PatientWeight": "70 kg", "KVP": "abc", "InstanceNumber": "first", "SeriesNumber": "1.5"}

    def careless(_: int, slice_: Dataset) -> Dataset:
        slice_.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        for keyword, value in wrong.items():
            slice_.add(DataElement(tag_for_keyword(keyword), "LO", value))
        slice_.PatientID, slice_.StudyDate, slice_.SpecificCharacterSet = "i" * 70, "2026-01-02", "KLINGON"
        slice_.SeriesDescription = ""
        return slice_

    made = export(tmp_path / "out", scanned(tmp_path / "source", careless))
    assert "PatientWeight" not in made[0] and made[0].KVP is None
    assert [one.InstanceNumber for one in made] == list(range(1, 13)) and made[0].SeriesNumber == 90011
    assert made[0].PatientID == "i" * 70  # an archive knows the patient by it
    assert made[0].SpecificCharacterSet == "ISO_IR 192" and "without a name" in made[0].SeriesDescription


def test_phases_of_one_source_share_its_study_and_nothing_else(tmp_path: Path, source: DicomSeries) -> None:
    (arterial, *_), (venous, *_) = (
        export(tmp_path / phase, source, provenance={"S2LDM_phase": phase}) for phase in ("arterial", "venous")
    )
    assert arterial.StudyInstanceUID == venous.StudyInstanceUID
    for keyword in ("SeriesInstanceUID", "SOPInstanceUID", "SeriesNumber", "SeriesDescription"):
        assert arterial[keyword].value != venous[keyword].value


def test_a_synthetic_series_is_no_source(tmp_path: Path, source: DicomSeries) -> None:
    export(tmp_path / "out", source)
    with pytest.raises(InputError, match="is synthetic itself"):
        export(tmp_path / "again", find_series(tmp_path / "out"))


def test_provenance_of_nothing_is_refused(tmp_path: Path, source: DicomSeries) -> None:
    with pytest.raises(InputError, match="does not say how it was made"):
        write_synthetic(source.read(), tmp_path / "out", source, {"description": "a CT"}, ExportOptions())
    assert not (tmp_path / "out").exists()
