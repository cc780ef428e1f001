"""The scores against values computed by hand or in another way, and where they are taken."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from prepared_maker import write_case, write_manifest, write_phantom
from S2LDMLib.errors import InputError
from S2LDMLib.phantom.scan import PhantomTriple
from S2LDMLib.phantom.tissues import LABELS
from S2LDMTrainerLib.data import Case, load_cases
from S2LDMTrainerLib.scoring.regions import Regions, find_regions
from S2LDMTrainerLib.scoring.rois import read_rois, roi_mask
from S2LDMTrainerLib.scoring.scores import bias, mae, mean_over, means_by_label, nmae, nmse, psnr, ssim_map, windowed

SHAPE = (2, 24, 20)


def images(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A real image with structure, and a synthetic one that misses some of it; int16 HU, partly outside the window."""
    rng = np.random.default_rng(seed)
    real = rng.normal(40, 30, SHAPE) + 300 * (np.arange(20) > 13) - 400 * (np.arange(24) < 5)[:, None]
    return (real + rng.normal(10, 40, real.shape)).astype(np.int16), real.astype(np.int16)


def everywhere(image: np.ndarray) -> np.ndarray:
    return np.ones(image.shape, bool)


def test_psnr_of_an_offset_is_analytic() -> None:
    real = np.full((1, 3, 3), 20)
    for offset, expected in ((40, 20.0), (4, 40.0)):
        assert psnr(real + offset, real, everywhere(real)) == pytest.approx(expected, abs=1e-9)


def test_psnr_is_that_of_the_masked_voxels_at_the_window() -> None:
    made, real = images()
    mask = np.random.default_rng(1).random(real.shape) < 0.3
    error = np.clip(made[mask], -200, 200).astype(float) - np.clip(real[mask], -200, 200)
    expected = pytest.approx(10 * math.log10(400**2 / np.mean(error**2)), abs=1e-9)
    assert psnr(made, real, mask) == expected
    made[~mask] = 3000
    assert psnr(made, real, mask) == expected


def test_the_window_hides_what_lies_beyond_it() -> None:
    assert windowed(np.array([-1024, -200, 0, 200, 900])).tolist() == [0, 0, 200, 400, 400]
    dense, air = np.full((1, 2, 2), 500), np.full((1, 2, 2), -900)
    assert psnr(dense + 300, dense, everywhere(dense)) == math.inf
    assert nmse(air - 100, air + 1000, everywhere(air)) == pytest.approx(1.0)
    assert mae(dense + 300, dense, everywhere(dense)) == 300


def test_errors_by_hand() -> None:
    real, made = np.array([[[-100, 0]]]), np.array([[[-90, 10]]])
    # From -200 HU as 0: real is 100 and 200, each error 10.
    assert nmae(made, real, everywhere(real)) == pytest.approx(20 / 300)
    assert nmse(made, real, everywhere(real)) == pytest.approx(200 / 50_000)
    real, made = np.array([[[0, 0, 7]]], np.int16), np.array([[[10, -30, 900]]], np.int16)
    mask = np.array([[[True, True, False]]])
    assert (mae(made, real, mask), bias(made, real, mask), mean_over(made, mask)) == (20, -10, -10)
    low, high = np.full((1, 1, 1), -20_000, np.int16), np.full((1, 1, 1), 20_000, np.int16)
    assert bias(high, low, everywhere(low)) == 40_000, "the difference of int16 overflows"


def test_scores_of_an_empty_mask_are_undefined() -> None:
    made, real = images()
    nowhere = ~everywhere(real)
    assert all(math.isnan(score(made, real, nowhere)) for score in (psnr, nmae, nmse, mae, bias))
    assert math.isnan(mean_over(ssim_map(made, real), nowhere))


def ssim_at(made: np.ndarray, real: np.ndarray, row: int, column: int) -> float:
    """Wang's formula at one pixel, written out: weighted mean, variance, covariance in an 11 x 11 window."""
    axis = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    weights = np.outer(axis, axis) / np.outer(axis, axis).sum()
    part = slice(row - 5, row + 6), slice(column - 5, column + 6)
    x, y = (np.clip(image[part].astype(float), -200, 200) + 200 for image in (made, real))
    mx, my = (weights * x).sum(), (weights * y).sum()
    vx, vy = (weights * (x - mx) ** 2).sum(), (weights * (y - my) ** 2).sum()
    cov = (weights * (x - mx) * (y - my)).sum()
    c1, c2 = (0.01 * 400) ** 2, (0.03 * 400) ** 2
    return (2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))


