"""Which scans are taken for an abdomen: made-up parts of the body, the phantom, and real abdomens in many shapes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import SimpleITK as sitk
from body_part_maker import abdomen, arm, chest, head, legs, neck
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
