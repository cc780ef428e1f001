"""Real scans in DICOM, from the folder to a PACS, by the command line and the bundled model."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pacs import Pacs
from readers import difference, read_with_dcm2niix, read_with_gdcm, read_with_pydicom, read_with_slicer
from S2LDMLib.dicom.reading.series import find_series, list_series
from tools import files
from validators import dciodvfy_errors, dicom_validator_errors

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "dicom"
ZIPPED, JPEG2000 = SHARED / "HCC_005_19990123_multiphase_dicom.zip", SHARED / "jpeg2000_portal_20slices"
NOT_OURS = ("ContrastBolusAgent", "ContrastBolusVolume", "ContrastBolusRoute", "ContrastFlowRate", "InstitutionName")


@dataclass(frozen=True)
class Translated:
    """source: the folder that was given. uid: of its series. folder: what was written."""

    source: Path
    uid: str
    folder: Path


@pytest.fixture(scope="module")
def translated(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Translated]:
    made: dict[str, Translated] = {}

    def give(name: str) -> Translated:
        if name not in made:
            place = tmp_path_factory.mktemp(name)
            made[name] = {"multiphase": from_multiphase, "jpeg2000": from_jpeg2000}[name](place)
        return made[name]

    return give


def from_multiphase(place: Path) -> Translated:
    """The non-contrast series of a study with three, chosen as a user would: by the list."""
    if not ZIPPED.is_file():
        pytest.skip(f"real data is absent: {ZIPPED}")
    with zipfile.ZipFile(ZIPPED) as archive:
        archive.extractall(place / "study")
    chosen = max(list_series(place / "study"), key=lambda series: series.slices)
    return translate(place / "study", chosen.uid, place / "synthetic")


def from_jpeg2000(place: Path) -> Translated:
    if not JPEG2000.is_dir():
        pytest.skip(f"real data is absent: {JPEG2000}")
    return translate(JPEG2000, "", place / "synthetic")


def translate(source: Path, uid: str, folder: Path) -> Translated:
    words = ["translate", str(source), str(folder), "--phase", "venous", "--format", "dicom", "--progress", "none"]
    words += ["--series", uid] if uid else []
    done = subprocess.run([sys.executable, "-m", "S2LDMLib", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return Translated(source, uid, folder)


both = pytest.mark.parametrize("name", ["multiphase", "jpeg2000"])


@both
def test_no_validator_finds_an_error(translated: Callable[[str], Translated], name: str) -> None:
    assert dciodvfy_errors(translated(name).folder) == []
    assert dicom_validator_errors(translated(name).folder) == []


@both
def test_the_series_lies_on_its_source_slice_by_slice(translated: Callable[[str], Translated], name: str) -> None:
    made = translated(name)
    source, ours = find_series(made.source, made.uid or None), find_series(made.folder)
    for theirs, one in zip(source.slices, ours.slices, strict=True):
        assert np.array_equal(theirs.position, one.position) and theirs.spacing == one.spacing
        header = one.header
        assert (header.SyntheticData, header.ImageType[3]) == ("YES", "SYNTHETIC")
        assert header.SeriesDescription.startswith("SYNTHETIC") and header.PatientID == theirs.header.get("PatientID")
        assert not [keyword for keyword in NOT_OURS if keyword in header]
    changed = sitk.GetArrayFromImage(ours.read()).astype(int) - sitk.GetArrayFromImage(source.read())
    assert (changed > 20).any() and np.abs(changed).max() < 700


@both
def test_four_readers_agree(translated: Callable[[str], Translated], name: str, tmp_path: Path) -> None:
    folder = translated(name).folder
    expected = find_series(folder).read()
    read = (read_with_gdcm(folder), read_with_pydicom(folder), read_with_slicer(folder))
    for image in (*read, read_with_dcm2niix(folder, tmp_path)):
        distance, hu = difference(image, expected)
        assert distance < 0.01 and hu == 0


def test_a_pacs_keeps_it_in_the_study(translated: Callable[[str], Translated], pacs: Pacs, tmp_path: Path) -> None:
    made = translated("multiphase")
    pacs.store(made.source)
    pacs.store(made.folder)
    header = pydicom.dcmread(files(made.folder)[0], stop_before_pixels=True)
    keys = [f"StudyInstanceUID={header.StudyInstanceUID}", "SeriesInstanceUID"]
    found = {str(series.SeriesInstanceUID) for series in pacs.find("SERIES", tmp_path / "found", keys)}
    assert found == {str(header.SeriesInstanceUID), *(series.uid for series in list_series(made.source))}