def test_ssim_is_wangs_formula_slice_by_slice() -> None:
    made, real = images()
    found = ssim_map(made, real)
    for plane, row, column in [(0, 5, 5), (0, 12, 9), (1, 18, 14), (1, 7, 11)]:
        assert found[plane, row, column] == pytest.approx(ssim_at(made[plane], real[plane], row, column), abs=1e-4)
    made[1] = 0
    assert np.array_equal(ssim_map(made, real)[0], found[0], equal_nan=True)


def test_ssim_of_constants_is_analytic_and_of_equals_one() -> None:
    made, real = np.full((1, 15, 15), 0), np.full((1, 15, 15), 100)
    c1 = (0.01 * 400) ** 2
    # Here, where all variance is a rounding error, single precision is at its worst.
    assert ssim_map(made, real)[0, 7, 7] == pytest.approx((2 * 200 * 300 + c1) / (200**2 + 300**2 + c1), abs=1e-3)
    image = images()[0]
    assert np.nanmin(ssim_map(image, image)) == pytest.approx(1.0, abs=1e-4)


def test_ssim_has_no_value_where_its_window_leaves_the_slice() -> None:
    found = np.isfinite(ssim_map(*images()))
    assert found[:, 5:-5, 5:-5].all() and found.sum() == found[:, 5:-5, 5:-5].sum()
    assert np.isnan(ssim_map(*(image[:, :10] for image in images()))).all()


def test_means_by_label_are_those_of_each_mask() -> None:
    values, _ = images()
    labels = np.random.default_rng(2).choice([0, 1, 3, 117], values.shape).astype(np.uint8)
    found = means_by_label(values, labels)
    assert set(found) == {1, 3, 117}
    for label, mean in found.items():
        assert mean == pytest.approx(values[labels == label].mean())


SOFT, FAT, BONE = (slice(30, 70), slice(30, 90)), (slice(10, 90), slice(10, 110)), (slice(74, 86), slice(40, 80))


def patient(tmp_path: Path, labelled: bool) -> Case:
    """Fat with a soft block, half of it (from column 60) enhanced by 60 HU, and a bone, 2 mm pixels, 6 slices."""
    ncct = np.full((6, 100, 120), -1000, np.int16)
    for part, hu in ((FAT, -100), (SOFT, 50), (BONE, 300)):
        ncct[:, *part] = hu
    cect = ncct.copy()
    cect[:, SOFT[0], 60:90] += 60
    valid = np.ones_like(ncct, np.uint8)
    valid[0] = 0
    arrays = {"ncct": ncct, "arterial": cect, "arterial_valid": valid}
    names = {}
    if labelled:
        arrays["labels"] = np.zeros_like(valid)
        arrays["labels"][:, *BONE], arrays["labels"][:, *SOFT] = 1, 2
        names = {1: "vertebrae_L1", 2: "liver"}
    write_case(tmp_path / "block", arrays, spacing=(2.0, 2.0, 5.0), label_names=names)
    write_manifest(tmp_path, {"block": "validation"})
    return load_cases(tmp_path)[0]


def columns(mask: np.ndarray) -> tuple[int, int]:
    """First and last column of a mask in the third slice."""
    found = np.flatnonzero(mask[2].any(axis=0))
    return int(found[0]), int(found[-1])


@pytest.fixture(scope="module")
def regions(tmp_path_factory: pytest.TempPathFactory) -> Regions:
    return find_regions(patient(tmp_path_factory.mktemp("plain"), labelled=False), "arterial")


def test_regions_hold_measured_voxels_only(regions: Regions) -> None:
    for mask in (regions.volume, regions.body, regions.soft_core, regions.enhanced, regions.unchanged):
        assert not mask[0].any() and mask[2].any()
    assert regions.volume[1:].all()
    assert not regions.body[2, :8].any() and regions.body[2, 14:86, 14:106].all()


def test_the_soft_core_ends_two_pixels_within_soft_tissue(regions: Regions) -> None:
    first, last = columns(regions.soft_core & (np.arange(100) < 65)[:, None])
    assert 32 <= first <= 34 and 85 <= last <= 87


