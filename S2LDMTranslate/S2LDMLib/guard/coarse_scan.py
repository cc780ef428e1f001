"""A scan averaged to about the model's working spacing: what the guards look at, quickly and with little noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from ..volume.body import body_mask

CELL_MM = 1.5  # across the patient: averages noise away, a narrow aorta of 14 mm still has 9 cells
LONG_CELL_MM = 5.0  # along the patient


@dataclass(frozen=True)
class CoarseScan:
    """A scan on coarse cells in LPS axis order; arrays are (z, y, x), z along the patient.

    hu: float32. body: bool, the patient with lungs and gas filled in. spacing: x, y, z of a cell in mm.
    """

    hu: np.ndarray
    body: np.ndarray
    spacing: tuple[float, float, float]

    @property
    def length_mm(self) -> float:
        """Of the whole scan, along the patient."""
        return len(self.hu) * self.spacing[2]

    def cut_mm(self) -> np.ndarray:
        """Length of the skin line that the border of the volume cuts off, mm for each slice, (z,)."""
        columns = self.body[:, :, [0, -1]].sum(axis=(1, 2)) * self.spacing[1]
        return columns + self.body[:, [0, -1]].sum(axis=(1, 2)) * self.spacing[0]


def coarse_scan(image: sitk.Image) -> CoarseScan:
    """Average a scan.

    Args:
        image: 3D scalar volume in HU; any axis may run along the patient, the direction tells which.
    """
    cell_mm = [CELL_MM, CELL_MM, LONG_CELL_MM]
    factors = [1, 1, 1]
    for axis, cell in zip(lps_axes(image), cell_mm, strict=True):
        factors[axis] = max(1, min(round(cell / image.GetSpacing()[axis]), image.GetSize()[axis]))
    coarse = sitk.DICOMOrient(sitk.Cast(sitk.BinShrink(image, factors), sitk.sitkFloat32), "LPS")
    body = sitk.GetArrayFromImage(body_mask(coarse)).astype(bool)
    return CoarseScan(sitk.GetArrayFromImage(coarse), body, coarse.GetSpacing())


def lps_axes(image: sitk.Image) -> tuple[int, int, int]:
    """Which of the image's axes run nearest to left-right, front-back and head-foot."""
    letters = sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(image.GetDirection())
    x, y, z = (next(axis for axis in range(3) if letters[axis] in pair) for pair in ("LR", "AP", "IS"))
    return x, y, z
