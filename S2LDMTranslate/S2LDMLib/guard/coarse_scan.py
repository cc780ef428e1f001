"""A scan averaged to about the model's working spacing: what the guards look at, quickly and with little noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from ..volume.body import body_mask
from ..volume.grid import lps_axes, to_lps

CELL_MM = 1.5  # across the patient: averages noise away, a narrow aorta of 14 mm still has 9 cells
LONG_CELL_MM = 5.0  # along the patient


@dataclass(frozen=True)
class CoarseScan:
    """A scan on coarse cells in LPS axis order; arrays are (z, y, x), z along the patient.

    hu: float32.
    body: bool; the patient with lungs and gas filled in.
    spacing: size of a cell in mm, in the order x, y, z.
    """

    hu: np.ndarray
    body: np.ndarray
    spacing: tuple[float, float, float]

    @property
    def length_mm(self) -> float:
        """Length of the whole scan along the patient, mm."""
        return len(self.hu) * self.spacing[2]

    def cut_mm(self) -> np.ndarray:
        """Length of the skin line that the border of the volume cuts off, mm for each slice, (z,)."""
        columns = self.body[:, :, [0, -1]].sum(axis=(1, 2)) * self.spacing[1]
        return columns + self.body[:, [0, -1]].sum(axis=(1, 2)) * self.spacing[0]


def coarse_scan(image: sitk.Image) -> CoarseScan:
    """Average a scan to cells of about 1.5 x 1.5 x 5 mm.

    Args:
        image: 3D scalar volume in HU; any axis may run along the patient, the direction tells which.
    """
    cell_mm = [CELL_MM, CELL_MM, LONG_CELL_MM]
    factors = [1, 1, 1]
    for axis, cell in zip(lps_axes(image), cell_mm, strict=True):
        factors[axis] = max(1, min(round(cell / image.GetSpacing()[axis]), image.GetSize()[axis]))
    coarse = to_lps(sitk.Cast(sitk.BinShrink(image, factors), sitk.sitkFloat32))
    body = sitk.GetArrayFromImage(body_mask(coarse)).astype(bool)
    return CoarseScan(sitk.GetArrayFromImage(coarse), body, coarse.GetSpacing())
