"""The geometry of a volume, and the voxels that results are stored in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

AIR_HU = -1024  # what lies outside the patient and outside the reconstruction circle


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


def to_int16(image: sitk.Image) -> sitk.Image:
    """Rounded and clipped; the image itself where it is int16 already."""
    if image.GetPixelID() == sitk.sitkInt16:
        return image
    limits = np.iinfo(np.int16)
    if image.GetPixelID() in (sitk.sitkFloat32, sitk.sitkFloat64):
        image = sitk.Round(image)
    return sitk.Clamp(image, sitk.sitkInt16, float(limits.min), float(limits.max))
