"""A part of the scan that is to be translated: a box in the patient's space."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import SimpleITK as sitk

from ..errors import InputError
from .grid import Box

_EDGE = 1e-3  # of a voxel: a box that ends at a voxel's centre holds it
_SMALLEST_MM = 10.0  # less shows no organ


@dataclass(frozen=True)
class Region:
    """A box along the patient's axes: from ``low`` to ``high`` in mm, (x, y, z) in LPS."""

    low: tuple[float, float, float]
    high: tuple[float, float, float]

    @classmethod
    def of_bounds(cls, bounds: Sequence[float]) -> Region:
        """Make a region of x0, x1, y0, y1, z0, z1 in mm, in LPS.

        Raises:
            InputError: not a box of at least 10 mm along each axis.
        """
        if not all(map(math.isfinite, bounds)):
            raise InputError("The region holds a number that is not finite. Give six numbers in mm.")
        x0, x1, y0, y1, z0, z1 = bounds
        low, high = (x0, y0, z0), (x1, y1, z1)
        if any(b - a < _SMALLEST_MM for a, b in zip(low, high, strict=True)):
            size = " x ".join(f"{b - a:g}" for a, b in zip(low, high, strict=True))
            raise InputError(f"The region is too small: {size} mm. Make it at least {_SMALLEST_MM:g} mm wide each way.")
        return cls(low, high)

    def __str__(self) -> str:
        """The six bounds as ``--region`` takes them."""
        return " ".join(f"{a:.2f} {b:.2f}" for a, b in zip(self.low, self.high, strict=True))

    def box(self, image: sitk.Image) -> Box:
        """The smallest index box (z, y, x) of the image that holds all voxel centres in the region.

        Where the image lies obliquely, the box lies so too, around the region.

        Raises:
            InputError: the region lies outside the image.
        """
        corners = itertools.product(*zip(self.low, self.high, strict=True))
        indices = [image.TransformPhysicalPointToContinuousIndex(corner) for corner in corners]
        ranges = []
        for axis, size in enumerate(image.GetSize()):
            along = [index[axis] for index in indices]
            start, stop = math.ceil(min(along) - _EDGE), math.floor(max(along) + _EDGE) + 1
            ranges.append(slice(max(0, start), min(size, stop)))
        x, y, z = ranges
        if is_empty((z, y, x)):
            raise InputError("The region lies outside the volume. Move it over the patient.")
        return z, y, x


def grow(box: Box, margin: Sequence[int]) -> Box:
    """A box with ``margin`` voxels (z, y, x) more on each side; it may reach beyond the volume."""
    z, y, x = (slice(part.start - m, part.stop + m) for part, m in zip(box, margin, strict=True))
    return z, y, x


def overlap(a: Box, b: Box) -> Box:
    """What two boxes have in common; for nothing a box that :func:`is_empty`."""
    z, y, x = (slice(max(p.start, q.start), min(p.stop, q.stop)) for p, q in zip(a, b, strict=True))
    return z, y, x


def is_empty(box: Box) -> bool:
    """Whether a box holds no voxel."""
    return any(part.start >= part.stop for part in box)
