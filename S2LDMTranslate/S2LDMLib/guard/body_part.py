"""Does a scan show an abdomen? Told slice by slice from what can be seen in any CT, and summed up in mm.

A slice is another part of the body where one of these holds, asked in this order:

- legs: two bodies of like size;
- chest: lung is more than 35 % of it;
- head: a shell of bone closely under the skin, and smaller than 400 cm2 (ribs under thin skin look alike);
- neck or limb: smaller than 250 cm2;
- hips or thighs: the bone lies beside the midline, so that there is no spine.

A slice whose outline is cut off by the field of view is judged by the first two alone.

The limits were set on 24 real volumes of 9 patients: 979 slices of about 5 mm of abdomen with the base of the lungs.
They show areas of 506 cm2 and more, lung up to 34 % but for three slices, bone up to 7 % of the shell, and 27 % or more
of the bone in the middle third (6 % at the hips of the one pelvis among them). **No real scan of a head, neck, limb or
whole chest was at hand**: those were made up from ellipsoids (``Testing/makers/body_part_maker.py``), so
expect less elsewhere. Not told apart from an abdomen: the shoulders, most of the pelvis, a patient who lies on a side.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from .coarse_scan import CoarseScan

ABDOMEN = "abdomen"
SMALLEST_PART = 0.5  # of the scan; real abdomens: 0.91 and more
LARGEST_ELSEWHERE_MM = 100.0  # real abdomens: 15 mm at most

_CELL_MM = 3.0  # shares need no finer cells
_LIKE_SIZE = 0.3  # of the larger body: a leg beside a leg, not an arm beside the trunk
_CUT_MM = 20.0
_LUNG_HU = (-960.0, -400.0)  # bowel gas is below
_LUNG_PART = 0.35
_BONE_HU = 150.0
_SHELL_MM = (3.0, 18.0)  # under the skin: the skull, but few ribs
_SHELL_BONE_PART = 0.3
_LARGEST_HEAD_CM2 = 400.0
_SMALLEST_CM2 = 250.0
_MIDDLE_BONE_PART = 0.2
_SIDE_BONE_CM2 = 5.0  # below it, there is no bone to speak of


@dataclass(frozen=True)
class BodyPart:
    """What a scan shows: for each part of the body by name its length in mm, without the slices that show no body."""

    lengths_mm: dict[str, float]

    @property
    def abdomen_mm(self) -> float:
        """Length of what looks like an abdomen."""
        return self.lengths_mm.get(ABDOMEN, 0.0)

    @property
    def elsewhere_mm(self) -> float:
        """Length of all that looks like another part of the body."""
        return self.scanned_mm - self.abdomen_mm

    @property
    def scanned_mm(self) -> float:
        """Length of all slices that show a body."""
        return sum(self.lengths_mm.values())

    @property
    def abdomen_part(self) -> float:
        """The abdomen's part of the scanned length, 0 to 1."""
        return self.abdomen_mm / self.scanned_mm if self.lengths_mm else 0.0

    @property
    def is_abdomen(self) -> bool:
        """Whether the model can be trusted with most of what the scan shows."""
        return self.abdomen_part >= SMALLEST_PART and self.elsewhere_mm <= LARGEST_ELSEWHERE_MM

    def others(self) -> str:
        """The other parts in words, the longest first."""
        found = sorted(self.lengths_mm.items(), key=lambda item: -item[1])
        return ", ".join(f"{name} {length:.0f} mm" for name, length in found if name != ABDOMEN)


@dataclass(frozen=True)
class _Slice:
    """An axial slice in cells of ``cell`` mm (x, y); arrays are (y, x)."""

    hu: np.ndarray
    body: np.ndarray
    cell: tuple[float, float]
    is_cut: bool

    def cm2(self, cells: np.ndarray) -> float:
        """Area of some cells, given as bool (y, x)."""
        return float(np.count_nonzero(cells)) * self.cell[0] * self.cell[1] / 100


def body_part(scan: CoarseScan) -> BodyPart:
    """Judge every slice of a scan."""
    steps = [max(1, round(_CELL_MM / size)) for size in scan.spacing[:2]]
    cell = scan.spacing[0] * steps[0], scan.spacing[1] * steps[1]
    counts: Counter[str] = Counter()
    for hu, body, cut_mm in zip(scan.hu, scan.body, scan.cut_mm(), strict=True):
        every = slice(None, None, steps[1]), slice(None, None, steps[0])
        piece = _Slice(hu[every], body[every], cell, cut_mm > _CUT_MM)
        if piece.body.any():
            counts[_kind(piece)] += 1
    return BodyPart({name: count * scan.spacing[2] for name, count in counts.items()})


def _kind(piece: _Slice) -> str:
    lung = piece.body & (piece.hu > _LUNG_HU[0]) & (piece.hu < _LUNG_HU[1])
    if _bodies(piece) > 1:
        return "legs"
    if piece.cm2(lung) > _LUNG_PART * piece.cm2(piece.body):
        return "chest"
    if piece.is_cut:
        return ABDOMEN
    bone = piece.body & (piece.hu > _BONE_HU)
    if piece.cm2(piece.body) < _LARGEST_HEAD_CM2 and bone[_shell(piece)].mean() > _SHELL_BONE_PART:
        return "head"
    if piece.cm2(piece.body) < _SMALLEST_CM2:
        return "neck or limb"
    if _has_bone_beside_midline(piece, bone):
        return "hips or thighs"
    return ABDOMEN


def _bodies(piece: _Slice) -> int:
    parts = sitk.GetArrayFromImage(sitk.ConnectedComponent(sitk.GetImageFromArray(piece.body.astype(np.uint8))))
    sizes = np.bincount(parts.ravel())[1:]
    return int(np.count_nonzero(sizes >= _LIKE_SIZE * sizes.max()))


def _shell(piece: _Slice) -> np.ndarray:
    outline = sitk.GetImageFromArray(np.pad(piece.body, 1).astype(np.uint8))
    outline.SetSpacing(piece.cell)
    depth = sitk.SignedMaurerDistanceMap(outline, insideIsPositive=True, squaredDistance=False, useImageSpacing=True)
    depth_mm = sitk.GetArrayFromImage(depth)[1:-1, 1:-1]
    shell = (depth_mm >= _SHELL_MM[0]) & (depth_mm < _SHELL_MM[1])
    return shell if shell.any() else piece.body


def _has_bone_beside_midline(piece: _Slice, bone: np.ndarray) -> bool:
    columns = np.flatnonzero(piece.body.any(axis=0))
    third = (columns[-1] - columns[0] + 1) / 3
    middle = np.abs(np.arange(piece.body.shape[1]) - np.nonzero(piece.body)[1].mean()) < third / 2
    between, all_bone = piece.cm2(bone[:, middle]), piece.cm2(bone)
    return all_bone - between > _SIDE_BONE_CM2 and between < _MIDDLE_BONE_PART * all_bone
