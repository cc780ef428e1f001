"""Slices that are there twice: a copy is harmless, two different slices in one place are not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...errors import InputError
from .pixels import hu_planes
from .slices import DicomSlice
from .stack import SAME_PLACE_MM


def without_duplicates(slices: Sequence[DicomSlice]) -> tuple[list[DicomSlice], tuple[str, ...]]:
    """The slices without copies, and a warning where there were some. Only slices in one place are decoded.

    Args:
        slices: the slices of a series in order.

    Raises:
        InputError: different slices lie in one place, or share one SOP Instance UID.
    """
    kept, copies = [slices[0]], []
    for one in slices[1:]:
        last = kept[-1]
        if (one.position - last.position) @ last.normal >= SAME_PLACE_MM:
            kept.append(one)
        elif _equal(one, last):
            copies.append(one)
        else:
            raise InputError(_different(slices, last, one))
    _check_unique(kept)
    if not copies:
        return kept, ()
    return kept, (f"Copies of slices are left out: {len(copies)}, such as {copies[0].name}.",)


def _equal(one: DicomSlice, other: DicomSlice) -> bool:
    if np.abs(one.position - other.position).max() > SAME_PLACE_MM:
        return False
    first, second = hu_planes((one, other))
    return bool(np.array_equal(first, second))


def _different(slices: Sequence[DicomSlice], one: DicomSlice, other: DicomSlice) -> str:
    normal = slices[0].normal
    places = np.array([each.position @ normal for each in slices])
    doubled = int(np.count_nonzero(np.diff(places) < SAME_PLACE_MM))
    return (
        f"{one.path.parent}: different slices lie in one place, such as {one.name} and {other.name} "
        f"({one.position @ normal:.1f} mm; places with several: {doubled}). The series holds two phases or "
        "reconstructions: export each as a series of its own."
    )


def _check_unique(slices: Sequence[DicomSlice]) -> None:
    seen: dict[tuple[str, int | None], DicomSlice] = {}
    for one in slices:
        uid = one.sop_instance_uid
        other = seen.setdefault((uid, one.frame), one)
        if uid and other is not one:
            raise InputError(
                f"{one.path} and {other.name} share one SOP Instance UID and are different slices. "
                "Export the series anew from its archive."
            )
