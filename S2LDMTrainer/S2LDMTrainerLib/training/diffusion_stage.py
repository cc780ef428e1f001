"""Stage 2: latent diffusion over the frozen autoencoder's latents; the objectives are in
:mod:`S2LDMTrainerLib.method.objectives`.

Source: arXiv 2406.13977.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import torch
from S2LDMLib.errors import InputError
from S2LDMLib.inference.scheduler import LatentScheduler
from S2LDMLib.networks.autoencoder import SyncreticAutoencoder
from S2LDMLib.networks.build import build_denoiser
from S2LDMLib.networks.planar import channels_last
from torch import Tensor, nn

from ..data import Case
from ..method.objectives import objective
from ..method.similarity import dynamic_similarity_mask, similarity
from ..recipe import Recipe
from .averaging import learning_rate, update_average
from .latent_pool import LatentChunk, LatentPool
from .machine import Machine
from .slabs import Cut, SlabDataset
from .validation import Validator

STAGE = 2


class DiffusionStage:
    """The second :class:`~S2LDMTrainerLib.training.loop.Stage`; its result is ``average``, the averaged weights."""

    name = "denoiser"

    def __init__(
        self, recipe: Recipe, train: Sequence[Case], autoencoder: SyncreticAutoencoder, machine: Machine,
        validator: Validator,
    ) -> None:  # fmt: skip
        self.recipe, self.own, self.machine, self.validator = recipe, recipe.diffusion_training, machine, validator
        self.schedule = self.own.schedule
        machine.check_batch(self.schedule.batch, "diffusion")
        self.autoencoder = channels_last(autoencoder.eval().requires_grad_(False).to(machine.device))
        self.scheduler = LatentScheduler(recipe.scheduler)
        torch.manual_seed(recipe.seed + STAGE)
        self.model = build_denoiser(recipe.denoiser, recipe.autoencoder.latent_channels, len(recipe.phases))
        channels_last(self.model)
        self.average = copy.deepcopy(self.model).eval().requires_grad_(False).to(machine.device)
        self.networks: Mapping[str, nn.Module] = {"model": self.model, "average": self.average}
        self.context = self.model.context
        self.objective = objective(recipe.denoiser.kind, self.scheduler, self.context)
        self.pool = LatentPool(self._samples(train), self.autoencoder, recipe, machine, self.context)
        own = self.schedule
        raw = torch.optim.AdamW(self.model.parameters(), own.learning_rate, weight_decay=own.weight_decay)
        self.optimizers = {"model": raw}
        self.wrapped, self.optimizer = machine.accelerator.prepare(self.model, raw)

    def _samples(self, cases: Sequence[Case]) -> SlabDataset:
        own, stride = self.own, self.autoencoder.stride
        cell = tuple(s * m for s, m in zip(stride, self.model.multiple, strict=True))
        if any(n % m for n, m in zip(own.crop, cell, strict=True)) or own.chunk % stride[0]:
            raise InputError(
                f"The denoiser's crop of {own.crop} voxels (z, y, x) must be a multiple of {cell}, and its chunk of "
                f"{stride[0]}. Change diffusion_training.crop or .chunk."
            )
        # A context that ends with the volume is padded slice by slice, which needs latents of single slices.
        cut = Cut(max(own.chunk, own.crop[0]), own.crop[1:], self.context * stride[0], overhang=stride[0] == 1)
        return SlabDataset(
            cases, self.recipe.phases, self.recipe.data, cut, own.augmentation, (self.recipe.seed, STAGE)
        )

    def begin(self, step: int) -> None:
        self.pool.begin(step)

    def train_step(self, step: int) -> dict[str, float]:
        self.optimizers["model"].param_groups[0]["lr"] = learning_rate(step, self.schedule)
        slots = list(self.machine.slots(self.schedule.batch))
        chunks = list(zip(slots, self.pool.draw(step), strict=True))
        values: list[dict[str, Tensor]] = []
        losses = [partial(self._loss, part, step, values) for part in self.machine.passes(chunks)]
        self.machine.optimizer_step(self.wrapped, self.optimizer, losses, self.schedule.clip)
        update_average(self.average, self.model, step, self.schedule.average)
        return {name: torch.stack([row[name] for row in values]).mean().item() for name in values[0]}

    def _loss(self, samples: Sequence[tuple[int, LatentChunk]], step: int, values: list[dict[str, Tensor]]) -> Tensor:
        """The weighted squared error and L1 of the prediction; every sample counts once a phase."""
        phases = len(self.recipe.phases)
        device = self.machine.device
        chunks = [chunk for _, chunk in samples]
        ncct = torch.cat([c.ncct[None].expand(phases, -1, -1, -1, -1) for c in chunks]).float().to(device)
        cect = torch.cat([c.cect for c in chunks]).float().to(device)
        weight = torch.cat([c.weight for c in chunks]).float().to(device)
        phase = torch.arange(phases, device=device).repeat(len(chunks))
        t, noise = self._noise([slot for slot, _ in samples], step, cect.shape[1:], phases)
        t, noise = t.to(device), noise.to(device)
        mask = self._mask(ncct, cect, step)
        with self.machine.accelerator.autocast():
            error = self.objective.error(self.wrapped, ncct, cect, mask, phase, t, noise)
        core = slice(self.context, ncct.shape[2] - self.context)
        identity = ((ncct - cect)[:, :, core] * weight).square().mean()
        error = error * weight
        loss = error.square().mean() + self.own.l1_weight * error.abs().mean()
        values.append({"loss": loss.detach(), "mse": error.detach().square().mean(), "identity": identity})
        return loss

    def _mask(self, ncct: Tensor, cect: Tensor, step: int) -> Tensor | None:
        if not self.own.dynamic_mask:
            return None
        u = step / max(1.0, self.schedule.steps * self.own.masked_part)
        return dynamic_similarity_mask(similarity(ncct, cect), u, self.own.mask_exponent, self.own.mask_formula)

    def _noise(self, slots: Sequence[int], step: int, shape: torch.Size, phases: int) -> tuple[Tensor, Tensor]:
        """Draw noise steps [B] and noise [B, C, Z, Y, X], a function of the seed, the step and the sample."""
        last = self.recipe.scheduler.train_timesteps - 1
        times, noises = [], []
        for slot in slots:
            rng = np.random.default_rng((self.recipe.seed, 4, step, slot))
            t = rng.integers(0, last + 1, phases)
            if self.objective.aims_at_last_step:
                t[rng.random(phases) < self.own.last_step_part] = last
            times.append(torch.from_numpy(t))
            noises.append(torch.from_numpy(rng.standard_normal((phases, *shape), np.float32)))
        return torch.cat(times), torch.cat(noises)

    def validate(self, step: int) -> dict[str, float]:
        return self.validator.score(self.autoencoder, self.average, self.scheduler, step)
