"""A made-up abdomen of few voxels, native or enhanced, at rest or breathing; quick to register."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from S2LDMTrainerLib.preparing.volumes import AIR_HU

SPACING = (4.5, 4.5, 6.0)
SIZE = (64, 54, 16)

Array = np.ndarray


def grid_points() -> tuple[Array, Array, Array]:
    """x, y, z in mm of every voxel, (Z, Y, X), measured from the middle of the volume."""
    axes = [(np.arange(size) - (size - 1) / 2) * step for size, step in zip(SIZE, SPACING, strict=True)]
    z, y, x = np.meshgrid(*axes[::-1], indexing="ij")
    return x, y, z


def breathe(x: Array, y: Array, z: Array) -> tuple[Array, Array, Array]:
    """A smooth warp of up to 13 mm, strongest along the patient, in front and on one side."""
    front = np.exp(-((y + 30) ** 2) / 80**2)
    return x + 3 * np.sin(y / 50), y + 4 * np.cos(x / 60) * front, z + 6 + 6 * front * np.cos(x / 70)


def ellipsoid(x: Array, y: Array, z: Array, centre: tuple[float, ...], radii: tuple[float, ...]) -> Array:
    """1 inside, 0 outside, with an edge about 4 mm wide."""
    distance = sum(((p - c) / r) ** 2 for p, c, r in zip((x, y, z), centre, radii, strict=True)) ** 0.5
    return np.clip(0.5 + (1 - distance) * min(radii) / 4, 0, 1)


def paint(x: Array, y: Array, z: Array, noise: int, contrast: float = 0.0, aorta: float = 3.0) -> sitk.Image:
    """An abdomen at points in mm, with `contrast` (HU) in the liver, more in spleen, kidneys and, `aorta` times, there.

    `noise` is its seed.
    """
    hu = np.full(x.shape, -1000.0)
    for centre, radii, value in [
        ((0, 0, 0), (130, 100, 900), -100),
        ((0, 0, 0), (118, 88, 900), 50),
        ((0, -5, 0), (108, 76, 900), -100),
        ((-45, -20, 15), (55, 48, 38), 55 + contrast),
        ((70, 20, 12), (24, 34, 26), 50 + 1.5 * contrast),
        ((-50, 42, -6), (22, 20, 24), 35 + 2 * contrast),
        ((50, 45, -4), (22, 20, 24), 35 + 2 * contrast),
        ((25, -35, -10), (30, 18, 20), 40),
        ((-10, -50, -30), (20, 14, 12), 30),
        ((8, 22, 0), (11, 11, 900), 40 + aorta * contrast),
        ((0, 55, 0), (20, 18, 900), 250),
        ((0, 78, 0), (10, 9, 900), 300),
    ]:
        inside = ellipsoid(x, y, z, centre, radii)
        hu = hu * (1 - inside) + inside * value
    hu += np.random.default_rng(noise).normal(0, 8, hu.shape)
    image = sitk.GetImageFromArray(np.rint(hu).astype(np.int16))
    image.SetSpacing(SPACING)
    image.SetOrigin([-(size - 1) / 2 * step for size, step in zip(SIZE, SPACING, strict=True)])
    return image


def native(noise: int = 1) -> sitk.Image:
    """The NCCT."""
    return paint(*grid_points(), noise=noise)


def arterial(noise: int = 2) -> sitk.Image:
    """Late arterial: bright aorta, dark liver; one geometry with the NCCT."""
    return paint(*grid_points(), noise=noise, contrast=35, aorta=8)


def venous(noise: int = 3) -> sitk.Image:
    """Portal venous: everything bright, the aorta less."""
    return paint(*grid_points(), noise=noise, contrast=60, aorta=2)


def scans() -> tuple[sitk.Image, sitk.Image]:
    """NCCT, and the CECT of another breath hold; the CECT was not measured in the two lowest slices."""
    points = grid_points()
    cect = paint(*breathe(*points), noise=2, contrast=60)
    cect[:, :, :2] = AIR_HU
    return paint(*points, noise=1), cect
