"""The geometry of a volume, and the voxels that results are stored in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

AIR_HU = -1024  # what lies outside the patient and outside the reconstruction circle

Box = tuple[slice, slice, slice]  # index ranges (z, y, x), in the order of ``sitk.GetArrayFromImage``


@dataclass(frozen=True)
class Grid:
    """The geometry of a volume without its voxels: mm in LPS, in the order x, y, z as in SimpleITK."""

    size: tuple[int, ...]
    spacing: tuple[float, ...]
    origin: tuple[float, ...]
    direction: tuple[float, ...]

    @classmethod
    def of(cls, image: sitk.Image) -> Grid:
        """The grid that an image lies on."""
        return cls(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())

    def image(self, array: np.ndarray) -> sitk.Image:
        """A volume (Z, Y, X) that starts where this grid starts; it may be larger than ``size``."""
        result = sitk.GetImageFromArray(array)
        result.SetSpacing(self.spacing)
        result.SetOrigin(self.origin)
        result.SetDirection(self.direction)
        return result


def whole_box(image: sitk.Image) -> Box:
    """The index ranges of all voxels of a 3D image."""
    x, y, z = image.GetSize()
    return slice(0, z), slice(0, y), slice(0, x)


def lps_axes(image: sitk.Image) -> tuple[int, int, int]:
    """Which of the image's axes run nearest to left-right, front-back and head-foot."""
    letters = orientation_of(image.GetDirection())
    x, y, z = (next(axis for axis in range(3) if letters[axis] in pair) for pair in ("LR", "AP", "IS"))
    return x, y, z


def orientation_of(direction: Sequence[float]) -> str:
    """The name of an axis order as ``sitk.DICOMOrient`` takes it, such as ``LPS``, by nine direction cosines."""
    return sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(direction)


def to_lps(image: sitk.Image) -> sitk.Image:
    """The same voxels in the axis order LPS: x to the patient's left, y to the back, z to the head."""
    return sitk.DICOMOrient(image, "LPS")


def to_int16(image: sitk.Image) -> sitk.Image:
    """The image with its values rounded and clipped to int16; the image itself where they are int16 already."""
    if image.GetPixelID() == sitk.sitkInt16:
        return image
    limits = np.iinfo(np.int16)
    if image.GetPixelID() in (sitk.sitkFloat32, sitk.sitkFloat64):
        image = sitk.Round(image)
    return sitk.Clamp(image, sitk.sitkInt16, float(limits.min), float(limits.max))
