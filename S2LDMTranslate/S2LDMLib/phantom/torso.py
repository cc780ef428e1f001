"""Where the organs of the abdominal phantom lie: signed distances in mm, no Hounsfield units.

Model frame: x to the patient's left, y to posterior, z to the head; x = 0 in the spine, z = 0 in the middle of L1.
Positions and sizes were laid out by hand after common anatomy and the rough organ extents of two public label maps
(TotalSegmentator test data, Apache-2.0; LIDC-IDRI-0001, CC BY 3.0); every seed varies them. A signed distance is
negative inside. Points are three arrays that broadcast to one axial slice (rows, columns).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .shapes import Array, Points, Tube, curve, ramp, smooth_max

# Level: z of the vertebral middle, y of the middle of its body, half width and half depth of the body.
VERTEBRAE = np.array(
    [
        (-172, -16, 24, 15),
        (-137, -30, 26, 17),
        (-104, -36, 25, 17),
        (-68, -34, 24, 17),
        (-34, -26, 23, 16),
        (0, -15, 22, 16),
        (31, -4, 21, 15),
        (58, 7, 19, 15),
        (83, 16, 18, 14),
        (107, 23, 17, 14),
        (130, 30, 16, 14),
        (152, 36, 16, 13),
        (173, 41, 16, 13),
    ],
    np.float32,
)
FIRST_THORACIC = 6  # row of T12 in VERTEBRAE
# Rib: z at its vertebra, fraction of the way to the front where bone turns into cartilage or the rib ends.
RIBS = ((31, 0.30), (58, 0.44), (83, 0.62), (107, 0.68), (130, 0.73), (152, 0.76), (173, 0.78), (193, 0.80))
FLOATING_RIBS = 2
DISC_HALF_MM = 4.0


@dataclass(frozen=True)
class Torso:
    """Skin, muscular shell, rib cage and diaphragm of one patient; lengths in mm."""

    half_width: float
    half_depth: float
    fat: float  # subcutaneous fat at the flank
    belly: float  # how far the abdomen bulges forward of the chest
    # (3, 6): x, y, semi-axes a and b, top and posterior base of the right, left and central dome
    domes: Array
    rib_drop: float
    waist: float

    @classmethod
    def sample(cls, rng: np.random.Generator) -> Torso:
        breath = rng.uniform(-6, 6)
        domes = np.array([(-66, -52, 74, 90, 97, 4), (68, -48, 72, 88, 88, 0), (4, -86, 100, 56, 75, 30)], np.float32)
        domes[:, 4] += breath
        return cls(
            rng.uniform(136, 146),
            rng.uniform(101, 109),
            rng.uniform(9, 26),
            rng.uniform(-14, 8),
            domes,
            rng.uniform(92, 112),
            rng.uniform(3, 9),
        )

    def _section(self, points: Points, grow_x: float, grow_y: float) -> Array:
        """Radial distance to a superellipse; the waist narrows and the belly bulges with z."""
        x, y, z = points
        a = self.half_width + grow_x - self.waist * np.exp(-(((z + 70) / 45) ** 2)) - 10 * ramp(z, 60, 170)
        x, y = np.abs(x), y - self.middle(z)
        b = self.half_depth + grow_y + np.where(y < 0, self.belly * ramp(-z, -60, 60), 0)
        radius = np.sqrt(x * x + y * y) + np.float32(1e-3)
        f = ((x / a) ** 2.2 + (np.abs(y) / b) ** 2.2) ** np.float32(1 / 2.2)
        return radius * (1 - 1 / np.maximum(f, 1e-3))

    def middle(self, z: Array) -> Array:
        """y of the middle of the shell: it follows the thoracic kyphosis a little."""
        return -44 + 10 * ramp(z, 20, 160)

    def skin(self, points: Points) -> Array:
        x, y, z = points
        outline = self._section((x, y - 5, z), self.fat, 6 + 0.8 * self.fat)
        back = self.middle(z) + self.half_depth + 9 + 0.5 * self.fat
        furrow = 7 * np.exp(-((x / 14) ** 2)) + 0.0006 * x * x
        return smooth_max(outline, y - back + furrow, 40)

    def shell(self, points: Points) -> Array:
        """Outer surface of ribs and abdominal wall."""
        return self._section(points, 0, 0)

    def around(self, points: Points) -> Array:
        """Fraction of the way around the trunk: 0 at the spine, 1 at the front midline."""
        x, y, z = points
        back = (y - self.middle(z)) / self.half_depth
        return np.arctan2(np.abs(x) / self.half_width, back) / np.float32(np.pi)

    def wall_thickness(self, points: Points, around: Array) -> Array:
        """Thickness of the wall: three flank muscles, rectus, the thin lines between; above them the chest wall."""
        flank = np.interp(
            around, (0, 0.2, 0.32, 0.6, 0.72, 0.765, 0.80, 0.9, 0.975, 1.0), (4, 4, 14, 17, 10, 4, 11, 11, 8, 2)
        )
        chest = ramp(points[2], -45, 0) * (1 - ramp(around, 0.6, 0.85)) + ramp(points[2], 30, 85) * ramp(
            around, 0.6, 0.85
        )
        return (flank + (10 - flank) * chest).astype(np.float32)

    def rib(self, points: Points, shell: Array, around: Array, level: int) -> tuple[Array, Array]:
        """Distance to one pair of ribs and the fraction ``around`` past its bony end (negative inside bone)."""
        start, end = RIBS[level]
        bony = np.minimum(around, end)
        height = start - self.rib_drop * np.sin(np.minimum(bony, 0.62) * np.float32(np.pi / 1.24))
        if level < FLOATING_RIBS:
            stop = around - end
        else:
            height = height + 190 * np.maximum(around - end, 0)
            stop = around - 0.97
        q = np.sqrt(((points[2] - height) / 7.5) ** 2 + ((shell + 5.5) / 4.3) ** 2)
        distance = np.maximum((q - 1) * 4.3, np.maximum(stop, 0.075 - around) * 380)
        return distance, around - end

    def diaphragm(self, points: Points) -> Array:
        """z of the diaphragm above each point: three domes whose rim lies lower at the back."""
        x, y, _ = points
        heights = []
        for cx, cy, a, b, top, base in self.domes:
            rim = base + (55 - base) * ramp(-y, 10, 110)
            q = ((x - cx) / a) ** 2 + ((y - cy) / b) ** 2
            heights.append(rim + (top - rim) * np.sqrt(np.maximum(1 - q, 0)))
        return np.maximum(np.maximum(heights[0], heights[1]), heights[2])


def spine_y(z: Array | float) -> Array:
    """y of the middle of the vertebral bodies at height z."""
    return np.asarray(np.interp(z, VERTEBRAE[:, 0], VERTEBRAE[:, 1]), np.float32)


def vertebral_body(points: Points) -> tuple[Array, Array]:
    """Distances to the column of vertebral bodies (without discs) and to the column with discs."""
    x, y, z = points
    y = y - spine_y(z)
    a, b = (np.interp(z, VERTEBRAE[:, 0], VERTEBRAE[:, k]).astype(np.float32) for k in (2, 3))
    gap = np.abs(z - VERTEBRAE[:, 0][:, None, None])
    level = gap.min(0)
    half = np.float32(0.5) * np.interp(z, VERTEBRAE[1:, 0], np.diff(VERTEBRAE[:, 0])).astype(np.float32) - DISC_HALF_MM
    waist = 1 - 0.09 * (1 - np.minimum(level / half, 1) ** 2)
    f = np.sqrt((x / (a * waist)) ** 2 + (y / (b * waist)) ** 2)
    column = smooth_max((f - 1) * (a + b) / 2, -(np.sqrt(x * x + (y - b - 9) ** 2) - 11), 4)
    return np.maximum(column, level - half), column


def vertebral_arches() -> list[Tube]:
    """Pedicles, laminae, articular, transverse and spinous processes of all levels, and the heads of the ribs."""
    parts: list[Tube] = []
    for row, (z, y, a, b) in enumerate(VERTEBRAE.tolist()):
        thoracic = row >= FIRST_THORACIC
        back = y + b
        tip = (36.0, back + 30, z + 4) if thoracic else (43.0, back + 15, z + 1)
        for side in (-1, 1):
            root = (side * (a - 6), back + 12.0, z + 5)
            parts.append(curve([(side * (a - 8), y + b - 5, z + 6, 5), (*root, 4.5)], 1))
            parts.append(curve([(*root, 4.5), (side * 9, back + 23, z - 2, 3.5), (0, back + 28, z - 6, 4)], 2))
            parts.append(curve([(*root, 5), (side * tip[0], tip[1], tip[2], 3.5)], 2))
            parts.append(curve([(side * 16, back + 15, z + 14, 5), (side * 16, back + 17, z - 16, 5.5)], 1))
            if thoracic:
                parts.append(curve([(side * a, y + b - 4, z + 8, 4.5), (side * 32, back + 20, z + 4, 3.5)], 2))
        drop = 22 if thoracic else 4
        parts.append(curve([(0, back + 27, z - 6, 3.5), (0, back + (42 if thoracic else 50), z - 8 - drop, 4.5)], 2))
    return parts


def crura() -> list[Tube]:
    """Crura of the diaphragm: muscle on both sides of the aorta in front of the spine."""
    return [
        curve(
            [
                (side * 9, float(spine_y(z)) - 20, z, radius)
                for z, radius in ((-50, 2), (-20, 4), (10, 5), (40, 5), (64, 3))
            ]
        )
        for side in (-1, 1)
    ]
