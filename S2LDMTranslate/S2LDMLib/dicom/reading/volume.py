"""The volume of a series: slices put on top of each other, or, where they do not lie so, interpolated until they do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import SimpleITK as sitk

from ...volume.grid import AIR_HU
from .pixels import hu_planes
from .slices import DicomSlice
from .stack import StackLayout

_END = 0.01  # of a step: rounding must not cost the last slice


def make_volume(slices: Sequence[DicomSlice], grid: StackLayout) -> sitk.Image:
    """Make a 3D image in HU of a series; int16, or float32 where HU are no integers.

    Args:
        slices: the series in order.
        grid: what :func:`~S2LDMLib.dicom.reading.stack.lay_out` made of these slices.

    Raises:
        InputError: a slice cannot be decoded.
    """
    first = slices[0]
    row, column = first.direction[:3], first.direction[3:]
    planes, count, origin = hu_planes(slices), len(slices), first.position
    if not grid.regular:
        offsets = grid.aside / first.spacing
        low = np.floor(offsets.min(axis=0))
        size = np.ceil(offsets.max(axis=0) - low + first.size).astype(int)
        origin = origin + np.stack([row, column], axis=1) @ (low * first.spacing)
        planes = (_shifted(plane, offset - low, size) for plane, offset in zip(planes, offsets, strict=True))
        count = int(grid.places[-1] / grid.step + _END) + 1
        planes = _at_even_places(planes, grid.places, np.minimum(grid.step * np.arange(count), grid.places[-1]))
        whole = all(one.in_whole_hu for one in slices)
        planes = (np.nan_to_num(np.rint(plane) if whole else plane, nan=AIR_HU) for plane in planes)
    image = sitk.GetImageFromArray(_stacked(planes, count))
    image.SetSpacing((*first.spacing, grid.step))
    image.SetOrigin(origin.tolist())
    image.SetDirection(np.stack([row, column, first.normal], axis=1).ravel().tolist())
    return image


def _shifted(plane: np.ndarray, offset: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Move the plane by ``offset`` (columns, rows) pixels on a canvas of ``size`` (columns, rows); NaN around it."""
    image = sitk.GetImageFromArray(plane.astype(np.float32))
    move = sitk.TranslationTransform(2, (-offset).tolist())
    canvas = sitk.Resample(
        image, size.tolist(), move, sitk.sitkLinear, (0, 0), (1, 1), (1, 0, 0, 1), np.nan, sitk.sitkFloat32
    )
    return sitk.GetArrayFromImage(canvas)


def _at_even_places(planes: Iterable[np.ndarray], places: np.ndarray, wanted: np.ndarray) -> Iterator[np.ndarray]:
    """Interpolate linearly between the planes on either side; both lists of places start with 0 and rise."""
    coming = iter(planes)
    upper, at = next(coming), 0
    lower = upper
    for place in wanted:
        while places[at] < place:
            lower, upper, at = upper, next(coming), at + 1
        weight = 1.0 if at == 0 else (place - places[at - 1]) / (places[at] - places[at - 1])
        yield upper if weight == 1 else (1 - weight) * lower + weight * upper


def _stacked(planes: Iterable[np.ndarray], count: int) -> np.ndarray:
    """The planes as one array (count, rows, columns), int16 for as long as that holds every value."""
    voxels = np.empty(0, np.int16)
    for index, plane in enumerate(planes):
        if index == 0:
            voxels = np.empty((count, *plane.shape), np.int16)
        if voxels.dtype == np.int16 and not _fits_int16(plane):
            voxels = voxels.astype(np.float32)
        voxels[index] = plane
    return voxels


def _fits_int16(plane: np.ndarray) -> bool:
    limits = np.iinfo(np.int16)
    whole = np.issubdtype(plane.dtype, np.integer) or bool((plane == np.rint(plane)).all())
    return whole and plane.min() >= limits.min and plane.max() <= limits.max
