"""The regions in which a case is scored: masks on the NCCT's grid, within the voxels that both scans measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from S2LDMLib.volume.body import body_mask

from ..data import Case

SMOOTHING_MM = 2.0  # sigma in the plane; takes the noise from what decides where a voxel belongs
CORE_PIXELS = 2  # eroded in the plane: the rim of an organ is partial volume and misregistration
SOFT_HU = (0.0, 110.0)
FAT_HU = (-140.0, -50.0)
BONE_HU = 150.0
ENHANCED_HU = 30.0
UNCHANGED_HU = 15.0
# Beginnings of the names of bones and muscles, TotalSegmentator's and the phantom's; brain and cord are not.
UNCHANGING_LABELS = (
    "bone", "muscle", "fat", "vertebra", "rib_", "sternum", "sacrum", "hip_", "femur", "humerus", "scapula",
    "clavicula", "skull", "gluteus", "autochthon", "iliopsoas",
)  # fmt: skip

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Regions:
    """Masks (Z, Y, X) of one case and phase.

    Attributes:
        volume: the voxels that both scans measured; each of the other regions is a part of it.
        body: the patient without the table (:func:`S2LDMLib.volume.body.body_mask` of the NCCT).
        soft_core: 0 < smoothed NCCT < 110 HU, less 2 pixels in the plane: soft tissue away from fat, gas and bone,
            whose interfaces are where breathing and not the model decides.
        enhanced: the part of the soft core whose real enhancement, smoothed, is above 30 HU.
        unchanged: bone, fat and muscle, less 2 pixels in the plane, where the real enhancement, smoothed, is within
            15 HU. Bone and muscle are those of the labels where a case has some; else bone is above 150 HU, and of
            the soft tissue it is whatever the contrast medium left alone. Fat is always -140 to -50 HU.
        labels: organ labels, 0 where not measured; None without labels.
        label_cores: the organ labels, less 2 pixels in the plane; None without labels.
    """

    volume: Mask
    body: Mask
    soft_core: Mask
    enhanced: Mask
    unchanged: Mask
    labels: NDArray[np.uint8] | None
    label_cores: NDArray[np.uint8] | None


def find_regions(case: Case, phase: str) -> Regions:
    """Find the regions of a case and phase; smoothing is Gaussian, sigma 2 mm in the plane."""
    ncct = case.image("ncct")
    smooth = _smooth(ncct)
    change = _smooth(sitk.Cast(case.image(phase), sitk.sitkFloat32) - sitk.Cast(ncct, sitk.sitkFloat32))
    volume = case.valid(phase) > 0
    body = volume & (sitk.GetArrayFromImage(body_mask(ncct)) > 0)
    soft_core = _core((smooth > SOFT_HU[0]) & (smooth < SOFT_HU[1])) & body
    labels, cores = case.labels(), None
    if labels is not None:
        cores = np.where(volume, _label_cores(labels), 0).astype(np.uint8)
        labels = np.where(volume, labels, 0).astype(np.uint8)
    still = _unchanging(smooth, soft_core, cores, case.label_names) & body & (np.abs(change) < UNCHANGED_HU)
    return Regions(volume, body, soft_core, soft_core & (change > ENHANCED_HU), still, labels, cores)


def _unchanging(
    smooth: NDArray[np.float32], soft_core: Mask, cores: NDArray[np.uint8] | None, names: dict[int, str]
) -> Mask:
    fat = _core((smooth > FAT_HU[0]) & (smooth < FAT_HU[1]))
    named = [value for value, name in names.items() if name.startswith(UNCHANGING_LABELS)]
    if cores is not None and named:
        return fat | np.isin(cores, named)
    return fat | soft_core | _core(smooth > BONE_HU)


def _smooth(image: sitk.Image) -> NDArray[np.float32]:
    result = sitk.Cast(image, sitk.sitkFloat32)
    for axis in (0, 1):
        result = sitk.RecursiveGaussian(result, SMOOTHING_MM, False, sitk.RecursiveGaussianImageFilter.ZeroOrder, axis)
    return sitk.GetArrayFromImage(result)


def _core(mask: Mask) -> Mask:
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    return sitk.GetArrayFromImage(sitk.BinaryErode(image, [CORE_PIXELS, CORE_PIXELS, 0])) > 0


def _label_cores(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Keep labels where all voxels within the radius have the same one; all labels are done in one pass."""
    image = sitk.GetImageFromArray(np.asarray(labels))
    radius = [CORE_PIXELS, CORE_PIXELS, 0]
    low, high = (sitk.GetArrayFromImage(f(image, radius)) for f in (sitk.GrayscaleErode, sitk.GrayscaleDilate))
    return np.where(low == high, labels, 0).astype(np.uint8)
