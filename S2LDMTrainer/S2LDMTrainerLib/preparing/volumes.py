"""Volumes for preparation: read into int16 HU and LPS order, averaged and resampled as the engine does it.

A translation averages thin voxels into one of about the working spacing and interpolates only what is then still far
from it (:mod:`S2LDMLib.inference.preprocess`); training volumes are made by the same rule.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk
from S2LDMLib.errors import InputError
from S2LDMLib.model.config import PreprocessConfig
from S2LDMLib.reading import read_volume

AIR_HU = -1024
MAX_HU = 3071
SPACING_TOLERANCE = PreprocessConfig().spacing_tolerance

Spacing = tuple[float, float, float]


def to_ct(image: sitk.Image) -> sitk.Image:
    """Give a CT as int16 HU within -1024..3071, axes in LPS order; below -1024 lies padding, above 3071 metal."""
    if image.GetPixelID() in (sitk.sitkFloat32, sitk.sitkFloat64):
        image = sitk.Round(image)
    return sitk.DICOMOrient(sitk.Clamp(image, sitk.sitkInt16, AIR_HU, MAX_HU), "LPS")


def average_to(image: sitk.Image, spacing: Spacing) -> sitk.Image:
    """Average blocks of voxels so that each axis comes nearest to ``spacing`` (x, y, z, mm); never interpolated."""
    steps = zip(spacing, image.GetSpacing(), strict=True)
    factors = [max(1, round(target / own)) for target, own in steps]
    if max(factors) == 1:
        return image
    return sitk.Cast(sitk.Round(sitk.BinShrink(sitk.Cast(image, sitk.sitkFloat32), factors)), sitk.sitkInt16)


def to_spacing(image: sitk.Image, spacing: Spacing | None) -> sitk.Image:
    """Bring a CT to ``spacing`` (x, y, z, mm): averaged, then linear along axes that still differ by more than 15 %."""
    if spacing is None:
        return image
    image = average_to(image, spacing)
    steps = list(zip(spacing, image.GetSpacing(), strict=True))
    wanted = [own if abs(own / target - 1) <= SPACING_TOLERANCE else target for target, own in steps]
    if np.allclose(wanted, image.GetSpacing()):
        return image
    ratios = [target / own for target, (_, own) in zip(wanted, steps, strict=True)]
    size = [max(1, int(count / ratio + 1e-6)) for count, ratio in zip(image.GetSize(), ratios, strict=True)]
    # The outer faces of the first voxels coincide, not their middles.
    origin = image.TransformContinuousIndexToPhysicalPoint([(ratio - 1) / 2 for ratio in ratios])
    return sitk.Cast(
        sitk.Round(
            sitk.Resample(
                image, size, sitk.Transform(), sitk.sitkLinear, origin, wanted, image.GetDirection(), AIR_HU,
                sitk.sitkFloat32, useNearestNeighborExtrapolator=True,
            )
        ),
        sitk.sitkInt16,
    )  # fmt: skip


def read_labels(path: Path) -> sitk.Image:
    """Read a label map on its own grid, uint8.

    Raises:
        InputError: not readable, or values that are not whole numbers from 0 to 255.
    """
    image = read_volume(path)
    values = sitk.GetArrayViewFromImage(image)
    if values.min() < 0 or values.max() > 255 or not (values == np.floor(values)).all():
        raise InputError(f"{path} is no label map: values {values.min():g} to {values.max():g}. Give whole 0 to 255.")
    return sitk.Cast(image, sitk.sitkUInt8)


def labels_on(grid: sitk.Image, labels: sitk.Image) -> np.ndarray:
    """Bring a label map to the grid of a CT, nearest label, uint8 (Z, Y, X); 0 where the label map ends."""
    return sitk.GetArrayFromImage(sitk.Resample(labels, grid, sitk.Transform(), sitk.sitkNearestNeighbor, 0))
