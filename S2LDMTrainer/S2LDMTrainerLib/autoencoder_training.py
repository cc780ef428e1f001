"""Stage 1: the syncretic autoencoder.

One encoder and one decoder see NCCT and CECT alike, each reconstructing its own image: the product decodes the
difference D(z) - D(z_n), which needs D(z_n) to give the NCCT back.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from S2LDMLib.autoencoder import SyncreticAutoencoder
from S2LDMLib.config import AutoencoderConfig, PreprocessConfig
from S2LDMLib.preprocess import normalise
from S2LDMLib.weights import save_weights
from torch import Tensor

from .data import Case, Volume
from .training import Log, learning_rate, update_average


class CropSampler:
    """Random axial crops of all images, most of them inside the body, normalised: [B, 1, 1, N, N]."""

    def __init__(self, cases: Sequence[Case], preprocess: PreprocessConfig, size: int, seed: int) -> None:
        self.volumes: list[Volume] = [case.volume(name) for case in cases for name in case.images()]
        self.preprocess, self.size = preprocess, size
        self.rng = np.random.default_rng(seed)

    def batch(self, count: int) -> Tensor:
        crops: list[Tensor] = []
        while len(crops) < count:
            volume = self.volumes[self.rng.integers(len(self.volumes))]
            z = self.rng.integers(volume.shape[0])
            y, x = (int(self.rng.integers(max(1, n - self.size + 1))) for n in volume.shape[1:])
            crop = np.asarray(volume[z, y : y + self.size, x : x + self.size], np.float32)
            if (crop > -200).mean() < 0.3 and self.rng.random() < 0.9:
                continue
            crop = np.pad(crop, [(0, self.size - n) for n in crop.shape], constant_values=-1024)
            image = torch.from_numpy(crop * self.rng.uniform(0.95, 1.05) + self.rng.normal(0, 7)).float()
            crops.append(image.flip(-1) if self.rng.random() < 0.5 else image)
        return normalise(torch.stack(crops)[:, None, None], self.preprocess)


def _sharpness(x: Tensor) -> Tensor:
    return x - F.avg_pool3d(x, (1, 5, 5), 1, (0, 2, 2), count_include_pad=False)


def train_autoencoder(
    cases: Sequence[Case], config: AutoencoderConfig, preprocess: PreprocessConfig, out: Path,
    steps: int, batch: int = 16, size: int = 128, peak: float = 2e-3, seed: int = 0,
) -> SyncreticAutoencoder:  # fmt: skip
    """Train on L1 plus L1 of the local detail; returns, and saves to ``out``, the averaged weights.

    Args:
        batch, size: crops a step and their edge in voxels.
        peak: highest learning rate (AdamW, cosine).
    """
    torch.manual_seed(seed)
    model = SyncreticAutoencoder(config).to(memory_format=torch.channels_last_3d)
    average = copy.deepcopy(model).eval()
    optimizer = torch.optim.AdamW(model.parameters(), peak, weight_decay=0.0)
    crops, log = CropSampler(cases, preprocess, size, seed), Log("autoencoder", steps)
    scale = preprocess.window / (preprocess.range[1] - preprocess.range[0])
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = learning_rate(step, steps, peak)
        x = crops.batch(batch).contiguous(memory_format=torch.channels_last_3d)
        with torch.autocast("cpu", torch.bfloat16):
            y = model.decode(model.encode(x))
        l1 = (y - x).abs().mean()
        loss = l1 + (_sharpness(y) - _sharpness(x)).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        update_average(average, model, step)
        log.add(step, l1_hu=l1.item() * scale)
        if (step + 1) % 250 == 0:
            save_weights(average, out)
    _standardise(average, crops)
    save_weights(average, out)
    return average


@torch.no_grad()
def _standardise(model: SyncreticAutoencoder, crops: CropSampler, batches: int = 16) -> None:
    """Set the mean and standard deviation per channel by which latents are standardised."""
    latents = torch.cat([model.encode(crops.batch(16)) for _ in range(batches)])
    model.latent_mean.copy_(latents.mean((0, 2, 3, 4), keepdim=True))
    model.latent_std.copy_(latents.std((0, 2, 3, 4), keepdim=True).clamp_min(1e-3))
