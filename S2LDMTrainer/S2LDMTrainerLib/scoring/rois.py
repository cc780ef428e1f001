"""Discs in which HU are compared: drawn by a person, in mm, so that they need no labels.

The file is JSON: case to name to a list of discs, ``{"center_lps_mm": [x, y, z], "radius_mm": r}``.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from S2LDMLib.errors import InputError

from ..data import Case


@dataclass(frozen=True)
class Roi:
    """A disc in the axial slice nearest to its centre; centre (LPS) and radius in mm."""

    name: str
    centre: tuple[float, float, float]
    radius: float


def read_rois(file: Path) -> dict[str, list[Roi]]:
    """Read the discs of every case; the second disc of a name is called ``<name>_2``, and so on.

    Raises:
        InputError: the file cannot be read or is of another form.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise InputError(f"The ROI file {file} cannot be read ({error}). Give a JSON file of discs.") from None
    try:
        return {
            case: [
                _roi(name if number == 1 else f"{name}_{number}", disc)
                for name, discs in named.items()
                for number, disc in enumerate(discs, 1)
            ]
            for case, named in content.items()
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"The ROI file {file} is of another form ({type(error).__name__}: {error}). Give case to name to a list of "
            '{"center_lps_mm": [x, y, z], "radius_mm": r}.'
        ) from None


def _roi(name: str, disc: dict[str, Any]) -> Roi:
    x, y, z = (float(value) for value in disc["center_lps_mm"])
    radius = float(disc["radius_mm"])
    if not all(map(math.isfinite, (x, y, z))) or not 0 < radius < math.inf:
        raise ValueError(f"{name} needs a finite centre and a radius above 0")
    return Roi(name, (x, y, z), radius)


def roi_mask(roi: Roi, case: Case) -> NDArray[np.bool_]:
    """Return the mask (Z, Y, X) of those voxels of the nearest slice whose centres lie in the disc.

    Raises:
        InputError: the disc's centre lies outside of the volume.
    """
    axes = np.reshape(case.direction, (3, 3))
    # Column i of the direction is the axis of index i, so its transpose takes mm to the volume's own axes.
    x, y, z = axes.T @ np.subtract(roi.centre, case.origin) / case.spacing
    depth, height, width = case.shape
    if not (-0.5 <= x < width - 0.5 and -0.5 <= y < height - 0.5 and -0.5 <= z < depth - 0.5):
        raise InputError(
            f"The ROI {roi.name} of {case.name} lies outside of the volume. Give its centre in LPS mm, on the NCCT."
        )
    rows, columns = np.ogrid[:height, :width]
    mask = np.zeros(case.shape, bool)
    mask[round(z)] = np.hypot((rows - y) * case.spacing[1], (columns - x) * case.spacing[0]) <= roi.radius
    return mask
