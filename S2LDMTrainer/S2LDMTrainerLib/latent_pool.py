"""A rolling pool of augmented, encoded pairs: augmentation happens in image space, encoding by the frozen encoder.

Encoding costs more than a training step, so every chunk is used several times before a new one takes its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from S2LDMLib.autoencoder import SyncreticAutoencoder
from S2LDMLib.config import PreprocessConfig
from S2LDMLib.preprocess import normalise
from torch import Tensor

from .augment import AIR, Slab, augment
from .data import Case

SHARE = {"pair": 0.6, "recoloured": 0.3, "phantom": 0.1}


@dataclass(frozen=True)
class LatentPair:
    """Standardised latents of a chunk, fp16 [C, Z, Y, X]; ``valid`` [1, Z, Y, X]; index of the phase.

    At an end of the chunk that is the volume's own end, ``context`` slices of zeros follow, which is the padding that
    the denoiser meets there.
    """

    ncct: Tensor
    cect: Tensor
    valid: Tensor
    phase: int


class LatentPool:
    """``draw`` gives batches for the denoiser; ``renew`` replaces the oldest chunk."""

    def __init__(
        self, cases: Sequence[Case], autoencoder: SyncreticAutoencoder, preprocess: PreprocessConfig,
        phases: Sequence[str], reach: int, capacity: int, depth: int = 8, seed: int = 0,
    ) -> None:  # fmt: skip
        self.cases = [case for case in cases if case.kind in SHARE]
        slices = {kind: sum(len(c.volume("ncct")) for c in self.cases if c.kind == kind) for kind in SHARE}
        weights = np.array([SHARE[c.kind] * len(c.volume("ncct")) / slices[c.kind] for c in self.cases])
        self.weights = weights / weights.sum()
        self.autoencoder, self.preprocess, self.phases = autoencoder, preprocess, tuple(phases)
        self.reach, self.depth = reach, depth
        self.rng = np.random.default_rng(seed)
        self.pairs = [self._encode() for _ in range(capacity)]
        self.oldest = 0

    def renew(self) -> None:
        self.pairs[self.oldest] = self._encode()
        self.oldest = (self.oldest + 1) % len(self.pairs)

    def draw(self, count: int, depth: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Latents of NCCT and CECT with context [B, C, depth + context, Y, X], validity [B, 1, depth, Y, X], phase [B].

        Shifted by whole latent voxels, so that the denoiser's pooling meets every phase of its grid.
        """
        ncct, cect, valid, phase = [], [], [], []
        for _ in range(count):
            pair = self.pairs[self.rng.integers(len(self.pairs))]
            z = int(self.rng.integers(pair.cect.shape[1] - depth - 2 * self.reach + 1))
            shift = tuple(int(s) for s in self.rng.integers(-4, 5, 2))
            core, whole = slice(z + self.reach, z + self.reach + depth), slice(z, z + depth + 2 * self.reach)
            ncct.append(pair.ncct[:, whole].float().roll(shift, (2, 3)))
            cect.append(pair.cect[:, whole].float().roll(shift, (2, 3)))
            valid.append(pair.valid[:, core].float().roll(shift, (2, 3)))
            phase.append(pair.phase)
        return torch.stack(ncct), torch.stack(cect), torch.stack(valid), torch.tensor(phase)

    @torch.no_grad()
    def _encode(self) -> LatentPair:
        case = self.cases[self.rng.choice(len(self.cases), p=self.weights)]
        phase = int(self.rng.integers(len(self.phases)))
        slab, ends = self._slab(case, self.phases[phase])
        slab = augment(slab, self.rng)
        with torch.autocast("cpu", torch.bfloat16):
            ncct, cect = (
                self.autoencoder.encode(normalise(x[None, None], self.preprocess))[0] for x in (slab.ncct, slab.cect)
            )
        # A latent voxel counts only where all voxels below it are valid.
        valid = -F.max_pool3d(-slab.valid[None], self.autoencoder.stride)
        padding = (0, 0, 0, 0, *ends)
        return LatentPair(
            F.pad(ncct, padding).half(), F.pad(cect, padding).half(), F.pad(valid, padding).half(), phase
        )

    def _slab(self, case: Case, phase: str) -> tuple[Slab, tuple[int, int]]:
        """Consecutive slices of a case, fitted to planes of 256 x 256; and the padding due at both ends."""
        ncct, cect, valid = case.volume("ncct"), case.volume(phase), case.valid(phase)
        depth = self.depth + 2 * self.reach
        start = int(self.rng.integers(-self.reach, max(1, len(ncct) - depth + self.reach + 1)))
        first, last = max(0, start), min(len(ncct), start + depth)
        ends = (first - start, start + depth - last)
        slab = [_fit(np.asarray(v[first:last], np.float32), fill) for v, fill in ((ncct, AIR), (cect, AIR), (valid, 0))]
        if self.rng.random() < 0.5:
            slab, ends = [x.flip(0) for x in slab], ends[::-1]
        return Slab(*slab), ends


def _fit(volume: np.ndarray, fill: float, size: int = 256) -> Tensor:
    """Centre-crop or pad the axial plane to ``size``, a multiple of the stride and of the denoiser's own."""
    for axis in (1, 2):
        cut = max(0, volume.shape[axis] - size) // 2
        volume = volume.take(range(cut, min(cut + size, volume.shape[axis])), axis)
        missing = size - volume.shape[axis]
        width = [(0, 0)] * 3
        width[axis] = (missing // 2, missing - missing // 2)
        volume = np.pad(volume, width, constant_values=fill)
    return torch.from_numpy(np.ascontiguousarray(volume))
