"""Where the slices of a volume lie in the patient, and which slices of the source they are one with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import SimpleITK as sitk

from ...errors import InputError
from ...volume.grid import orientation_of, to_int16, to_lps

if TYPE_CHECKING:
    from ..reading.series import DicomSeries
    from ..reading.slices import DicomSlice

_SAME_PLACE_MM = 0.01  # NIfTI holds positions to 1e-4 mm and directions to 1e-7


@dataclass(frozen=True)
class Placement:
    """A volume in the order in which its slices are written.

    image: int16 HU, its axes turned to that order.
    sources: for each slice those of the source that it comes from; exactly one each where ``same_grid``.
    same_grid: slice k is slice k of the source, voxel for voxel.
    """

    image: sitk.Image
    sources: tuple[tuple[DicomSlice, ...], ...]
    same_grid: bool

    @property
    def size(self) -> tuple[int, int, int]:
        """How many columns, rows and slices the volume has."""
        return self.image.GetSize()

    def plane(self, index: int) -> np.ndarray:
        """The HU of a slice, (rows, columns); a copy."""
        return sitk.GetArrayViewFromImage(self.image)[index].copy()

    def position(self, index: int) -> np.ndarray:
        """Where the first voxel of a slice lies, (3,), mm LPS."""
        return np.array(self.image.TransformIndexToPhysicalPoint((0, 0, index)))

    def direction(self) -> np.ndarray:
        """The direction cosines along a row, then along a column, (6,)."""
        return np.reshape(self.image.GetDirection(), (3, 3)).T[:2].ravel()


def place(image: sitk.Image, source: DicomSeries | None) -> Placement:
    """Find the order of axes and the source's slices of a volume.

    Args:
        image: 3D, HU, in any orientation; values are rounded to int16.
        source: the series that it was made from, None where that was not DICOM.

    Raises:
        InputError: the volume lies outside the source.
    """
    image = to_int16(image)
    if source is None:
        return _placed(to_lps(image), (), False)
    axes = np.stack(_axes(source), axis=1)
    turned = sitk.DICOMOrient(image, orientation_of(axes.ravel().tolist()))
    if source.regular and _same_grid(turned, source):
        return _placed(turned, tuple((one,) for one in source.slices), True)
    turned = to_lps(image)
    _check_overlap(turned, source)
    return _placed(turned, _nearest(turned, source), False)


def _placed(image: sitk.Image, sources: tuple[tuple[DicomSlice, ...], ...], same_grid: bool) -> Placement:
    return Placement(image, sources or ((),) * image.GetSize()[2], same_grid)


def _axes(source: DicomSeries) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    row, column = np.reshape(source.slices[0].direction, (2, 3))
    return row, column, np.cross(row, column)


def _same_grid(image: sitk.Image, source: DicomSeries) -> bool:
    """Whether the corners of the first and last slice are those of the source."""
    first, last = source.slices[0], source.slices[-1]
    columns, rows = first.size
    if image.GetSize() != (columns, rows, len(source.slices)):
        return False
    row, column, _ = _axes(source)
    for index, one in ((0, first), (len(source.slices) - 1, last)):
        for x, y in ((0, 0), (columns - 1, 0), (0, rows - 1)):
            theirs = one.position + x * one.spacing[0] * row + y * one.spacing[1] * column
            ours = image.TransformIndexToPhysicalPoint((x, y, index))
            if np.abs(theirs - ours).max() > _SAME_PLACE_MM:
                return False
    return True


def _corners(image: sitk.Image) -> np.ndarray:
    """The corners of the first and the last slice, (2, 4, 3), mm."""
    columns, rows, slices = image.GetSize()
    return np.array(
        [
            [image.TransformIndexToPhysicalPoint((x, y, z)) for x in (0, columns - 1) for y in (0, rows - 1)]
            for z in (0, slices - 1)
        ]
    )


def _source_corners(source: DicomSeries) -> np.ndarray:
    row, column, _ = _axes(source)
    (columns, rows), (dx, dy) = source.slices[0].size, source.slices[0].spacing
    plane = np.array([x * dx * row + y * dy * column for x in (0, columns - 1) for y in (0, rows - 1)])
    return np.array([one.position + plane for one in (source.slices[0], source.slices[-1])])


def _check_overlap(image: sitk.Image, source: DicomSeries) -> None:
    """Compare the boxes around both along the source's axes, which is a little generous for oblique volumes."""
    axes = np.stack(_axes(source))
    ours, theirs = (points.reshape(-1, 3) @ axes.T for points in (_corners(image), _source_corners(source)))
    if (ours.max(0) < theirs.min(0)).any() or (ours.min(0) > theirs.max(0)).any():
        raise InputError(
            "The volume lies outside the source series, so it was not made from it. Give the series that it was made "
            "from with --source, and --series where the folder holds several."
        )


def _nearest(image: sitk.Image, source: DicomSeries) -> tuple[tuple[DicomSlice, ...], ...]:
    """For each slice the source's slices that its plane passes through or lies between; at least the nearest one."""
    normal = _axes(source)[2]
    places = np.array([one.position @ normal for one in source.slices])
    reach = np.abs(np.diff(places)).max() if len(places) > 1 else 0.0
    first, last = (corners @ normal for corners in _corners(image))
    slices = image.GetSize()[2]
    found = []
    for index in range(slices):
        share = index / max(slices - 1, 1)
        levels = first + share * (last - first)
        within = (places > levels.min() - reach) & (places < levels.max() + reach)
        if not within.any():
            within[np.abs(places - levels.mean()).argmin()] = True
        found.append(tuple(one for one, is_within in zip(source.slices, within, strict=True) if is_within))
    return tuple(found)
