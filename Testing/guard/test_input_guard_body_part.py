"""Which scans are taken for an abdomen: made-up parts of the body, the phantom, and real abdomens in many shapes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import SimpleITK as sitk
from body_part_maker import (
    Shape,
    abdomen,
    arm,
    chest,
    head,
    head_shapes,
    legs,
    limb,
    lungs,
    neck,
    neck_shapes,
    raised_arms,
    shoulders,
    stack,
    trunk,
)
from dicom_maker import image_of
from real_scans import ENHANCED, NON_CONTRAST
from S2LDMLib.guard.body_part import body_part
from S2LDMLib.guard.coarse_scan import coarse_scan
from S2LDMLib.guard.input_checks import check_input
from S2LDMLib.phantom.scan import PhantomTriple, make_phantom
from S2LDMLib.reading import read_volume
from shared_data import SHARED_DATA, real

FEW_REAL = ["pairs/HCC_005_19990123/ncct", "labelled/native_abdomen_ct", "labelled/lidc_0001_arterial_ct"]
MORE_REAL = [name for name in (*NON_CONTRAST, *ENHANCED) if name not in FEW_REAL]


def flipped(image: sitk.Image, axis: int) -> sitk.Image:
    """The voxels turned round and the header not."""
    result = sitk.GetImageFromArray(np.flip(sitk.GetArrayFromImage(image), 2 - axis).copy())
    result.CopyInformation(image)
    return result


def scaled(image: sitk.Image, factor: float) -> sitk.Image:
    """A thinner or wider patient."""
    result = sitk.Image(image)
    result.SetSpacing([factor * image.GetSpacing()[0], factor * image.GetSpacing()[1], image.GetSpacing()[2]])
    return result


def tilted(image: sitk.Image, degrees: float) -> sitk.Image:
    """Oblique slices through the patient."""
    turn = sitk.Euler3DTransform()
    turn.SetCenter(image.TransformContinuousIndexToPhysicalPoint([size / 2 for size in image.GetSize()]))
    turn.SetRotation(np.deg2rad(degrees), 0, 0)
    return sitk.Resample(image, image, turn, sitk.sitkLinear, -1000.0)


@pytest.mark.parametrize("scale", [0.8, 1.0, 1.2])
@pytest.mark.parametrize(
    ("make", "name"),
    [(head, "head"), (neck, "neck or limb"), (legs, "legs"), (lambda scale: legs(scale, -10), "hips or thighs"),
     (arm, "neck or limb"), (chest, "chest"), (lambda scale: chest(scale, 35), "chest")],
    ids=["head", "neck", "legs", "legs that touch", "arm", "chest", "chest of an obese patient"],
)  # fmt: skip
def test_other_parts_are_named_and_warned_of(make: Callable[[float], sitk.Image], name: str, scale: float):
    image = make(scale)
    part = body_part(coarse_scan(image))
    assert part.abdomen_part <= 0.2 and part.lengths_mm[name] >= 0.7 * part.scanned_mm
    warning = next(each for each in check_input(image, (1, 1, 1)).warnings if "abdomen" in each)
    assert f"{name} {part.lengths_mm[name]:.0f} mm" in warning and "Give a CT of the abdomen" in warning


@pytest.mark.parametrize("scale", [0.8, 1.0, 1.2])
@pytest.mark.parametrize("fat", [5.0, 20.0, 45.0])
def test_thin_and_obese_abdomens_pass(scale: float, fat: float):
    part = body_part(coarse_scan(abdomen(scale, fat)))
    assert part.lengths_mm == {"abdomen": 200.0}


def test_the_phantom_passes_in_every_phase(phantom: PhantomTriple):
    assert all(body_part(coarse_scan(image)).is_abdomen for image in (phantom.ncct, phantom.arterial, phantom.venous))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_other_phantoms_pass_from_the_chest_to_the_pelvis(seed: int):
    made = make_phantom(seed=seed, size=(128, 110, 64), spacing=(3.0, 3.0, 5.0))
    assert all(body_part(coarse_scan(image)).is_abdomen for image in (made.ncct, made.arterial, made.venous))


def test_a_little_of_a_chest_is_told_and_much_of_it_is_warned_of():
    lower, upper = abdomen(), chest()
    upper.SetOrigin([(have - need) / 2 * 2 for have, need in zip((256, 180), (220, 150), strict=True)] + [0.0])
    upper = sitk.Resample(upper, lower, sitk.Transform(), sitk.sitkNearestNeighbor, -1000.0)
    voxels = np.concatenate([sitk.GetArrayFromImage(each) for each in (lower, upper)])
    together = image_of(voxels, lower.GetSpacing())
    part = body_part(coarse_scan(together))
    assert (part.abdomen_mm, part.elsewhere_mm, part.others()) == (200.0, 200.0, "chest 200 mm")
    assert part.abdomen_part == 0.5 and not part.is_abdomen
    part = body_part(coarse_scan(together[:, :, :50]))
    assert part.others() == "chest 50 mm" and part.is_abdomen


def lengths(image: sitk.Image) -> dict[str, float]:
    """Millimetres by the name of the part of the body."""
    return body_part(coarse_scan(image)).lengths_mm


def test_a_neck_and_a_head_between_raised_arms_are_no_legs():
    chest_ = [*trunk(), *lungs(1.0)]
    scan = [(chest_, 150), (shoulders(), 60), ([*neck_shapes(), *raised_arms()], 60)]
    scan += [([*head_shapes(), *raised_arms()], 100), (raised_arms(), 40)]
    expected = {"chest": 150.0, "shoulders": 60.0, "neck or limb": 60.0, "head": 100.0, "arms": 40.0}
    assert lengths(stack(*scan)) == pytest.approx(expected, abs=10)
    one_arm = raised_arms()[: len(raised_arms()) // 2]
    found = lengths(stack((chest_, 150), ([*neck_shapes(), *one_arm], 60), ([*head_shapes(), *one_arm], 100)))
    assert found["head"] == pytest.approx(100, abs=10) and "legs" not in found and "abdomen" not in found


def test_arms_that_the_field_of_view_cuts_off_make_no_abdomen():
    image = stack(([*neck_shapes(), *raised_arms()], 60), ([*head_shapes(), *raised_arms()], 100))
    assert lengths(image[60:-60]) == pytest.approx({"neck or limb": 60.0, "head": 100.0}, abs=10)


def test_legs_below_a_trunk_stay_legs():
    found = lengths(stack(([*limb(-85, 70), *limb(85, 70)], 100), (trunk(), 100)))
    assert found["legs"] >= 90 and found["abdomen"] == 100 and "arms" not in found


@pytest.mark.parametrize("size", [0.55, 0.7, 1.0])
def test_a_chest_that_ends_in_the_dome_of_the_liver_is_told_whatever_its_lungs_fill(size: float):
    dome = [*trunk(), *lungs(0.4)]
    image = stack((dome, 40), ([*trunk(), *lungs(size)], 160), ([*trunk(), *lungs(0.5 * size)], 40))
    found = lengths(image)
    assert found["chest"] >= 150 and found.get("abdomen", 0) <= 60
    assert any("abdomen (chest" in warning for warning in check_input(image, (1, 1, 1)).warnings)


def test_an_abdomen_with_the_bases_of_the_lungs_passes():
    found = lengths(stack((trunk(), 200), ([*trunk(), *lungs(0.5)], 40), ([*trunk(), *lungs(0.7)], 60)))
    assert found == {"abdomen": 300.0}


@pytest.mark.parametrize("above", [[], [(neck_shapes(), 40)]], ids=["lungs", "neck"])
def test_shoulders_are_told_by_the_lungs_below_or_the_neck_above(above: list[tuple[list[Shape], float]]):
    below = [] if above else [([*shoulders(), *lungs(0.6)], 40)]
    found = lengths(stack(*below, (shoulders(), 80), *above))
    assert found["shoulders"] >= 70 and found.get("abdomen", 0) <= 5  # the slice on the border is of both
    lungs_above = stack((shoulders(), 80), (trunk(), 40), ([*trunk(), *lungs(0.6)], 40))
    assert "shoulders" not in lengths(lungs_above), "hips, or a trunk with arms beside it"


@pytest.mark.parametrize("name", ["cect_only/LIDC-IDRI-0003/phase1", "cect_only/C3N-00249/phase1"])
def test_real_chests_and_their_shoulders_are_told(name: str):
    image = real(name)
    part = body_part(coarse_scan(image))
    assert part.lengths_mm["chest"] >= 150 and part.lengths_mm["shoulders"] >= 20 and not part.is_abdomen
    assert not body_part(coarse_scan(image[:, :, -20:])).is_abdomen


def test_a_shoulder_alone_is_noted_to_be_beyond_telling():
    image = real("cect_only/LIDC-IDRI-0003/phase1")
    report = check_input(image[: image.GetSize()[0] // 2, :, -15:], (1, 1, 1))
    assert any("cut off" in warning for warning in report.warnings)
    assert any("shoulder" in note for note in report.notes)


def test_a_bottle_is_no_abdomen():
    hu = np.full((10, 40, 40), -1000, np.int16)
    hu[:, 17:23, 17:23] = 0
    hu[:, 18:22, 18:22] = -100
    (warning,) = check_input(image_of(hu, (2, 2, 5)), (1, 1, 1)).warnings
    assert warning.startswith("Nothing in the scan looks like an abdomen (neck or limb 50 mm)")


def test_arms_beside_the_trunk_are_no_legs():
    folder = SHARED_DATA / "dicom" / "jpeg2000_portal_20slices"
    if not folder.exists():
        pytest.skip(f"shared data absent: {folder}")
    assert body_part(coarse_scan(read_volume(folder))).lengths_mm == {"abdomen": 40.0}


@pytest.mark.parametrize("name", [*FEW_REAL, *(pytest.param(name, marks=pytest.mark.slow) for name in MORE_REAL)])
def test_real_abdomens_pass(name: str):
    part = body_part(coarse_scan(real(name)))
    assert part.abdomen_part >= 0.9 and part.elsewhere_mm <= 20


SHAPES: dict[str, Callable[[sitk.Image], sitk.Image]] = {
    "flipped x": lambda image: flipped(image, 0),
    "flipped y": lambda image: flipped(image, 1),
    "flipped z": lambda image: flipped(image, 2),
    "thin": lambda image: scaled(image, 0.8),
    "wide": lambda image: scaled(image, 1.3),
    "oblique": lambda image: tilted(image, 15),
    "thick slices": lambda image: sitk.BinShrink(image, [1, 1, 2]),
    "10 lowest slices": lambda image: image[:, :, :10],
    "10 highest slices": lambda image: image[:, :, -10:],
    "right half": lambda image: image[: image.GetSize()[0] // 2],
    "left half": lambda image: image[image.GetSize()[0] // 2 :],
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", FEW_REAL[:2])
def test_real_abdomens_pass_in_any_shape(name: str, shape: str):
    part = body_part(coarse_scan(SHAPES[shape](real(name))))
    assert part.is_abdomen, part.lengths_mm