def test_enhanced_and_unchanged_tissue_are_apart(regions: Regions) -> None:
    assert columns(regions.enhanced)[0] in (59, 60, 61)
    assert not (regions.enhanced & regions.unchanged).any()
    assert regions.unchanged[2, 40:60, 34:57].all()
    assert not regions.unchanged[2, 34:66, 63:86].any()
    assert regions.unchanged[2, 15:25, 20:100].all() and regions.unchanged[2, 78:82, 45:75].all()


def test_labels_say_what_must_not_change(tmp_path: Path) -> None:
    regions = find_regions(patient(tmp_path, labelled=True), "arterial")
    assert regions.labels is not None and regions.label_cores is not None
    bone = np.zeros_like(regions.unchanged)
    bone[1:, 76:84, 42:78] = True
    assert np.array_equal(regions.label_cores == 1, bone)
    assert np.array_equal(regions.labels[2] == 1, np.pad(np.ones((12, 40), bool), ((74, 14), (40, 40))))
    assert not regions.unchanged[2, SOFT[0], SOFT[1]].any(), "the unenhanced part of a labelled liver may change"
    assert regions.unchanged[2, 76:84, 42:78].all() and regions.unchanged[2, 15:25, 20:100].all()
    assert not regions.labels[0].any()


def rois_file(folder: Path, content: object) -> Path:
    file = folder / "rois.json"
    file.write_text(json.dumps(content))
    return file


def test_a_disc_lies_in_the_nearest_slice_of_any_grid(tmp_path: Path) -> None:
    place = ((1.5, 2.0, 5.0), (7.0, -3.0, 11.0), (0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0))
    write_case(tmp_path / "turned", {"cect": np.zeros((5, 30, 20), np.int16)}, *place)
    write_manifest(tmp_path, {"turned": "train"})
    case = load_cases(tmp_path)[0]
    image = case.image("cect")
    centre = image.TransformContinuousIndexToPhysicalPoint((9.3, 14.6, 2.4))
    (roi,) = read_rois(rois_file(tmp_path, {"turned": {"aorta": [{"center_lps_mm": centre, "radius_mm": 6.0}]}}))[
        "turned"
    ]
    nearest = image.TransformContinuousIndexToPhysicalPoint((9.3, 14.6, 2.0))
    expected = {
        index
        for index in np.ndindex(5, 30, 20)
        if index[0] == 2 and math.dist(image.TransformIndexToPhysicalPoint(index[::-1]), nearest) <= 6.0
    }
    found = {tuple(map(int, index)) for index in np.argwhere(roi_mask(roi, case))}
    assert found == expected and len(found) > 30


def test_further_discs_of_a_name_are_numbered(tmp_path: Path) -> None:
    disc = {"center_lps_mm": [1, 2, 3], "radius_mm": 6.0, "measured_hu": {"ncct": 40}}
    file = rois_file(tmp_path, {"a": {"aorta": [disc, disc], "liver": [disc]}})
    assert [roi.name for roi in read_rois(file)["a"]] == ["aorta", "aorta_2", "liver"]


def test_rois_of_another_form_are_refused(tmp_path: Path) -> None:
    (tmp_path / "half.json").write_text("{")
    with pytest.raises(InputError, match=r"half\.json"):
        read_rois(tmp_path / "half.json")
    centre = {"center_lps_mm": [1, 2, 3]}
    discs = ({"radius_mm": 6}, {"center_lps_mm": [1, 2], "radius_mm": 6}, centre | {"radius_mm": -6}, centre)
    for content in ([], {"a": 3}, *({"a": {"aorta": [disc]}} for disc in discs)):
        with pytest.raises(InputError, match=r"rois\.json"):
            read_rois(rois_file(tmp_path, content))


def test_phantom_regions_follow_its_labels(tmp_path: Path, phantom: PhantomTriple) -> None:
    """On the phantom without labels, what is found by HU alone is right by its labels."""
    (write_phantom(tmp_path / "p", phantom) / "labels.npy").unlink()
    write_manifest(tmp_path, {"p": "validation"})
    regions = find_regions(load_cases(tmp_path)[0], "venous")
    labels = sitk.GetArrayFromImage(phantom.labels)

    def share(region: np.ndarray, *names: str) -> float:
        return float(np.isin(labels[region], [LABELS[name] for name in names]).mean())

    quiet = ("fat", "muscle", "bone", "disc", "bowel_fluid", "stool")
    others = ("skin", "cartilage", "gallbladder", "spinal_canal", "oral_contrast", "renal_pelvis")
    assert share(regions.unchanged, *quiet, *others) > 0.97
    assert share(regions.enhanced, *quiet) < 0.02
