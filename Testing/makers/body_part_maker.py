"""Made-up heads, chests, limbs and trunks: ellipsoids after common anatomy; nothing here comes from a patient."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import SimpleITK as sitk

AIR, LUNG, FAT, SOFT, BRAIN, MARROW, BONE = -1000.0, -850.0, -100.0, 50.0, 35.0, 200.0, 900.0
SPACING = (2.0, 2.0, 5.0)

Shape = tuple[tuple[float, float, float], tuple[float, float, float], float]  # centre, radii in mm, HU
LONG = 1e4  # radius of what runs through the whole volume


def paint(shapes: Iterable[Shape], size: tuple[int, int, int], scale: float = 1.0, noise: float = 8.0) -> sitk.Image:
    """Ellipsoids, the later over the earlier, on a grid of ``size`` (x, y, z) around the origin.

    Args:
        scale: of the patient; the grid stays.
        noise: SD in HU.
    """
    z, y, x = (
        ((np.arange(count) - (count - 1) / 2) * step / scale).reshape([-1 if axis == own else 1 for axis in range(3)])
        for own, count, step in zip(range(3), size[::-1], SPACING[::-1], strict=True)
    )
    hu = np.full(size[::-1], AIR)
    for centre, radii, value in shapes:
        distance = sum(((p - c) / r) ** 2 for p, c, r in zip((x, y, z), centre, radii, strict=True))
        hu[np.broadcast_to(distance < 1, hu.shape)] = value
    hu += np.random.default_rng(0).normal(0, noise, hu.shape)
    image = sitk.GetImageFromArray(np.rint(hu).astype(np.int16))
    image.SetSpacing(SPACING)
    return image


def tube(x: float, y: float, rx: float, ry: float, value: float) -> Shape:
    """An elliptic cylinder along the patient."""
    return (x, y, 0), (rx, ry, LONG), value


def bone(x: float, y: float, radius: float) -> list[Shape]:
    """A long bone: cortex around marrow."""
    return [tube(x, y, radius, radius, BONE), tube(x, y, 0.55 * radius, 0.55 * radius, -50)]


def limb(x: float, radius: float) -> list[Shape]:
    return [tube(x, 0, radius, radius, FAT), tube(x, 0, radius - 10, radius - 10, SOFT), *bone(x, 0, 0.2 * radius)]


def trunk(half_width: float = 170.0, half_depth: float = 115.0, fat: float = 20.0) -> list[Shape]:
    """The wall of a trunk, ribs cut across all around, and a vertebra."""
    shapes = [tube(0, 0, half_width, half_depth, FAT), tube(0, 0, half_width - fat, half_depth - fat, SOFT)]
    for angle in np.deg2rad(np.arange(-150, 160, 25)):
        x, y = (half_width - fat - 10) * np.sin(angle), -(half_depth - fat - 10) * np.cos(angle)
        shapes += [tube(x, y, 7, 5, BONE), tube(x, y, 4, 3, MARROW)]
    spine = half_depth - fat - 35
    return [*shapes, tube(0, spine, 22, 18, BONE), tube(0, spine, 19, 15, MARROW), tube(0, spine + 25, 6, 12, BONE)]


def head(scale: float = 1.0) -> sitk.Image:
    """150 mm of head: scalp, skull of 7 mm, brain."""
    shapes = [((0, 0, 0), (80, 99, 115), SOFT), ((0, 0, 0), (75, 94, 110), BONE), ((0, 0, 0), (68, 87, 103), BRAIN)]
    return paint(shapes, (128, 128, 30), scale)


def neck(scale: float = 1.0) -> sitk.Image:
    return paint(neck_shapes(), (128, 96, 30), scale)


def legs(scale: float = 1.0, gap: float = 20.0) -> sitk.Image:
    """Both thighs; with a negative gap they touch and become one body."""
    centre = 80 + gap / 2
    return paint([*limb(-centre, 80), *limb(centre, 80)], (256, 128, 30), scale)


def arm(scale: float = 1.0) -> sitk.Image:
    return paint(limb(0, 48), (96, 96, 30), scale)


def chest(scale: float = 1.0, fat: float = 20.0) -> sitk.Image:
    lungs = [tube(side * 80, -5, 60, 75, LUNG) for side in (-1, 1)]
    return paint([*trunk(fat=fat), *lungs, tube(25, -30, 50, 42, SOFT)], (220, 150, 40), scale)


def abdomen(scale: float = 1.0, fat: float = 20.0, noise: float = 8.0) -> sitk.Image:
    """A wall with soft organs, fat between them, and gas in the bowel."""
    half_width, half_depth = 150 + fat, 95 + fat
    organs = [
        tube(0, -10, half_width - fat - 20, half_depth - fat - 25, FAT), tube(-60, -10, 65, 60, 55),
        tube(80, 5, 30, 40, 50), tube(20, -45, 25, 15, AIR), tube(5, 22, 11, 11, 45),
    ]  # fmt: skip
    wall = trunk(half_width, half_depth, fat)
    return paint([*wall[:2], *organs, *wall[2:]], (256, 180, 40), scale, noise)


STACK_SIZE = (280, 150)  # x, y of the pieces that ``stack`` puts on one another


def stack(*pieces: tuple[list[Shape], float]) -> sitk.Image:
    """Shapes that run through a length in mm each, the lowest piece first."""
    parts = [paint(shapes, (*STACK_SIZE, round(length / SPACING[2]))) for shapes, length in pieces]
    image = sitk.GetImageFromArray(np.concatenate([sitk.GetArrayFromImage(part) for part in parts]))
    image.SetSpacing(SPACING)
    return image


def raised_arms(x: float = 150.0) -> list[Shape]:
    """Both upper arms beside a head."""
    return [shape for side in (-1, 1) for shape in (tube(side * x, 0, 48, 48, FAT), tube(side * x, 0, 40, 40, SOFT),
                                                    *bone(side * x, 0, 12))]  # fmt: skip


def lungs(size: float) -> list[Shape]:
    """Both lungs; with 1 they are about 40 % of a :func:`trunk`, with 0.7 about 20 %; not 0."""
    return [tube(side * 80, -5, 60 * size, 75 * size, LUNG) for side in (-1, 1)]


def shoulders() -> list[Shape]:
    """A wide flat outline with a humeral head and a shoulder blade on both sides, above the lungs."""
    shapes = [
        tube(0, 0, 225, 95, FAT),
        tube(0, 0, 210, 80, SOFT),
        tube(0, 30, 22, 18, BONE),
        tube(0, 30, 19, 15, MARROW),
    ]
    for side in (-1, 1):
        shapes += [tube(side * 175, 0, 24, 24, BONE), tube(side * 175, 0, 21, 21, MARROW)]
        shapes += [tube(side * 130, 45, 35, 8, BONE)]
    return shapes


def neck_shapes() -> list[Shape]:
    """A neck with its airway and a vertebra."""
    return [tube(0, 0, 62, 60, FAT), tube(0, 0, 56, 54, SOFT), tube(0, 20, 14, 11, BONE), tube(0, -15, 9, 9, AIR)]


def head_shapes() -> list[Shape]:
    """The middle of a head, with the same section throughout."""
    return [tube(0, 0, 80, 72, SOFT), tube(0, 0, 75, 67, BONE), tube(0, 0, 68, 60, BRAIN)]
