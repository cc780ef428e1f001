"""From an NCCT on its own grid to the network's input on the working grid.

Axes are put in LPS order without interpolation, the patient is cut out with a fixed margin of air, thin voxels are
averaged, the working spacing is reached by linear interpolation where it is still far, and HU are windowed. All of it
is anchored at the patient and not at the field of view: more or less air around the patient changes nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
import torch
from torch import Tensor

from .body import body_box
from .config import PreprocessConfig
from .errors import InputError

AIR_HU = -1024

Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Grid:
    """Geometry of a volume without its voxels, x, y, z as in SimpleITK: mm, LPS."""

    size: tuple[int, ...]
    spacing: tuple[float, ...]
    origin: tuple[float, ...]
    direction: tuple[float, ...]

    @classmethod
    def of(cls, image: sitk.Image) -> Grid:
        return cls(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())

    def image(self, array: np.ndarray) -> sitk.Image:
        """A volume (Z, Y, X) that starts where this grid starts; it may be larger than ``size``."""
        result = sitk.GetImageFromArray(array)
        result.SetSpacing(self.spacing)
        result.SetOrigin(self.origin)
        result.SetDirection(self.direction)
        return result


@dataclass(frozen=True)
class Prepared:
    """The patient as the network sees it.

    ncct: normalised volume [1, 1, Z, Y, X], padded with air at the far ends to the sizes that the network needs.
    grid: the working grid of its first, unpadded part.
    source: the whole input in LPS axis order, int16 HU, on its own grid.
    box: where in ``source`` the patient is; nothing outside it is ever changed.
    """

    ncct: Tensor
    grid: Grid
    source: sitk.Image
    box: Box


def normalise(hu: Tensor, config: PreprocessConfig) -> Tensor:
    """HU to the range of the configuration, clipped to its window."""
    low, high = config.range
    unit = (hu - (config.level - config.window / 2)) / config.window
    return unit.clamp(0, 1) * (high - low) + low


def denormalise(x: Tensor, config: PreprocessConfig) -> Tensor:
    """Normalised values to HU; the inverse of :func:`normalise` within the window."""
    low, high = config.range
    return (x - low) / (high - low) * config.window + (config.level - config.window / 2)


def preprocess(image: sitk.Image, config: PreprocessConfig, multiple: tuple[int, int, int]) -> Prepared:
    """Cut the patient out and bring it to the working grid.

    Args:
        image: 3D NCCT in HU, any pixel type, orientation and spacing.
        config: the model's preprocessing.
        multiple: sizes (z, y, x) of which the network's input must be a multiple.

    Raises:
        InputError: there is no patient in the image.
    """
    source = sitk.DICOMOrient(_to_int16(image), "LPS")
    box = body_box(source)
    if box is None:
        raise InputError("No patient was found in the volume: nothing is above -300 HU. Is it a CT in HU?")
    patient, box = _cut(source, box, config.margin)
    working = _resample(patient, config)
    array = sitk.GetArrayFromImage(working).astype(np.float32)
    padding = [(0, -size % m) for size, m in zip(array.shape, multiple, strict=True)]
    array = np.pad(array, padding, constant_values=AIR_HU)
    return Prepared(normalise(torch.from_numpy(array)[None, None], config), Grid.of(working), source, box)


def _to_int16(image: sitk.Image) -> sitk.Image:
    if image.GetPixelID() == sitk.sitkInt16:
        return image
    if image.GetPixelID() in (sitk.sitkFloat32, sitk.sitkFloat64):
        image = sitk.Round(image)
    return sitk.Clamp(image, sitk.sitkInt16, -32768, 32767)


def _cut(source: sitk.Image, box: Box, margin: float) -> tuple[sitk.Image, Box]:
    """The box and its in-plane margin as a volume, air where the field of view ends; and the box without that air."""
    start, stop = [s.start for s in reversed(box)], [s.stop for s in reversed(box)]
    for axis in (0, 1):
        width = math.ceil(margin / source.GetSpacing()[axis])
        start[axis] -= width
        stop[axis] += width
    inner_start = [max(0, a) for a in start]
    inner_stop = [min(n, b) for n, b in zip(source.GetSize(), stop, strict=True)]
    inside = source[tuple(slice(a, b) for a, b in zip(inner_start, inner_stop, strict=True))]
    lower = [a - b for a, b in zip(inner_start, start, strict=True)]
    upper = [b - a for a, b in zip(inner_stop, stop, strict=True)]
    x, y, z = (slice(a, b) for a, b in zip(inner_start, inner_stop, strict=True))
    return sitk.ConstantPad(inside, lower, upper, AIR_HU), (z, y, x)


def _resample(image: sitk.Image, config: PreprocessConfig) -> sitk.Image:
    """Average thin voxels, then interpolate the axes that are still too far from the working spacing."""
    if config.spacing is None:
        return image
    ratio = [target / own for target, own in zip(config.spacing, image.GetSpacing(), strict=True)]
    factors = [min(max(1, round(r)), n) for r, n in zip(ratio, image.GetSize(), strict=True)]
    if max(factors) > 1:
        image = _average(image, factors)
    own = image.GetSpacing()
    pairs = list(zip(own, config.spacing, strict=True))
    spacing = [a if abs(a / b - 1) <= config.spacing_tolerance else b for a, b in pairs]
    if spacing == list(own):
        return image
    size = [max(1, round(n * a / b)) for n, a, b in zip(image.GetSize(), own, spacing, strict=True)]
    first = [(b / a - 1) / 2 for a, b in zip(own, spacing, strict=True)]
    origin = image.TransformContinuousIndexToPhysicalPoint(first)
    return sitk.Resample(
        image, size, sitk.Transform(), sitk.sitkLinear, origin, spacing, image.GetDirection(), AIR_HU,
        sitk.sitkFloat32, useNearestNeighborExtrapolator=True,
    )  # fmt: skip


def _average(image: sitk.Image, factors: list[int]) -> sitk.Image:
    """Block averages. ITK drops an incomplete last block, so the last plane is repeated to complete it."""
    missing = [-n % f for n, f in zip(image.GetSize(), factors, strict=True)]
    return sitk.BinShrink(sitk.ZeroFluxNeumannPad(image, [0, 0, 0], missing), factors)
