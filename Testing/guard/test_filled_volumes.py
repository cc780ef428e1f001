"""A constant around the patient that is no air is refused by name: it would be taken for a part of the patient."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import SimpleITK as sitk
from S2LDMLib.errors import InputError
from S2LDMLib.guard.input_checks import check_input
from S2LDMLib.phantom.scan import PhantomTriple

Where = Callable[[np.ndarray], np.ndarray]


def outside_the_circle(hu: np.ndarray) -> np.ndarray:
    _, height, width = hu.shape
    y, x = np.mgrid[:height, :width]
    far = ((y - height / 2) / (height / 2)) ** 2 + ((x - width / 2) / (width / 2)) ** 2 > 0.95
    return np.broadcast_to(far, hu.shape)


def a_band(hu: np.ndarray) -> np.ndarray:
    chosen = np.zeros(hu.shape, bool)
    chosen[:, : hu.shape[1] // 6] = True
    return chosen


def the_last_slices(hu: np.ndarray) -> np.ndarray:
    chosen = np.zeros(hu.shape, bool)
    chosen[-3:] = True
    return chosen


def filled(image: sitk.Image, where: Where, value: float) -> sitk.Image:
    hu = sitk.GetArrayFromImage(image)
    hu[where(hu)] = value
    result = sitk.GetImageFromArray(hu)
    result.CopyInformation(image)
    return result


@pytest.mark.parametrize("value", [0, -500, 40, 1000])
@pytest.mark.parametrize("where", [outside_the_circle, a_band, the_last_slices])
def test_a_constant_that_is_no_air_is_refused(phantom: PhantomTriple, where: Where, value: float) -> None:
    with pytest.raises(InputError, match=f"constant {value} fills"):
        check_input(filled(phantom.ncct, where, value), (1, 1, 1))


@pytest.mark.parametrize("value", [-1024, -1000, -2000])
def test_air_and_padding_are_not(phantom: PhantomTriple, value: float) -> None:
    check_input(filled(phantom.ncct, outside_the_circle, value), (1, 1, 1))


def test_a_patient_who_is_cut_off_is_not(phantom: PhantomTriple) -> None:
    width, height, _ = phantom.ncct.GetSize()
    assert check_input(phantom.ncct[width // 3 : -width // 3, height // 3 : -height // 3, :], (1, 1, 1)).warnings
