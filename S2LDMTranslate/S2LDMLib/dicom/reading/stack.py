"""The order and the grid of a series: what scanners write and archives lose, judged from positions alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...errors import InputError
from .slices import DicomSlice

SAME_PLACE_MM = 0.01
# Shifts that interpolation would blur more than it mends; many scanners round positions to 0.1 mm.
_UNEVEN = 0.1  # of the slice distance
_ASIDE_PIXELS = 0.2
_SAME_DIRECTION = 1e-3
_WHOLE = 0.1  # how far from a whole number of slices a gap may be and still be missing slices
_LONGEST = 2.5  # usual distances; what is further apart is not interpolated
_EQUAL = 0.05  # of each other: two distances that are one
_RUN = 3  # equal distances in a row that are a way of scanning and not missing slices


@dataclass(frozen=True, eq=False)
class StackLayout:
    """Where slices lie, and the grid of the volume to make of them; lengths in mm.

    Attributes:
        places: (slices,) along the normal from the first slice.
        aside: (slices, 2) how far each slice lies from the first one's normal, along rows and along columns.
        step: distance of the volume's slices.
        regular: whether the volume's slices are the series' own.
        warnings: what was found, one sentence each.
    """

    places: np.ndarray
    aside: np.ndarray
    step: float
    regular: bool
    warnings: tuple[str, ...]


def check_alike(slices: Sequence[DicomSlice]) -> None:
    """Raises InputError unless all slices have one matrix, pixel spacing, orientation and frame of reference."""
    first = slices[0]
    for one in slices:
        if one.size != first.size or not np.allclose(one.spacing, first.spacing, rtol=1e-3):
            raise InputError(
                f"{one.path} and {first.name} differ in matrix size or pixel spacing. "
                "Give a series of one kind of slice."
            )
        if np.abs(one.direction - first.direction).max() > _SAME_DIRECTION:
            raise InputError(
                f"{one.path} and {first.name} differ in orientation. Remove the slices that are not of the stack."
            )
    frames = {one.frame_of_reference: one for one in slices if one.frame_of_reference}
    if len(frames) > 1:
        one, other, *_ = frames.values()
        raise InputError(
            f"{one.path} and {other.name} have different frames of reference, so their places cannot be compared. "
            "Give a series of one scan."
        )


def in_order(slices: Sequence[DicomSlice]) -> list[DicomSlice]:
    """The slices sorted along row x column."""
    normal = slices[0].normal
    return sorted(slices, key=lambda one: (float(one.position @ normal), one.path, one.frame or 0))


def lay_out(slices: Sequence[DicomSlice]) -> StackLayout:
    """Find the grid for slices in order, no two of them in one place.

    Raises:
        InputError: slices are missing.
    """
    first = slices[0]
    away = np.array([one.position - first.position for one in slices])
    places = away @ first.normal
    aside = away @ np.stack([first.direction[:3], first.direction[3:]], axis=1)
    steps = np.diff(places)
    usual = float(np.median(steps))
    _check_complete(slices, places, usual)
    mean = float(places[-1]) / len(steps)
    even = np.abs(places - mean * np.arange(len(places))).max() <= _UNEVEN * mean
    straight = (np.abs(aside) <= _ASIDE_PIXELS * np.array(first.spacing)).all()
    step = mean if even else _finest(steps, usual)
    found = [] if even else [_uneven(slices, places, step)]
    found += [] if straight else [_sheared(slices, places, aside)]
    return StackLayout(places, aside, step, bool(even and straight), tuple(found))


def _check_complete(slices: Sequence[DicomSlice], places: np.ndarray, usual: float) -> None:
    steps = np.diff(places)
    ratio = steps / usual
    whole = (ratio > 1.5) & (np.abs(ratio - np.round(ratio)) < _WHOLE)
    gaps = np.flatnonzero(~_in_run(steps) & (whole | (ratio > _LONGEST)))
    if not len(gaps):
        return
    missing = int(np.round(ratio[gaps]).sum()) - len(gaps)
    raise InputError(
        f"{slices[0].path.parent}: {missing} slice{' is' if missing == 1 else 's are'} missing, the first "
        f"{_between(slices, places, gaps[0])}. Give the whole series."
    )


def _in_run(steps: np.ndarray) -> np.ndarray:
    """For each step whether it is one of ``_RUN`` or more equal ones in a row."""
    equal = np.abs(np.diff(steps)) <= _EQUAL * np.minimum(steps[1:], steps[:-1])
    run = np.concatenate([[0], np.cumsum(~equal)])
    return np.bincount(run)[run] >= _RUN


def _finest(steps: np.ndarray, usual: float) -> float:
    """The smallest distance that the series keeps to for a while."""
    in_run = _in_run(steps)
    return min(usual, float(steps[in_run].min())) if in_run.any() else usual


def _uneven(slices: Sequence[DicomSlice], places: np.ndarray, step: float) -> str:
    steps = np.diff(places)
    at = int(np.argmax(np.abs(steps - step)))
    return (
        f"Slices are unevenly spaced, {steps[at]:.2f} mm {_between(slices, places, at)} and {step:.2f} mm elsewhere: "
        f"the volume was interpolated to {step:.2f} mm throughout."
    )


def _sheared(slices: Sequence[DicomSlice], places: np.ndarray, aside: np.ndarray) -> str:
    slope = places @ aside / (places @ places)
    rest = np.abs(aside - places[:, None] * slope).max()
    if rest <= _ASIDE_PIXELS * max(slices[0].spacing):
        angle = float(np.degrees(np.arctan(np.hypot(*slope))))
        return (
            f"Slices are sheared by {angle:.1f} degrees (gantry tilt): the volume was straightened by interpolating "
            "within each slice."
        )
    far = int(np.argmax(np.abs(aside).max(axis=1)))
    return (
        f"Slices lie beside one another, {slices[far].name} by {np.hypot(*aside[far]):.1f} mm: the volume was "
        "aligned by interpolating within each slice."
    )


def _between(slices: Sequence[DicomSlice], places: np.ndarray, at: int) -> str:
    """Name the place of a gap by positions along the normal, as the headers tell them and a viewer shows them."""
    start = float(slices[0].position @ slices[0].normal)
    low, high = places[at] + start, places[at + 1] + start
    return f"between {slices[at].name} and {slices[at + 1].name} ({low:.1f} to {high:.1f} mm)"
