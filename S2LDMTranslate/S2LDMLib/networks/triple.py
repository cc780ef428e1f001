"""Three whole numbers, one for each axis of a volume, in the order of tensors: (z, y, x)."""

from __future__ import annotations

from collections.abc import Iterable

Triple = tuple[int, int, int]


def triple(values: Iterable[int]) -> Triple:
    """Three numbers as a :data:`Triple`.

    Raises:
        ValueError: there are more or fewer than three.
    """
    z, y, x = values
    return z, y, x
