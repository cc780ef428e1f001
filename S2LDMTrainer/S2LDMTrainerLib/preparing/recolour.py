"""Recoloured anatomies: NCCT, arterial and venous volumes of one geometry from a real CT with organ labels.

Real pairs are few and never perfectly registered. Here the anatomy, its texture and its noise are real, and
only the contrast medium is computed: to a native CT it is added; from an arterial CT it is taken away, to get
the NCCT, and the venous phase is made from that. The three phases then fit voxel by voxel.

Enhancement in HU above the NCCT follows published late arterial and portal venous values (aorta +300..336 and
+117..125; portal vein +75..104 and about +90; hepatic veins +24..51 arterial; liver +15..25 and +59..63;
spleen +97..108 and +73..82; renal cortex +195..217 arterial, medulla 110..140 less, both about +145 venous;
pancreas 112..128 HU arterial), widened to what the real pairs of this project show, because scans are timed
differently.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from S2LDMLib.errors import InputError
from S2LDMLib.reading import read_volume

from .volumes import Spacing, read_labels

SPACING_MM: Spacing = (1.5, 1.5, 5.0)
LOWEST_HU, HIGHEST_HU = -1024, 3071
FAT_HU, SOFT_TISSUE_HU = -100.0, 30.0
EDGE_SIGMA_MM = 1.0  # of the border between an organ and its neighbour
AORTA_LABEL = 52
NATIVE_AORTA_HU, ARTERIAL_AORTA_HU = 100, 200  # blood is below 60 native, 120 to 200 venous, above 250 arterial

Range = tuple[float, float]
Array = np.ndarray


@dataclass(frozen=True)
class Organ:
    """How an organ takes up contrast medium.

    `labels`: ids of the TotalSegmentator v2 classes. `arterial`, `venous`: enhancement in HU, a seed draws
    from the range. `native`: what it measures without contrast medium, in HU; None for blood, which measures the
    same wherever it is. `texture`: how much of the grey value structure of an enhanced scan is its own, the rest
    being uneven contrast medium. `mottle`: uneven arterial uptake, SD as a fraction of the enhancement.
    """

    labels: tuple[int, ...]
    arterial: Range
    venous: Range
    native: Range | None
    texture: float
    mottle: float = 0.0


BLOOD_HU: Range = (22, 56)  # of blood without contrast medium: by haematocrit, an anaemic patient's is the low end
ORGANS = {
    "arteries": Organ((52, 54, 55, 56, 57, 58, 65, 66), (240, 336), (95, 140), None, 0.06),
    "heart": Organ((51, 53, 61, 62), (140, 240), (90, 120), None, 0.08),
    "portal vein": Organ((64,), (30, 104), (85, 115), None, 0.15),
    "vena cava": Organ((63,), (5, 60), (75, 105), None, 0.25),
    "iliac veins": Organ((67, 68), (0, 12), (45, 90), None, 0.25),
    "liver": Organ((5,), (10, 28), (52, 70), (42, 65), 0.5),
    "spleen": Organ((1,), (55, 108), (70, 82), (42, 54), 0.15, mottle=0.22),
    "pancreas": Organ((7,), (60, 85), (45, 65), (30, 45), 0.4),
    "adrenals": Organ((8, 9), (35, 60), (35, 55), (25, 38), 0.4),
    "muscle": Organ((80, 81, 82, 83, 84, 85, 86, 87, 88, 89), (1, 5), (6, 14), (44, 56), 1.0),
}
KIDNEYS = Organ((2, 3), (180, 217), (135, 155), (27, 37), 0.12)
MEDULLA_BELOW_CORTEX: dict[str, Range] = {"arterial": (110, 140), "venous": (-15, 15)}
CORTEX_MM: Range = (5.5, 8.0)
HEPATIC_VEINS: dict[str, Range] = {"arterial": (24, 51), "venous": (85, 110)}
BOWEL_LABELS = (6, 15, 18, 19, 20)
BOWEL_WALL: dict[str, Range] = {"arterial": (10, 35), "venous": (20, 45)}
BOWEL_WALL_MM = 3.0
BONE_LABELS = (*range(25, 51), *range(69, 79), *range(91, 119))
SMALL_VESSEL_HU: Range = (105.0, 450.0)  # unlabelled and this bright in an arterial scan, away from bone: a vessel
LIVER_VESSEL_ABOVE_LIVER_HU = 25.0  # in an arterial scan
CYST_LABEL, CYST_BELOW_HU = 23, 60.0
RIM_ABOVE_HU = 60.0  # unlabelled and brighter than native soft tissue, beside an enhanced organ: its blurred rim
NOISE_HU: Range = (6.0, 11.0)


@dataclass(frozen=True)
class Scan:
    """A labelled CT on its own grid: `hu` float32, `labels` uint8, both (Z, Y, X); `image` has the grid."""

    hu: Array
    labels: Array
    image: sitk.Image

    def mask(self, labels: Sequence[int]) -> Array:
        """Mark the voxels of any of these labels, boolean (Z, Y, X)."""
        return np.isin(self.labels, labels)

    def wrap(self, array: Array) -> sitk.Image:
        """Make a float32 or uint8 image of this grid, so that filters measure in mm."""
        image = sitk.GetImageFromArray(array.astype(np.uint8 if array.dtype == bool else np.float32))
        image.CopyInformation(self.image)
        return image


def recoloured_triple(ct: Path, labels: Path, seed: int, spacing: Spacing = SPACING_MM) -> dict[str, sitk.Image]:
    """Make a triple from a labelled scan: native (enhancement is added) or late arterial (it is replaced).

    Args:
        ct: CT in HU.
        labels: its TotalSegmentator v2 classes on the same grid.
        seed: equal seeds give equal triples.
        spacing: x, y, z of the triple, mm.

    Returns:
        ``ncct``, ``arterial``, ``venous``: int16 HU, LPS order, on one grid.

    Raises:
        InputError: not readable, grids that differ, no aorta, or a contrast phase that is not late arterial.
    """
    scan = _load(ct, labels)
    rng = np.random.default_rng([seed, zlib.crc32(ct.name.encode())])  # a seed draws differently for another scan
    native_hu = _draw_native_hu(rng)
    if _is_native(scan, ct):
        ncct = _with_native_hu(scan, native_hu)
        arterial = ncct.hu + _enhancement(ncct, "arterial", rng)
        venous = ncct.hu + _enhancement(ncct, "venous", rng)
    else:
        ncct, vessels = _without_contrast(scan, native_hu, rng)
        arterial = scan.hu
        blood = ncct.hu + rng.uniform(*ORGANS["portal vein"].venous)
        venous = (ncct.hu + _enhancement(ncct, "venous", rng)) * (1 - vessels) + vessels * blood
    phases = {"ncct": ncct.hu, "arterial": arterial, "venous": venous}
    return {name: _finish(scan, hu, spacing, rng) for name, hu in phases.items()}


def _load(ct: Path, labels: Path) -> Scan:
    image = sitk.DICOMOrient(read_volume(ct), "LPS")
    classes = sitk.DICOMOrient(read_labels(labels), "LPS")
    if image.GetSize() != classes.GetSize() or not np.allclose(image.GetOrigin(), classes.GetOrigin(), atol=0.1):
        raise InputError(f"{ct.name} and {labels.name} lie on different grids. Give labels on the grid of the CT.")
    if max(image.GetSpacing()[:2]) < 1.0:  # finer than the result needs: four times the work for nothing
        image = sitk.BinShrink(sitk.Cast(image, sitk.sitkFloat32), [2, 2, 1])
        classes = sitk.Shrink(classes, [2, 2, 1])
    hu = np.clip(sitk.GetArrayFromImage(image).astype(np.float32), LOWEST_HU, HIGHEST_HU)
    return Scan(hu, sitk.GetArrayFromImage(classes), image)


def _is_native(scan: Scan, ct: Path) -> bool:
    """Tell by the blood in the aorta; InputError if a scan is neither native nor late arterial."""
    aorta = scan.mask([AORTA_LABEL])
    if not aorta.any():
        raise InputError(f"{ct.name} has no labelled aorta (class {AORTA_LABEL}). Give TotalSegmentator v2 classes.")
    blood = float(np.median(scan.hu[aorta]))
    if NATIVE_AORTA_HU < blood < ARTERIAL_AORTA_HU:
        raise InputError(
            f"{ct.name} is neither native nor late arterial (aorta {blood:.0f} HU). "
            f"Give a scan below {NATIVE_AORTA_HU} HU or above {ARTERIAL_AORTA_HU} HU there."
        )
    return blood <= NATIVE_AORTA_HU


def _draw_native_hu(rng: np.random.Generator) -> dict[Organ, float]:
    """Draw the HU of every organ without contrast medium; the blood of a patient is the same everywhere."""
    blood = rng.uniform(*BLOOD_HU)
    organs = (*ORGANS.values(), KIDNEYS)
    return {organ: rng.uniform(*organ.native) if organ.native else blood for organ in organs}


def _with_native_hu(scan: Scan, native_hu: dict[Organ, float]) -> Scan:
    """Give the organs of a native scan the HU of another patient: texture, noise and edges stay."""
    hu = scan.hu.copy()
    for organ, wanted in native_hu.items():
        mask = scan.mask(organ.labels)
        if mask.any():
            hu += _soft(scan, mask) * (wanted - np.median(scan.hu[mask]))
    return Scan(hu.astype(np.float32), scan.labels, scan.image)


def _smooth(scan: Scan, array: Array, sigma_mm: float) -> Array:
    """Smooth by a Gaussian, at least half a voxel wide, below which the recursive filter is not accurate."""
    sigma = [max(sigma_mm, 0.5 * spacing) for spacing in scan.image.GetSpacing()]
    return sitk.GetArrayFromImage(sitk.SmoothingRecursiveGaussian(scan.wrap(array.astype(np.float32)), sigma))


def _soft(scan: Scan, mask: Array) -> Array:
    """Give the mask soft edges, scaled by the share of soft tissue: fat, gas and bone take up nothing.

    A voxel of half fat and half organ holds half the contrast medium, and its native HU tell the share.
    """
    share = np.clip((scan.hu - FAT_HU) / (SOFT_TISSUE_HU - FAT_HU), 0, 1)
    return np.clip(_smooth(scan, mask, EDGE_SIGMA_MM), 0, 1) * share * ~scan.mask(BONE_LABELS)


def _depth_mm(scan: Scan, mask: Array) -> Array:
    """Measure the distance in mm from the surface, positive inside; what the mask encloses counts as inside."""
    filled = sitk.BinaryFillhole(scan.wrap(mask))
    distance = sitk.SignedMaurerDistanceMap(filled, insideIsPositive=True, squaredDistance=False, useImageSpacing=True)
    return sitk.GetArrayFromImage(distance)


def _clouds(scan: Scan, size_mm: float, rng: np.random.Generator) -> Array:
    """Draw a smooth random field of mean 0 and SD 1 with structures of about `size_mm`."""
    field = _smooth(scan, rng.standard_normal(scan.hu.shape, dtype=np.float32), size_mm / 2)
    return (field - field.mean()) / field.std()


def _enhancement(scan: Scan, phase: str, rng: np.random.Generator) -> Array:
    """Draw the HU (Z, Y, X) that contrast medium adds to a native scan in one phase, drawn from ranges."""
    added = np.zeros_like(scan.hu)
    for organ in ORGANS.values():
        mask = scan.mask(organ.labels)
        level = rng.uniform(*getattr(organ, phase))
        if not mask.any():
            continue
        uptake = _soft(scan, mask) * level
        if organ.mottle and phase == "arterial":
            uptake *= np.clip(1 + organ.mottle * _clouds(scan, 9.0, rng), 0.3, 1.6)
        added += uptake
    return added + _kidneys(scan, phase, rng) + _hepatic_veins(scan, phase, rng) + _bowel_wall(scan, phase, rng)


def _kidneys(scan: Scan, phase: str, rng: np.random.Generator) -> Array:
    """Enhance cortex and columns between the pyramids in the arterial phase, the medulla later."""
    mask = scan.mask(KIDNEYS.labels)
    cortex = rng.uniform(*getattr(KIDNEYS, phase))
    medulla = cortex - rng.uniform(*MEDULLA_BELOW_CORTEX[phase])
    thickness = rng.uniform(*CORTEX_MM) + 2.0 * _clouds(scan, 8.0, rng)
    inner = np.clip((_depth_mm(scan, mask) - thickness) / 2.0, 0, 1)
    return _soft(scan, mask) * (cortex + (medulla - cortex) * inner)


def _hepatic_veins(scan: Scan, phase: str, rng: np.random.Generator) -> Array:
    """Enhance the veins inside the liver, on top of its own uptake.

    They have no label, but blood is darker than native liver: what is darker than its surroundings is a vein.
    """
    organ = ORGANS["liver"]
    mask = scan.mask(organ.labels)
    over_liver = rng.uniform(*HEPATIC_VEINS[phase]) - np.mean(getattr(organ, phase))
    if not mask.any():
        return np.zeros_like(scan.hu)
    inside = _depth_mm(scan, mask) > 6.0
    weight = np.maximum(_smooth(scan, mask, 12.0), 1e-3)
    surroundings = _smooth(scan, np.where(mask, scan.hu, 0), 12.0) / weight
    darker = surroundings - _smooth(scan, scan.hu, 1.8)
    return np.clip((darker - 7.0) / 6.0, 0, 1) * inside * over_liver


def _bowel_wall(scan: Scan, phase: str, rng: np.random.Generator) -> Array:
    """Enhance the outer millimetres of stomach and bowel where they are soft tissue, not gas or oral contrast."""
    mask = scan.mask(BOWEL_LABELS)
    depth = _depth_mm(scan, mask)
    wall = mask & (depth < BOWEL_WALL_MM) & (scan.hu > -20) & (scan.hu < 90)
    return _soft(scan, wall) * rng.uniform(*BOWEL_WALL[phase])


def _without_contrast(scan: Scan, native_hu: dict[Organ, float], rng: np.random.Generator) -> tuple[Scan, Array]:
    """Make the NCCT that belongs to an arterial scan, and the soft mask of unlabelled vessels found on the way."""
    hu, liver = scan.hu.copy(), ORGANS["liver"]
    scan = Scan(scan.hu, np.where(_cysts(scan), CYST_LABEL, scan.labels), scan.image)
    done = scan.mask(BONE_LABELS)
    near_bone = _grow(scan, done, 2.0)
    for organ, organ_hu in native_hu.items():
        mask = scan.mask(organ.labels) & (scan.hu > -30)
        if organ.texture == 1.0 or not mask.any():
            continue
        # Labels end inside the blurred rim of a bright organ; the rim loses its contrast medium as well.
        rim = _grow(scan, mask, 3.0) & (scan.hu > RIM_ABOVE_HU) & (scan.labels == 0)
        texture = organ.texture * np.clip(scan.hu - np.median(scan.hu[mask]), -80, 80)
        hu = _blend(scan, hu, organ_hu + texture + _grain(scan, rng), (mask | rim) & ~done)
        done |= mask | rim
    low, high = SMALL_VESSEL_HU
    bowel = scan.mask(BOWEL_LABELS)
    small = (scan.hu > low) & (scan.hu < high) & ~near_bone & ~done & ~bowel
    tissue = scan.mask(liver.labels)
    inside_liver = tissue & (_smooth(scan, scan.hu, 1.0) > np.median(scan.hu[tissue]) + LIVER_VESSEL_ABOVE_LIVER_HU)
    vessels = np.clip(_smooth(scan, _grow(scan, small, 0.8) & ~done | inside_liver, 0.6), 0, 1)
    hu = hu * (1 - vessels) + vessels * np.minimum(hu, native_hu[ORGANS["arteries"]] + _grain(scan, rng))
    return Scan(hu.astype(np.float32), scan.labels, scan.image), vessels


def _cysts(scan: Scan) -> Array:
    """Find parts of the kidneys that stay dark in an arterial scan, 4 mm and wider."""
    kidneys = scan.mask(KIDNEYS.labels)
    dark = scan.wrap(kidneys & (_smooth(scan, scan.hu, 1.5) < CYST_BELOW_HU))
    wide = sitk.GetArrayFromImage(sitk.BinaryMorphologicalOpening(dark, _radius(scan, 2.0))) > 0
    return _grow(scan, wide, 2.0) & kidneys


def _blend(scan: Scan, hu: Array, replacement: Array, mask: Array) -> Array:
    weight = np.clip(_smooth(scan, mask, 0.6), 0, 1)
    return hu * (1 - weight) + weight * replacement


def _radius(scan: Scan, radius_mm: float) -> list[int]:
    """Radius of a structuring element in the axial plane, in voxels."""
    return [max(1, round(radius_mm / spacing)) for spacing in scan.image.GetSpacing()[:2]] + [0]


def _grow(scan: Scan, mask: Array, radius_mm: float) -> Array:
    return sitk.GetArrayFromImage(sitk.BinaryDilate(scan.wrap(mask), _radius(scan, radius_mm))) > 0


def _grain(scan: Scan, rng: np.random.Generator) -> Array:
    """Draw noise in place of that which a flattened texture has lost; SD 12 HU on the scan's own grid."""
    return 12.0 * rng.standard_normal(scan.hu.shape, dtype=np.float32)


