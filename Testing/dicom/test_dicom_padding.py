"""A padding value that tissue has too is padding outside the reconstruction circle alone."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_maker import ct_array, write_series
from pydicom.dataset import FileDataset
from S2LDMLib.errors import S2LDMWarning
from S2LDMLib.reading import read_volume

HU = np.maximum(ct_array((4, 48, 64)), -1024)
OUTSIDE = np.hypot(*np.meshgrid(np.linspace(-1, 1, 64), np.linspace(-1, 1, 48))) > 1


def read(folder: Path) -> np.ndarray:
    return sitk.GetArrayFromImage(read_volume(folder))


def padded_with(value: int, limit: int | None = None):
    def edit(_: int, slice_: FileDataset) -> FileDataset:
        slice_.add_new("PixelPaddingValue", "SS", value)
        if limit is not None:
            slice_.add_new("PixelPaddingRangeLimit", "SS", limit)
        return slice_

    return edit


@pytest.mark.parametrize(("value", "limit"), [(0, None), (45, None), (-100, None), (40, 50)])
def test_tissue_of_the_padding_value_stays_tissue(tmp_path: Path, value: int, limit: int | None) -> None:
    values = HU.copy()
    values[:, 20:30, 20:40:3] = value
    write_series(tmp_path, values, padded_with(value, limit), RescaleIntercept=0)
    with pytest.warns(S2LDMWarning, match=f"PixelPaddingValue {value} .*taken for tissue") as told:
        assert np.array_equal(read(tmp_path), values)
    assert len(told) == 1


def test_outside_the_circle_the_same_value_is_air(tmp_path: Path) -> None:
    values = np.where(OUTSIDE, 0, HU)
    values[:, 20:30, 30] = 0
    write_series(tmp_path, values, padded_with(0), RescaleIntercept=0)
    with pytest.warns(S2LDMWarning, match="PixelPaddingValue 0"):
        assert np.array_equal(read(tmp_path), np.where(OUTSIDE, -1024, values))


def test_a_value_that_no_tissue_has_is_air_anywhere_without_a_word(tmp_path: Path) -> None:
    """Stored 0 is -1024 HU here, as in most files of unsigned pixels."""
    values = HU.copy()
    values[:, 20:30, 30] = -1024
    write_series(tmp_path, values + 1024, padded_with(0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(read(tmp_path), values)
