"""What a slice shows, told by the slices above and below it: they follow one another as the parts of a body do.

- Shoulders: a slice that looks like them, with no lung above it, and with lung below or a neck above it.
- Chest: where lung is more than 10 % over more than 110 mm, or a head or shoulders are seen, the scan shows a chest.
  From where lung is half of its largest part on, which is above the dome of the liver, all that would be an abdomen is
  chest or shoulders.
- Arms: what looks like legs and lies next to a head, a chest or shoulders.

Measured: lung over 75 mm at most in 30 real scans of an abdomen, over 180 and 230 mm in two real chests.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

ABDOMEN, CHEST, HEAD, NECK = "abdomen", "chest", "head", "neck or limb"
SHOULDERS, ARMS, LEGS, HIPS = "shoulders", "arms", "legs", "hips or thighs"

_LUNG_PART = 0.1
_LONGEST_LUNG_BASE_MM = 110.0
_ABOVE_DOME = 0.5  # of the largest part of lung
_APEX_PART = 0.06  # gas in the bowel makes up to 4 %
_NEAR_MM = 80.0


@dataclass(frozen=True)
class JudgedSlice:
    """What a slice looks like by itself.

    kind: name of the part of the body.
    lung: part of the body that is lung, 0 to 1.
    like_shoulders: its outline and bone are those of shoulders; or of hips, or of a trunk with arms beside it.
    """

    kind: str
    lung: float
    like_shoulders: bool


def judged_in_order(slices: Sequence[JudgedSlice], slice_mm: float) -> list[str]:
    """The part of the body that each slice shows; ``slices`` run from the feet to the head, ``slice_mm`` apart."""
    kinds = [one.kind for one in slices]
    near = round(_NEAR_MM / slice_mm)
    for index, one in enumerate(slices):
        above, below = slices[index + 1 :], slices[max(0, index - near) : index + 1]
        if one.like_shoulders and kinds[index] in (ABDOMEN, HIPS) and not any(each.lung > _LUNG_PART for each in above):
            has_apex = any(each.lung > _APEX_PART for each in below)
            if has_apex or any(each.kind in (HEAD, NECK) for each in above[:near]):
                kinds[index] = SHOULDERS
    for index in range(_start_of_chest(slices, kinds, slice_mm), len(slices)):
        if kinds[index] in (ABDOMEN, HIPS):
            kinds[index] = CHEST if slices[index].lung > _APEX_PART else SHOULDERS
    return [ARMS if kind == LEGS and _are_arms(kinds, index) else kind for index, kind in enumerate(kinds)]


def _start_of_chest(slices: Sequence[JudgedSlice], kinds: Sequence[str], slice_mm: float) -> int:
    """Index of the first slice above the dome of the liver, the number of slices where it is no scan of a chest."""
    longest = max(_runs(one.lung > _LUNG_PART for one in slices), key=len, default=range(0))
    is_long = len(longest) * slice_mm > _LONGEST_LUNG_BASE_MM
    if not longest or not (is_long or {HEAD, SHOULDERS} & set(kinds[longest.start :])):
        return len(slices)
    dome = _ABOVE_DOME * max(slices[index].lung for index in longest)
    return next(index for index in longest if slices[index].lung >= dome)


def _runs(flags: Iterable[bool]) -> list[range]:
    """Where flags are set without a gap."""
    runs: list[range] = []
    for index, flag in enumerate(flags):
        if flag and runs and runs[-1].stop == index:
            runs[-1] = range(runs[-1].start, index + 1)
        elif flag:
            runs.append(range(index, index + 1))
    return runs


def _are_arms(kinds: Sequence[str], index: int) -> bool:
    """Whether the next slices on one of both sides that are no limbs show what arms hang on."""
    sides = kinds[index + 1 :], kinds[:index][::-1]
    neighbours = {next((kind for kind in side if kind not in (LEGS, NECK)), None) for side in sides}
    return bool(neighbours & {HEAD, CHEST, SHOULDERS}) and not neighbours & {ABDOMEN, HIPS}
