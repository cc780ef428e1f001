"""Stage 2: latent diffusion in product mode (x0-prediction with the NCCT's latent given).

Most samples are at the last noise step, which is what one-step sampling asks for; the others are spread over all
steps, so that a few steps work too.
"""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from S2LDMLib.config import DenoiserConfig
from S2LDMLib.denoiser import LatentDenoiser
from S2LDMLib.scheduler import LatentScheduler
from S2LDMLib.weights import load_weights, save_weights
from torch import Tensor

from .latent_pool import LatentPool
from .similarity import dynamic_similarity_mask, similarity
from .training import Log, learning_rate, update_average

MASKED_PART = 0.5  # of the steps; the mask is all ones afterwards, as at inference
LAST_STEP_PART = 0.75  # of the samples
RENEW_EVERY = 3  # steps a chunk of the pool


def train_denoiser(
    pool: LatentPool, config: DenoiserConfig, scheduler: LatentScheduler, out: Path,
    steps: int, start: Path | None = None, batch: int = 2, depth: int = 3, peak: float = 2e-3, seed: int = 0,
) -> LatentDenoiser:  # fmt: skip
    """Train on MSE + 0.5 L1 of the latents where the pair is valid; returns, and saves to ``out``, the average.

    Args:
        start: weights to go on from.
        batch, depth: chunks a step, and slices of each; every chunk counts once per phase.
        peak: highest learning rate (AdamW, cosine).
    """
    torch.manual_seed(seed)
    model = LatentDenoiser(config, pool.chunks[0].ncct.shape[0], len(pool.phases))
    if start is not None:
        load_weights(model, start)
    model = model.to(memory_format=torch.channels_last_3d)
    average = copy.deepcopy(model).eval()
    optimizer = torch.optim.AdamW(model.parameters(), peak, weight_decay=1e-3)
    log = Log("denoiser", steps)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = learning_rate(step, steps, peak)
        if step % RENEW_EVERY == 0:
            pool.renew()
        ncct, cect, valid, phase = pool.draw(batch, depth)
        error = _error(model, scheduler, ncct, cect, phase, step / (steps * MASKED_PART)) * valid
        identity = (ncct - cect)[:, :, pool.reach : ncct.shape[2] - pool.reach] * valid
        loss = error.square().mean() + 0.5 * error.abs().mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        update_average(average, model, step)
        log.add(step, mse=error.square().mean().item(), identity=identity.square().mean().item())
        if (step + 1) % 250 == 0:
            save_weights(average, out)
    save_weights(average, out)
    return average


def _error(
    model: LatentDenoiser, scheduler: LatentScheduler, ncct: Tensor, cect: Tensor, phase: Tensor, progress: float
) -> Tensor:
    """Prediction minus x0 for random noise steps; inputs with context, [B, C, Z + context, Y, X], result without."""
    last = scheduler.config.train_timesteps - 1
    t = torch.randint(0, last + 1, (len(cect),))
    t[torch.rand(len(cect)) < LAST_STEP_PART] = last
    noisy = scheduler.scale_input(scheduler.add_noise(cect, torch.randn_like(cect), t), t)
    mask = dynamic_similarity_mask(similarity(ncct, cect), progress)
    planes = torch.channels_last_3d
    with torch.autocast("cpu", torch.bfloat16):
        x0 = model(
            noisy.contiguous(memory_format=planes), ncct.contiguous(memory_format=planes), t, phase, mask, context=True
        )
    return x0 - cect[:, :, model.reach : cect.shape[2] - model.reach]
