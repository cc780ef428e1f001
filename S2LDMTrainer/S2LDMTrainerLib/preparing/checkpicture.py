"""Pictures to check prepared cases by eye."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image
from S2LDMLib.model.config import PHASES

WINDOW_HU = (-200, 200)  # W400/L0


def write_check_picture(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write three axial slices, one a row.

    With an NCCT: the NCCT, then each phase that is there with its absolute difference. Without: the CECT.
    Grey values at W400/L0; differences from 0 (black) to 400 HU (white), black where not valid.

    Args:
        arrays: int16 HU volumes (Z, Y, X) ``ncct``, a phase or ``cect``, uint8 ``<phase>_valid``.
    """
    depth = next(iter(arrays.values())).shape[0]
    rows = [_row(arrays, index) for index in (depth // 4, depth // 2, 3 * depth // 4)]
    Image.fromarray(np.concatenate(rows, axis=0)).save(path)


def _row(arrays: Mapping[str, np.ndarray], index: int) -> np.ndarray:
    if "ncct" not in arrays:
        return _grey(arrays["cect"][index])
    ncct = arrays["ncct"][index].astype(np.int32)
    tiles = [_grey(ncct)]
    for phase in (phase for phase in PHASES if phase in arrays):
        cect = arrays[phase][index].astype(np.int32)
        difference = np.abs(np.clip(cect, *WINDOW_HU) - np.clip(ncct, *WINDOW_HU)) * arrays[f"{phase}_valid"][index]
        tiles += [_grey(cect), (difference * (255 / 400)).astype(np.uint8)]
    return np.concatenate(tiles, axis=1)


def _grey(plane: np.ndarray) -> np.ndarray:
    low, high = WINDOW_HU
    return ((np.clip(plane, low, high) - low) * (255 / (high - low))).astype(np.uint8)
