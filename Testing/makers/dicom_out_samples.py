"""What the tests of DICOM output share: a scan with everything in its headers, and how a series is written and read."""

from __future__ import annotations

from pathlib import Path

import pydicom
import SimpleITK as sitk
from dicom_maker import Edit, ct_array
from dicom_maker import write_series as write_scan
from pydicom import Dataset
from S2LDMLib.dicom.reading.series import DicomSeries, find_series
from S2LDMLib.dicom.writing.options import ExportOptions
from S2LDMLib.dicom.writing.writer import write_series

STORED = ct_array() + 1024
REVISION = "06e9c48d10de7f66e8580a0d5d1e9096dc2ed64cfed615dcc300854545063ccc"
PROVENANCE = {
    "description": "SYNTHETIC arterial CECT by S2LDM 0.1.0; not a real scan",
    "S2LDM_model": "bundled", "S2LDM_revision": REVISION, "S2LDM_phase": "arterial", "S2LDM_steps": "4",
    "S2LDM_seed": "17", "S2LDM_detail": "native", "S2LDM_version": "0.1.0",
}  # fmt: skip
KEPT = {
    "PatientName": "Muster^Erika", "PatientID": "P-0815", "PatientBirthDate": "19570312", "PatientSex": "F",
    "PatientAge": "069Y", "StudyDate": "20260102", "StudyTime": "101112", "StudyID": "S1",
    "StudyDescription": "Abdomen", "AccessionNumber": "A-77", "ReferringPhysicianName": "Arzt^Anna",
    "BodyPartExamined": "ABDOMEN", "PatientPosition": "HFS", "FrameOfReferenceUID": "1.2.3.4.5",
    "PositionReferenceIndicator": "XY", "AcquisitionDate": "20260102", "AcquisitionTime": "101530",
    "AcquisitionNumber": 2, "KVP": 120,
}  # fmt: skip
LEFT = {
    "ContrastBolusAgent": "OMNIPAQUE", "ContrastBolusRoute": "IV", "ContrastBolusVolume": 100,
    "InstitutionName": "Klinikum", "OperatorsName": "Meier^M", "StationName": "CT1", "DeviceSerialNumber": "SN4711X",
    "PatientComments": "private", "AdditionalPatientHistory": "a history", "ImageComments": "seen by X",
    "OtherPatientNames": "Frau^M", "PatientAddress": "Street 1", "RequestingPhysician": "Arzt^B",
    "PerformedProcedureStepID": "9", "ProtocolName": "ABD", "SmallestImagePixelValue": 0,
}  # fmt: skip


def hostile(index: int, slice_: Dataset) -> Dataset:
    """What travels, what must not, and geometry in texts that no program would write by itself."""
    for keyword, value in {**KEPT, **LEFT}.items():
        setattr(slice_, keyword, value)
    slice_.Manufacturer, slice_.ManufacturerModelName, slice_.SeriesNumber = "GE", "LightSpeed", 3
    slice_.PixelSpacing, slice_.SliceThickness = ["2.0000", "1.50"], "5.00"
    slice_.ImagePositionPatient = ["-40.0", "-5.0e1", f"{100 + 5 * index}.000"]
    slice_.SliceLocation = f"{100 + 5 * index}.0"
    block = slice_.private_block(0x0009, "MAKER", create=True)
    block.add_new(0x01, "LO", "a private word")
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "113100", "DCM", "Basic Profile"
    item.private_block(0x0011, "MAKER", create=True).add_new(0x02, "LO", "another private word")
    slice_.PatientIdentityRemoved, slice_.DeidentificationMethodCodeSequence = "YES", [item]
    return slice_


def scanned(folder: Path, edit: Edit | None = None, **tags: object) -> DicomSeries:
    """A scan in a folder, found."""
    write_scan(folder, STORED, edit, **tags)
    return find_series(folder)


def instances(folder: Path) -> list[Dataset]:
    """The files of a folder in the order of their names."""
    return [pydicom.dcmread(file) for file in sorted(folder.iterdir())]


def export(
    folder: Path, source: DicomSeries | None, image: sitk.Image | None = None, provenance: dict | None = None,
    **options: object,
) -> list[Dataset]:  # fmt: skip
    """Writes a series and reads it back, in the order of its files."""
    image = source.read() if image is None else image
    write_series(image, folder, source, PROVENANCE | (provenance or {}), ExportOptions(**options))
    return instances(folder)


def resampled(source: DicomSeries) -> sitk.Image:
    """The scan on a finer grid of its own."""
    image = source.read()
    grid = sitk.Image([40, 50, 24], sitk.sitkInt16)
    grid.SetOrigin((-38.123456789, -49.5, 99.0))
    grid.SetSpacing((2.25, 1.8, 2.5))
    return sitk.Resample(image, grid, sitk.Transform(), sitk.sitkLinear, -1024, sitk.sitkInt16)
