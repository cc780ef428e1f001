"""Does a scan show an abdomen? Told slice by slice from what can be seen in any CT, and summed up in mm.

A slice is another part of the body where one of these holds, asked in this order:

- legs: two bodies of like size; of three and more the middle one is judged alone, since arms lie beside a head;
- chest: lung is more than 35 % of it;
- head: a shell of bone closely under the skin, and smaller than 400 cm2 (ribs under thin skin look alike);
- neck or limb: smaller than 250 cm2;
- hips or thighs: the bone lies beside the midline, so that there is no spine.

A slice whose outline is cut off by the field of view is judged by the first two alone.

Then its neighbours are looked at: see :mod:`S2LDMLib.guard.slice_order`.

The limits were set on 24 real volumes of 9 patients: 979 slices of about 5 mm of abdomen with the base of the lungs.
They show areas of 506 cm2 and more, lung up to 34 % but for three slices, bone up to 7 % of the shell, and 27 % or more
of the bone in the middle third (6 % at the hips of the one pelvis among them). Two real chests with their shoulders
were at hand as well. **No real scan of a head, neck, limb or raised arm was**: those were made up from ellipsoids
(``Testing/makers/body_part_maker.py``), so expect less elsewhere. Not told apart from an abdomen: one shoulder alone in
a small field of view, most of the pelvis, a chest whose header turns it upside down, a patient who lies on a side.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import SimpleITK as sitk

from .coarse_scan import CoarseScan
from .slice_order import ABDOMEN, CHEST, HEAD, HIPS, LEGS, NECK, JudgedSlice, judged_in_order

SMALLEST_PART = 0.5  # of the scan; real abdomens: 0.91 and more
LARGEST_ELSEWHERE_MM = 100.0  # real abdomens: 15 mm at most

_CELL_MM = 3.0  # shares need no finer cells
_LIKE_SIZE = 0.3  # of the larger body: a leg beside a leg, not an arm beside the trunk
_LEG_SIZE = 0.6  # of the larger leg: below it, an arm beside a head or a neck
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
_SHOULDERS_WIDTH = 1.9  # of their depth; real shoulders: 1.9 to 2.4, abdomens: 1.7 at most
_OUTER_PART = 0.6  # of half the width, from the midline on


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
    every = slice(None, None, steps[1]), slice(None, None, steps[0])
    pieces = (
        _Slice(hu[every], body[every], cell, cut_mm > _CUT_MM)
        for hu, body, cut_mm in zip(scan.hu, scan.body, scan.cut_mm(), strict=True)
    )
    judged = [_judge(piece) for piece in pieces if piece.body.any()]
    counts = Counter(judged_in_order(judged, scan.spacing[2]))
    return BodyPart({name: count * scan.spacing[2] for name, count in counts.items()})


def _judge(piece: _Slice) -> JudgedSlice:
    lung = piece.cm2(_lung(piece)) / piece.cm2(piece.body)
    return JudgedSlice(_kind(piece), lung, _looks_like_shoulders(piece))


def _kind(piece: _Slice) -> str:
    parts, sizes = _bodies(piece)
    if len(sizes) == 2 and sizes.min() >= _LEG_SIZE * sizes.max():
        return LEGS
    if len(sizes) == 1:
        return _kind_of_one(piece)
    columns = [np.nonzero(part)[1].mean() for part in parts]
    main = parts[int(np.argsort(columns)[len(parts) // 2] if len(parts) > 2 else sizes.argmax())]
    kind = _kind_of_one(replace(piece, body=main, is_cut=_cut_mm(main, piece.cell) > _CUT_MM))
    # Beside bodies of like size it is no trunk, unless it is as large as one.
    return NECK if kind in (ABDOMEN, HIPS) and piece.cm2(main) < _LARGEST_HEAD_CM2 else kind


def _kind_of_one(piece: _Slice) -> str:
    if piece.cm2(_lung(piece)) > _LUNG_PART * piece.cm2(piece.body):
        return CHEST
    if piece.is_cut:
        return ABDOMEN
    bone = _bone(piece)
    if piece.cm2(piece.body) < _LARGEST_HEAD_CM2 and bone[_shell(piece)].mean() > _SHELL_BONE_PART:
        return HEAD
    if piece.cm2(piece.body) < _SMALLEST_CM2:
        return NECK
    if _has_bone_beside_midline(piece, bone):
        return HIPS
    return ABDOMEN


def _lung(piece: _Slice) -> np.ndarray:
    return piece.body & (piece.hu > _LUNG_HU[0]) & (piece.hu < _LUNG_HU[1])


def _bone(piece: _Slice) -> np.ndarray:
    return piece.body & (piece.hu > _BONE_HU)


def _bodies(piece: _Slice) -> tuple[list[np.ndarray], np.ndarray]:
    """The bodies of like size, bool (y, x) each, and how many cells they have."""
    labels = sitk.GetArrayFromImage(sitk.ConnectedComponent(sitk.GetImageFromArray(piece.body.astype(np.uint8))))
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    like = np.flatnonzero(sizes >= _LIKE_SIZE * sizes.max())
    return [labels == label for label in like], sizes[like]


def _cut_mm(body: np.ndarray, cell: tuple[float, float]) -> float:
    return float(body[:, [0, -1]].sum() * cell[1] + body[[0, -1]].sum() * cell[0])


def _looks_like_shoulders(piece: _Slice) -> bool:
    """Whether the outline is very wide and flat, with much bone far from the midline on both sides."""
    columns, rows = (np.flatnonzero(piece.body.any(axis=axis)) for axis in (0, 1))
    half_width = (columns[-1] - columns[0] + 1) / 2
    width, depth = 2 * half_width * piece.cell[0], (rows[-1] - rows[0] + 1) * piece.cell[1]
    # A field of view that cuts front and back off makes any body flat.
    if width < _SHOULDERS_WIDTH * depth or piece.body[[0, -1]].any():
        return False
    place = np.arange(piece.body.shape[1]) - (columns[0] + columns[-1]) / 2
    bone = _bone(piece)
    return all(piece.cm2(bone[:, side * place > _OUTER_PART * half_width]) > _SIDE_BONE_CM2 for side in (-1, 1))


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
