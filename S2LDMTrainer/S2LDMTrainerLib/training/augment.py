"""Augmentation of registered slabs, NCCT and all phases of the CECT, in image space, in HU.

``light`` keeps every voxel where and as sharp as it was, for the autoencoder; ``full`` is for the denoiser.

What a scanner, a patient or a table position may change is changed in all images alike; noise and sharpness are
changed in the NCCT alone, since the synthetic image should not copy its noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

AIR = -1024.0
BLOOD_UPTAKE_HU = 90.0  # blood takes up more than this in one phase or the other; twice of it is blood for certain
BLOOD_CHANGE_HU = (-22.0, 16.0)


@dataclass(frozen=True)
class Slab:
    """Axial slices in HU.

    Attributes:
        ncct: (Z, Y, X).
        cect: the registered phases (P, Z, Y, X).
        valid: 1 where NCCT and phase are both measured and belong together, shaped as ``cect``.
        ends: how many slices are missing before and behind, since the volume ends there.
    """

    ncct: Tensor
    cect: Tensor
    valid: Tensor
    ends: tuple[int, int] = (0, 0)


def augment(slab: Slab, kind: str, rng: np.random.Generator) -> Slab:
    """Draw a random variant of a slab; ``kind`` is ``none``, ``light`` or ``full``."""
    if kind == "light":
        return _light(slab, rng)
    return _full(slab, rng) if kind == "full" else slab


def _light(slab: Slab, rng: np.random.Generator) -> Slab:
    """Mirror the images and change their calibration."""
    scale, offset = float(rng.uniform(0.95, 1.05)), float(rng.normal(0, 7))
    ncct, cect, valid = slab.ncct * scale + offset, slab.cect * scale + offset, slab.valid
    if rng.random() < 0.5:
        ncct, cect, valid = ncct.flip(-1), cect.flip(-1), valid.flip(-1)
    return replace(slab, ncct=ncct, cect=cect, valid=valid)


def _full(slab: Slab, rng: np.random.Generator) -> Slab:
    """Change orientation, geometry, haematocrit, bright foreign material, calibration, noise and sharpness."""
    if rng.random() < 0.5:
        slab = Slab(slab.ncct.flip(0), slab.cect.flip(1), slab.valid.flip(1), slab.ends[::-1])
    slab = _warp(slab, rng)
    if rng.random() < 0.6:
        slab = _other_blood(slab, rng)
    ncct, cect = slab.ncct, slab.cect
    if rng.random() < 0.6:
        bright = _bright_blobs(ncct, rng)
        ncct, cect = ncct + bright, cect + bright
    enhancement = cect - ncct
    ncct = ncct * float(rng.uniform(0.95, 1.05)) + float(rng.normal(0, 7))
    cect = ncct + enhancement
    if rng.random() < 0.3:
        ncct = _blur(ncct, float(rng.uniform(0.3, 0.8)))
    if rng.random() < 0.2:
        ncct = F.avg_pool3d(F.pad(ncct[None], (0, 0, 0, 0, 1, 1), mode="replicate"), (3, 1, 1), 1)[0]
    noise = torch.from_numpy(rng.standard_normal(ncct.shape, dtype=np.float32)) * float(rng.uniform(0, 12))
    return replace(slab, ncct=ncct + noise, cect=cect)


def _warp(slab: Slab, rng: np.random.Generator) -> Slab:
    """Rotate, scale, shift, mirror and bend all slices alike; air comes in from outside."""
    depth, height, width = slab.ncct.shape
    phases = len(slab.cect)
    angle, mirror = rng.uniform(-0.26, 0.26), -1.0 if rng.random() < 0.25 else 1.0
    sy, sx = rng.uniform(0.82, 1.2, 2)
    ty, tx = rng.uniform(-0.1, 0.1, 2)
    matrix = [
        [math.cos(angle) * sx * mirror, -math.sin(angle) * sx, tx],
        [math.sin(angle) * sy * mirror, math.cos(angle) * sy, ty],
    ]
    grid = F.affine_grid(torch.tensor([matrix], dtype=torch.float32), [1, 1, height, width], align_corners=False)
    field = torch.from_numpy(rng.standard_normal((1, 2, 6, 6), dtype=np.float32)) * 0.025
    grid = grid + F.interpolate(field, size=(height, width), mode="bicubic").permute(0, 2, 3, 1)
    stack = torch.cat([slab.ncct[None] - AIR, slab.cect - AIR, slab.valid])
    moved = F.grid_sample(stack.flatten(0, 1)[None], grid, align_corners=False)[0].view(-1, depth, height, width)
    ncct, cect, valid = moved.split([1, phases, phases])
    return replace(slab, ncct=ncct[0] + AIR, cect=cect + AIR, valid=(valid > 0.95).float())


def _other_blood(slab: Slab, rng: np.random.Generator) -> Slab:
    """Give the blood another haematocrit: what takes up most contrast medium gets other HU, in all images alike.

    Without it a model learns the blood of its few patients, and finds no aorta in an anaemic one.
    """
    soft = ((slab.ncct > -20) & (slab.ncct < 110)).float()
    uptake = ((slab.cect - slab.ncct) * slab.valid).amax(0)
    blood = _blur(((uptake - BLOOD_UPTAKE_HU) / BLOOD_UPTAKE_HU).clamp(0, 1) * soft, 0.8)
    change = blood * float(rng.uniform(*BLOOD_CHANGE_HU))
    return replace(slab, ncct=slab.ncct + change, cect=slab.cect + change)


def _bright_blobs(ncct: Tensor, rng: np.random.Generator) -> Tensor:
    """Draw ellipsoids of added HU in soft tissue: oral contrast, calcification, Lipiodol. They are not vessels."""
    depth, height, width = ncct.shape
    axes = [torch.arange(n, dtype=torch.float32) for n in ncct.shape]
    z, y, x = axes[0][:, None, None], axes[1][:, None], axes[2]
    soft = ((ncct > -50) & (ncct < 90)).float()
    bright = torch.zeros_like(ncct)
    for _ in range(int(rng.integers(1, 6))):
        cz, cy, cx = rng.uniform(0, depth), rng.uniform(0.27, 0.7) * height, rng.uniform(0.27, 0.7) * width
        rz, (ry, rx) = rng.uniform(1.5, 5), rng.uniform(2, 14, 2)
        distance = ((z - cz) / rz) ** 2 + ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2
        bright += (1.5 - distance).clamp(0, 1) * soft * float(rng.uniform(60, 400))
    return bright


def _blur(volume: Tensor, sigma: float) -> Tensor:
    """Smooth in the plane by a Gaussian of a few pixels, as a softer reconstruction kernel does."""
    taps = torch.exp(-0.5 * (torch.arange(-2, 3) / sigma) ** 2)
    taps = taps / taps.sum()
    x = F.pad(volume[:, None], (2, 2, 2, 2), mode="replicate")
    return F.conv2d(F.conv2d(x, taps.view(1, 1, 1, 5)), taps.view(1, 1, 5, 1))[:, 0]
