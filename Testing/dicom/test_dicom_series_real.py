"""Real DICOM of patients: the volume is the one that ITK stacks, and the one that its NIfTI holds."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from refusals import refused
from S2LDMLib.dicom.reading.series import find_series, list_series
from S2LDMLib.reading import read_volume
from shared_data import SHARED_DATA


def shared(name: str) -> Path:
    path = SHARED_DATA / name
    if not path.exists():
        pytest.skip(f"shared data absent: {path}")
    return path


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    with zipfile.ZipFile(shared("dicom/HCC_005_19990123_multiphase_dicom.zip")) as archive:
        archive.extractall(folder)
    return folder


def stacked_by_itk(files: list[Path]) -> sitk.Image:
    """Of files in order; ITK's own reader, which checks nothing."""
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(list(map(str, files)))
    return reader.Execute()


def assert_same(image: sitk.Image, expected: sitk.Image) -> None:
    assert np.array_equal(sitk.GetArrayViewFromImage(image), sitk.GetArrayViewFromImage(expected))
    assert np.allclose(image.GetOrigin(), expected.GetOrigin(), rtol=0, atol=1e-6)
    assert np.allclose(image.GetSpacing(), expected.GetSpacing(), rtol=0, atol=1e-6)
    assert np.allclose(image.GetDirection(), expected.GetDirection(), rtol=0, atol=1e-9)


def test_every_series_of_a_real_study_equals_what_itk_reads(study):
    found = list_series(study)
    assert [(one.description, one.slices, one.phase_hint) for one in found] == [
        ("PRE LIVER", 48, "without contrast"),
        ("Recon 2: LIVER 3 PHASE (AP)", 8, "contrast"),
        ("LIVER 3 PHASE (AP)", 8, "contrast"),
    ]
    for one in found:
        series = find_series(study, one.uid)
        assert series.regular and series.warnings == () and len(series.slices) == one.slices
        reader = sitk.ImageSeriesReader()
        names = reader.GetGDCMSeriesFileNames(str(series.slices[0].path.parent), one.uid)
        assert [str(each.path) for each in series.slices] == list(names)
        assert_same(series.read(), stacked_by_itk(names))


def test_several_real_series_are_listed_and_the_chosen_one_equals_its_nifti(study):
    message = refused(study, "3 CT series", '"PRE LIVER" (48 slices, without contrast)')
    uid = message.split(' "PRE LIVER"')[0].split()[-1]
    image = read_volume(study, uid)
    expected = read_volume(shared("native/HCC_005_19990123/ncct.nii.gz"))
    assert np.array_equal(sitk.GetArrayViewFromImage(image), sitk.GetArrayViewFromImage(expected))
    assert np.allclose(image.GetOrigin(), expected.GetOrigin(), atol=1e-3)
    assert np.allclose(image.GetSpacing(), expected.GetSpacing(), atol=1e-5)


def test_jpeg2000_series_equals_what_itk_reads():
    folder = shared("dicom/jpeg2000_portal_20slices")
    series = find_series(folder)
    image = series.read()
    assert image.GetSize() == (512, 512, 20)
    assert image.GetSpacing() == pytest.approx((0.9765625, 0.9765625, 2.0))
    assert sitk.GetArrayViewFromImage(image).min() == -1024
    assert_same(image, stacked_by_itk([one.path for one in series.slices]))