def _finish(scan: Scan, hu: Array, wanted: Spacing, rng: np.random.Generator) -> sitk.Image:
    """Resample to the wanted spacing in mm, averaged as thick slices are, with CT noise; int16."""
    image = scan.wrap(hu)
    spacing, size = image.GetSpacing(), image.GetSize()
    for axis, (fine, coarse) in enumerate(zip(spacing, wanted, strict=True)):
        if coarse > fine:
            image = sitk.RecursiveGaussian(image, sigma=float(np.sqrt(coarse**2 - fine**2) / 2.355), direction=axis)
    new_size = [round(count * fine / coarse) for count, fine, coarse in zip(size, spacing, wanted, strict=True)]
    grid = (image.GetOrigin(), wanted, image.GetDirection())
    resampled = sitk.Resample(image, new_size, sitk.Transform(), sitk.sitkBSpline, *grid, LOWEST_HU)
    array = sitk.GetArrayFromImage(resampled)
    array += _ct_noise(array.shape, rng.uniform(*NOISE_HU), rng)
    result = sitk.GetImageFromArray(np.clip(np.rint(array), LOWEST_HU, HIGHEST_HU).astype(np.int16))
    result.CopyInformation(resampled)
    return result


def _ct_noise(shape: tuple[int, ...], sd: float, rng: np.random.Generator) -> Array:
    """Draw Gaussian noise of the given SD in HU, correlated within a slice, as a kernel leaves it."""
    noise = sitk.GetImageFromArray(rng.standard_normal(shape, dtype=np.float32))
    for axis in (0, 1):
        noise = sitk.RecursiveGaussian(noise, sigma=0.6, direction=axis)
    array = sitk.GetArrayFromImage(noise)
    return array * (sd / array.std())
