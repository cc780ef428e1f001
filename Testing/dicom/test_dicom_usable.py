"""What is no slice of CT values is listed as not usable, with the reason, and refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from dicom_maker import ct_array, write_enhanced, write_series
from pydicom import Dataset
from pydicom.uid import generate_uid
from refusals import refused
from S2LDMLib.dicom.reading.series import find_series, list_series

STORED = ct_array((4, 16, 16)) + 1024


def in_unit(code: str) -> list[Dataset]:
    """A RealWorldValueMappingSequence."""
    unit, mapping = Dataset(), Dataset()
    unit.CodeValue, unit.CodingSchemeDesignator, unit.CodeMeaning = code, "UCUM", code
    mapping.MeasurementUnitsCodeSequence = [unit]
    return [mapping]


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"ImageType": ["DERIVED", "SECONDARY", "MIP"]}, "projections (MIP)"),
        ({"ImageType": ["DERIVED", "SECONDARY", "REFORMATTED", "MIN_IP"]}, "projections (MinIP)"),
        ({"ImageType": ["DERIVED", "SECONDARY", "AXIAL", "MINIP"]}, "projections (MinIP)"),
        ({"ImageType": ["DERIVED", "SECONDARY", "REFORMATTED", "AVERAGE"]}, "projections (average)"),
        ({"ImageType": ["DERIVED", "PRIMARY", "VOLUME", "MAXIMUM"]}, "projections (MIP)"),
        ({"DerivationDescription": "Maximum Intensity Projection, 20 mm"}, "projections (MIP)"),
        ({"DerivationDescription": "MinIP"}, "projections (MinIP)"),
        ({"DerivationDescription": "AVG"}, "projections (average)"),
        ({"ImageType": ["DERIVED", "PRIMARY", "PERFUSION", "CBF"]}, "perfusion maps"),
        ({"ImageType": ["DERIVED", "SECONDARY", "OTHER", "TTP"]}, "perfusion maps"),
        ({"ImageType": ["DERIVED", "PRIMARY", "AXIAL", "IODINE NO WATER"]}, "iodine maps"),
        ({"ImageType": ["DERIVED", "PRIMARY", "AXIAL", "MAT_SPECIFIC"]}, "maps of density or material"),
        ({"ImageType": ["DERIVED", "PRIMARY", "AXIAL", "Z EFFECTIVE"]}, "maps of density or material"),
        ({"RescaleType": "mg/ml"}, "maps in mg/ml and not in HU"),
        ({"RescaleType": "HU", "RealWorldValueMappingSequence": in_unit("ml/100ml/min")}, "maps in ml/100ml/min"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "SCOUT"]}, "localizers (scouts)"),
        ({"SeriesDescription": "Topogram 0.6 T20s"}, "localizers (scouts)"),
    ],
)
def test_no_ct_slices_are_listed_with_the_reason_and_refused(tmp_path: Path, tags: dict, reason: str) -> None:
    usable, other = generate_uid(), generate_uid()
    write_series(tmp_path / "a", STORED, SeriesInstanceUID=usable)
    write_series(tmp_path / "b", STORED, SeriesInstanceUID=other, **tags)
    assert [one.problem.startswith(reason) for one in list_series(tmp_path) if one.uid == other] == [True]
    assert find_series(tmp_path).uid == usable
    refused(tmp_path, f"not a CT but {reason}", usable, series_uid=other)
    refused(tmp_path / "b", "no CT slices", reason, "non-contrast")


@pytest.mark.parametrize(
    "tags",
    [
        {"RescaleType": "HU", "RealWorldValueMappingSequence": in_unit("[hnsf'U]")},
        {"RescaleType": "US"},
        {"ImageType": ["DERIVED", "SECONDARY", "MPR"]},
        {"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 SPI"]},
        {"ImageType": ["DERIVED", "PRIMARY", "AXIAL", "VMI"]},
        {"ImageType": ["DERIVED", "PRIMARY", "AXIAL", "IODINE_REMOVED"]},
        {"ImageType": ["DERIVED", "PRIMARY", "AXIAL", "MAT_REMOVED"]},
        {"SeriesDescription": "mean and lean, after the scout"},
        {"DerivationDescription": "Averaged noise, lossy 10:1, iodine contrast given"},
    ],
)
def test_what_is_in_hu_is_usable_whatever_was_done_to_it(tmp_path: Path, tags: dict) -> None:
    write_series(tmp_path, STORED, **tags)
    assert [one.problem for one in list_series(tmp_path)] == [""]


@pytest.mark.parametrize("where", ["frame", "frame type", "unit"])
def test_a_frame_of_a_multi_frame_file_tells_it_too(tmp_path: Path, where: str) -> None:
    def edit(_: int, groups: Dataset) -> None:
        kind = Dataset()
        kind.FrameType = ["DERIVED", "PRIMARY", "VOLUME", "MINIMUM" if where == "frame type" else "NONE"]
        groups.CTImageFrameTypeSequence = [kind]
        if where == "frame":
            groups.PixelValueTransformationSequence[0].RescaleType = "MGML"
        if where == "unit":
            groups.RealWorldValueMappingSequence = in_unit("mg/cm3")

    words = {"frame": "maps in MGML", "frame type": "projections (MinIP)", "unit": "maps in mg/cm3"}[where]
    refused(write_enhanced(tmp_path / "frames.dcm", STORED, edit), words)
