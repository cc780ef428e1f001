"""What the input checks measure: contrast in short scans, noise, spacing; and who is told of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from body_part_maker import abdomen
from command_line import Cli
from dicom_maker import image_of
from S2LDMLib.guard.coarse_scan import coarse_scan
from S2LDMLib.guard.contrast import ENHANCED_LENGTH_MM, length_limit
from S2LDMLib.guard.input_checks import check_input
from S2LDMLib.guard.input_report import InputReport, Score
from S2LDMLib.guard.noise import NOISE_LIMIT_HU, noise_for_model, noise_of_scan
from S2LDMLib.phantom.scan import PhantomTriple, make_phantom
from S2LDMLib.pipeline import S2LDMPipeline
from S2LDMLib.reading import read_volume
from shared_data import SHARED_DATA


def checked(image: sitk.Image) -> InputReport:
    return check_input(image, (1, 1, 1))


def values(report: InputReport) -> dict[str, float | None]:
    return {score.name: score.value for score in report.scores}


def with_noise(image: sitk.Image, deviation: float) -> sitk.Image:
    hu = sitk.GetArrayFromImage(image)
    noisy = sitk.GetImageFromArray((hu + np.random.default_rng(0).normal(0, deviation, hu.shape)).astype(np.float32))
    noisy.CopyInformation(image)
    return noisy


# Coarse scan ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_a_survey_is_the_same_for_any_axis_order(phantom: PhantomTriple, order: tuple[int, int, int]):
    expected, seen = coarse_scan(phantom.ncct), coarse_scan(sitk.PermuteAxes(phantom.ncct, order))
    assert seen.spacing == expected.spacing
    assert np.array_equal(seen.hu, expected.hu) and np.array_equal(seen.body, expected.body)


def test_a_volume_with_fewer_voxels_than_a_cell_can_be_surveyed():
    image = image_of(np.full((3, 40, 40), 40, np.int16), (0.5, 0.5, 0.5))
    assert coarse_scan(image).hu.shape == (1, 13, 13)


def test_the_outline_is_measured_where_the_border_cuts_it():
    whole = abdomen()
    assert coarse_scan(whole).cut_mm().max() == 0
    half = coarse_scan(whole[128:])
    assert half.cut_mm().min() == pytest.approx(230, rel=0.15), "depth of the made-up patient in the middle"


# Contrast in a short scan ------------------------------------------------------------------------------------------


def test_a_real_enhanced_slab_of_40_mm_is_warned_of():
    folder = SHARED_DATA / "dicom" / "jpeg2000_portal_20slices"
    if not folder.exists():
        pytest.skip(f"shared data absent: {folder}")
    report = checked(read_volume(folder))
    assert report.enhanced
    assert "may be contrast-enhanced" in report.warnings[0] and "only 40 mm" in report.warnings[0]
    assert report.notes == ()


def test_a_slab_without_contrast_is_noted_as_too_short_and_not_warned_of(phantom: PhantomTriple):
    report = checked(phantom.ncct[:, :, :10])
    assert (report.warnings, report.enhanced) == ((), False)
    assert "only 50 mm" in report.notes[0]


def test_the_limit_grows_with_the_scan_up_to_its_full_length():
    limits = [length_limit(coarse_scan(abdomen()[:, :, :count])) for count in (4, 10, 16, 17)]
    assert limits == pytest.approx([18, 45, 72, ENHANCED_LENGTH_MM])


# Noise -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("deviation", [5.0, 12.0, 30.0])
def test_noise_of_a_known_size_is_read(deviation: float):
    image = make_phantom(seed=1, size=(256, 200, 4), noise_hu=deviation).ncct
    assert noise_for_model(coarse_scan(image)) == pytest.approx(deviation, rel=0.2)


def test_noise_of_thin_slices_is_told_apart_from_what_the_model_sees():
    thin = sitk.Expand(abdomen(noise=0)[:, :, :20], [2, 2, 4], sitk.sitkNearestNeighbor)  # 1 x 1 x 1.25 mm
    report = checked(with_noise(thin, 60))
    assert values(report)["noise_on_own_grid_hu"] > 50
    assert values(report)["noise_hu"] < NOISE_LIMIT_HU
    assert report.warnings == ()


def test_noise_is_the_same_for_any_axis_order():
    image = abdomen()
    assert noise_of_scan(sitk.PermuteAxes(image, [2, 0, 1])) == noise_of_scan(image)


def test_too_much_noise_is_warned_of_with_its_figure():
    report = checked(with_noise(abdomen(), 40))
    (warning,) = report.warnings
    assert warning.startswith(f"The noise is {values(report)['noise_hu']:.0f} HU")


def test_edges_organs_and_gas_are_not_taken_for_noise():
    assert noise_for_model(coarse_scan(abdomen(noise=0))) < 1


def test_noise_that_cannot_be_measured_is_noted():
    hu = np.full((4, 60, 60), -1000, np.int16)
    hu[:, 20:40, 20:40] = 40
    hu[:, 25:35, 25:35] = -100
    report = checked(image_of(hu, (1.5, 1.5, 5)))
    assert values(report)["noise_hu"] is None
    assert any("too little soft tissue" in note for note in report.notes)


def test_real_scans_are_below_the_noise_limit(real_ncct: sitk.Image):
    report = checked(real_ncct)
    assert 3 < values(report)["noise_hu"] < NOISE_LIMIT_HU - 2
    assert report.warnings == ()


# Who is told -------------------------------------------------------------------------------------------------------


def test_a_score_says_its_limit_and_whether_it_is_within():
    assert str(Score("noise_hu", 31.42, 20.0)) == "31.42 (at most 20)" and not Score("noise_hu", 31.42, 20.0).is_within
    assert str(Score("abdomen_part", 0.5, 0.5, at_least=True)) == "0.5 (at least 0.5)"
    assert Score("abdomen_part", 0.5, 0.5, at_least=True).is_within
    assert str(Score("noise_hu", None, 20.0)) == "not measured" and Score("noise_hu", None, 20.0).is_within


@pytest.mark.parametrize("deviation", [0, 40])
def test_every_score_beyond_its_limit_has_a_warning_and_no_other(deviation: float):
    report = checked(with_noise(abdomen()[128:], deviation))
    assert len(report.warnings) == sum(not score.is_within for score in report.scores) == 1 + (deviation > 0)


def test_check_prints_every_figure_with_its_limit(tmp_path: Path, cli: Cli):
    sitk.WriteImage(with_noise(abdomen(), 40), str(tmp_path / "ct.nrrd"))
    warning, *lines = cli("check", tmp_path / "ct.nrrd").done().splitlines()
    assert warning.startswith("The noise is")
    assert any(line.startswith("  noise (HU) ") and "(at most 15)" in line for line in lines)
    found = cli("check", tmp_path / "ct.nrrd", "--json").json()
    assert found["warnings"] == [warning]
    assert found["scores"]["noise_hu"]["within"] is False
    assert found["scores"]["pixel_mm"] == {"value": 2.0, "limit": 2.0, "at_least": False, "within": True}


def test_header_and_sidecar_of_a_result_hold_scores_and_warnings(tmp_path: Path, small_model: Path, cli: Cli):
    source, result = tmp_path / "ct.nrrd", tmp_path / "made.nrrd"
    sitk.WriteImage(with_noise(abdomen()[:, :, :10], 40), str(source))
    options = ("--phase", "venous", "--model", small_model, "--sidecar", "--progress", "none")
    ended = cli("translate", source, result, *options)
    assert ended.code == 0 and "warning: The noise is" in ended.err
    sidecar = json.loads((tmp_path / "made.json").read_text())
    assert sidecar["S2LDM_input_warnings"].startswith("The noise is")
    assert "cannot be told for sure" in sidecar["S2LDM_input_notes"]
    assert sidecar["S2LDM_input_noise_hu"].endswith("(at most 15)")
    header = sitk.ReadImage(str(result))
    told = {key: value for key, value in sidecar.items() if key.startswith("S2LDM_input")}
    assert told == {key: header.GetMetaData(key) for key in told}


def test_a_result_of_a_usual_scan_says_that_nothing_was_found(phantom: PhantomTriple, small: S2LDMPipeline):
    made = small(phantom.ncct, "arterial")
    assert made.GetMetaData("S2LDM_input_warnings") == "none"
    assert made.GetMetaData("S2LDM_input_enhanced_vessel_mm") == "10 (at most 54)"
