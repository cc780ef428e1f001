"""To a real PACS and back: source and synthetic series in one study, bytes and geometry unchanged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from kinds import Exported
from pacs import Pacs
from readers import difference, read_with_gdcm
from tools import files

KEPT = ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "PatientID", "ImageType", "SyntheticData",
        "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")  # fmt: skip


@pytest.mark.parametrize("kind", ["plain", "enhanced", "tilted", "jpeg2000", "resampled"])
def test_a_series_comes_back_in_the_study_of_its_source(
    exported: Callable[[str], Exported], pacs: Pacs, kind: str, tmp_path: Path
) -> None:
    made = exported(kind)
    pacs.store(made.source)
    pacs.store(made.folder)
    ours, source = first_of(made.folder), first_of(made.source)
    study = str(source.StudyInstanceUID)

    studies = pacs.find("STUDY", tmp_path / "studies", [f"StudyInstanceUID={study}", "PatientID", "PatientName"])
    assert [str(one.StudyInstanceUID) for one in studies] == [study]
    series = pacs.find(
        "SERIES", tmp_path / "series",
        [f"StudyInstanceUID={study}", "SeriesInstanceUID", "SeriesDescription", "NumberOfSeriesRelatedInstances"],
    )  # fmt: skip
    found = {str(one.SeriesInstanceUID): one for one in series}
    assert set(found) == {str(source.SeriesInstanceUID), str(ours.SeriesInstanceUID)}
    assert found[str(ours.SeriesInstanceUID)].SeriesDescription.startswith("SYNTHETIC")
    assert int(found[str(ours.SeriesInstanceUID)].NumberOfSeriesRelatedInstances) == len(files(made.folder))

    pacs.get(study, str(ours.SeriesInstanceUID), tmp_path / "back")
    assert_same_instances(made.folder, tmp_path / "back")
    assert difference(read_with_gdcm(tmp_path / "back"), made.image) < (0.01, 0.5)


@pytest.mark.parametrize("kind", ["plain", "jpeg2000"])
def test_the_source_is_unharmed_beside_our_series(
    exported: Callable[[str], Exported], pacs: Pacs, kind: str, tmp_path: Path
) -> None:
    made = exported(kind)
    pacs.store(made.source)
    pacs.store(made.folder)
    source = first_of(made.source)
    fetch = pacs.move if kind == "jpeg2000" else pacs.get
    fetch(str(source.StudyInstanceUID), str(source.SeriesInstanceUID), tmp_path / "back")
    assert_same_instances(made.source, tmp_path / "back")


@pytest.mark.parametrize("kind", ["nifti", "anonymized"])
def test_a_new_study_is_found_by_its_patient(
    exported: Callable[[str], Exported], pacs: Pacs, kind: str, tmp_path: Path
) -> None:
    folder = exported(kind).folder
    pacs.store(folder)
    ours = first_of(folder)
    found = pacs.find("STUDY", tmp_path / "studies", [f"PatientID={ours.PatientID}", "PatientName", "StudyInstanceUID"])
    assert [str(one.StudyInstanceUID) for one in found] == [str(ours.StudyInstanceUID)]
    assert str(found[0].PatientName).startswith("SYNTHETIC")


def first_of(folder: Path) -> pydicom.Dataset:
    return pydicom.dcmread(files(folder)[0])


def assert_same_instances(sent: Path, back: Path) -> None:
    """Pixels byte by byte, and what the PACS must not touch."""
    pairs = [{str(one.SOPInstanceUID): one for one in map(pydicom.dcmread, files(folder))} for folder in (sent, back)]
    assert pairs[0].keys() == pairs[1].keys()
    for uid, one in pairs[0].items():
        assert one.PixelData == pairs[1][uid].PixelData and np.array_equal(one.pixel_array, pairs[1][uid].pixel_array)
        assert [one.get(name) for name in KEPT] == [pairs[1][uid].get(name) for name in KEPT]
