"""Augmentation of registered slabs, NCCT and all phases of the CECT, in image space, in HU.

What a scanner, a patient or a table position may change is changed in all images alike; noise and sharpness are
changed in the NCCT alone, since the synthetic image should not copy its noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

AIR = -1024.0


@dataclass(frozen=True)
class Slab:
    """Axial slices in HU: the NCCT (Z, Y, X), the registered phases (P, Z, Y, X), and where each is valid."""

    ncct: Tensor
    cect: Tensor
    valid: Tensor


def augment(slab: Slab, rng: np.random.Generator) -> Slab:
    """A random variant of a slab: geometry, bright foreign material, calibration, noise and sharpness."""
    slab = _warp(slab, rng)
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
    return Slab(ncct + noise, cect, slab.valid)


def _warp(slab: Slab, rng: np.random.Generator) -> Slab:
    """Rotation, scale, shift, mirror and a smooth elastic field, one for all slices; air comes in from outside."""
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
    return Slab(ncct[0] + AIR, cect + AIR, (valid > 0.95).float())


def _bright_blobs(ncct: Tensor, rng: np.random.Generator) -> Tensor:
    """Ellipsoids of added HU in soft tissue: oral contrast, calcification, Lipiodol. They are not vessels."""
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
    """In-plane Gaussian of a few pixels: a softer reconstruction kernel."""
    taps = torch.exp(-0.5 * (torch.arange(-2, 3) / sigma) ** 2)
    taps = taps / taps.sum()
    x = F.pad(volume[:, None], (2, 2, 2, 2), mode="replicate")
    return F.conv2d(F.conv2d(x, taps.view(1, 1, 1, 5)), taps.view(1, 1, 5, 1))[:, 0]
