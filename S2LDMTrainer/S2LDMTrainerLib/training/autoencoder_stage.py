"""Stage 1: the syncretic autoencoder, with codebook and patch discriminator where the recipe has them.

Source: arXiv 2406.13977; the losses are in :mod:`S2LDMTrainerLib.method.syncretic_step`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import torch
from S2LDMLib.inference.preprocess import normalise
from S2LDMLib.networks.autoencoder import SyncreticAutoencoder
from S2LDMLib.networks.planar import channels_last
from torch import Tensor, nn

from ..data import Case
from ..method.adversarial import AdversarialLoss, PatchDiscriminator
from ..method.codebook_learning import CodebookLearner, codebook_usage
from ..method.syncretic_step import SyncreticOutput, SyncreticStep
from ..recipe import Recipe
from .augment import Slab
from .averaging import learning_rate, update_average
from .machine import Machine
from .slabs import Cut, SlabDataset, slab_batches

STAGE = 1
STATISTICS_DECAY = 0.99
STATISTICS_SAMPLES = 64  # from which the final mean and standard deviation of the latents are taken
VALIDATION_SAMPLES = 32
BETAS = (0.5, 0.9)  # of both optimizers when they play against each other, as VQ-GAN has them
LAYOUT = torch.channels_last_3d


class AutoencoderStage:
    """The first :class:`~S2LDMTrainerLib.training.loop.Stage`; its result is ``average``, the averaged weights."""

    name = "autoencoder"

    def __init__(self, recipe: Recipe, train: Sequence[Case], validation: Sequence[Case], machine: Machine) -> None:
        self.recipe, self.own, self.machine = recipe, recipe.autoencoder_training, machine
        self.schedule = self.own.schedule
        low, high = recipe.preprocess.range
        self.hu_per_unit = recipe.preprocess.window / (high - low)
        machine.check_batch(self.schedule.batch, self.name)
        self.samples = autoencoder_samples(recipe, train, self.own.augmentation)
        paired = [case for case in validation if set(case.phases) & set(recipe.phases)]
        self.validation = autoencoder_samples(recipe, paired, "none") if paired else None
        torch.manual_seed(recipe.seed)
        self.model = channels_last(SyncreticAutoencoder(recipe.autoencoder))
        self.average = copy.deepcopy(self.model).eval().requires_grad_(False).to(machine.device)
        networks: dict[str, nn.Module] = {"model": self.model, "average": self.average}
        self.learner = None
        if self.model.codebook is not None:
            self.learner = CodebookLearner(self.model.codebook, self.own.codebook_decay, recipe.seed).to(machine.device)
            networks["codebook"] = self.learner
        self.discriminator = None
        if self.own.adversarial_weight:
            channels, layers = self.own.discriminator_channels, self.own.discriminator_layers
            self.discriminator = PatchDiscriminator(self.own.crop[0], channels, layers)
            networks["discriminator"] = self.discriminator
        self.networks: Mapping[str, nn.Module] = networks
        self._prepare()

    def _prepare(self) -> None:
        accelerator, own = self.machine.accelerator, self.schedule
        betas = BETAS if self.discriminator is not None else (0.9, 0.999)

        def optimizer(network: nn.Module) -> torch.optim.Optimizer:
            return torch.optim.AdamW(network.parameters(), own.learning_rate, betas, weight_decay=own.weight_decay)

        self.step_network = SyncreticStep(self.model, self.own)
        self.optimizers: dict[str, torch.optim.Optimizer] = {}
        if not self.recipe.autoencoder.channels:
            return
        self.optimizers["model"] = optimizer(self.step_network)
        self.wrapped, self.optimizer = accelerator.prepare(self.step_network, self.optimizers["model"])
        self.adversary = AdversarialLoss()
        if self.discriminator is not None:
            self.optimizers["discriminator"] = optimizer(self.discriminator)
            self.wrapped_d, self.optimizer_d = accelerator.prepare(self.discriminator, self.optimizers["discriminator"])

    def set_without_training(self) -> bool:
        """An autoencoder without layers (pixel regression) has nothing to learn; returns whether it is one."""
        if self.recipe.autoencoder.channels:
            return False
        set_statistics(self.average, self.samples, self.recipe, self.machine)
        return True

    def begin(self, step: int) -> None:
        slots = self.machine.slots(self.schedule.batch)
        workers = self.recipe.data.workers
        self.batches: Iterator[list[Slab]] = slab_batches(self.samples, slots, self.schedule.batch, step, workers)

    def train_step(self, step: int) -> dict[str, float]:
        for optimizer in self.optimizers.values():
            optimizer.param_groups[0]["lr"] = learning_rate(step, self.schedule)
        u = step / self.schedule.steps
        quantised = self.learner is not None and bool(self.learner.started)
        judge = self.discriminator if u >= self.own.adversarial_from else None
        passes = [self._images(slabs) for slabs in self.machine.passes(next(self.batches))]
        outputs: list[SyncreticOutput] = []
        losses = [partial(self._loss, images, quantised, judge, outputs) for images in passes]
        self.machine.optimizer_step(self.wrapped, self.optimizer, losses, self.schedule.clip)
        values = _mean([output.losses for output in outputs])
        if judge is not None:
            losses = [partial(self._discriminator_loss, output) for output in outputs]
            self.machine.optimizer_step(self.wrapped_d, self.optimizer_d, losses, self.schedule.clip)
        self._update_statistics([output.raw for output in outputs], step)
        update_average(self.average, self.model, step, self.schedule.average)
        if step + 1 == self.schedule.steps:
            set_statistics(self.average, self.samples, self.recipe, self.machine)
        return {"l1_hu": values.pop("l1") * self.hu_per_unit, **values}

    def _loss(
        self, images: tuple[Tensor, ...], quantised: bool, judge: nn.Module | None, outputs: list[SyncreticOutput]
    ) -> Tensor:
        with self.machine.accelerator.autocast():
            output = self.wrapped(*images, quantised)
            if judge is not None:
                output.losses["adversarial"] = self.adversary.generator(judge, output.fakes)
        loss = self.step_network.weighted(output.losses)
        kept = {name: value.detach() for name, value in output.losses.items()}
        outputs.append(SyncreticOutput(kept, output.reals, output.fakes.detach(), output.raw))
        return loss

    def _discriminator_loss(self, output: SyncreticOutput) -> Tensor:
        with self.machine.accelerator.autocast():
            return self.adversary.discriminator(self.wrapped_d, output.reals, output.fakes)

    def _images(self, slabs: Sequence[Slab]) -> tuple[Tensor, Tensor, Tensor]:
        return stack_images(slabs, self.recipe, self.machine)

    @torch.no_grad()
    def _update_statistics(self, raw: list[Tensor], step: int) -> None:
        """Follow what this step has encoded: latents' mean and deviation, and the codebook. A collective call."""
        latents = torch.cat(raw).float()
        mean = self._over_processes(latents.mean((0, 2, 3, 4), keepdim=True))
        square = self._over_processes(latents.square().mean((0, 2, 3, 4), keepdim=True))
        weight = max(1 - STATISTICS_DECAY, 1 / (step + 1))
        self.model.latent_mean.lerp_(mean, weight)
        self.model.latent_std.lerp_((square - mean.square()).clamp_min(1e-6).sqrt(), weight)
        # From the step before the first quantised one, so that codes are drawn from latents before they are used.
        codebook, begun = self.model.codebook, (step + 1) / self.schedule.steps >= self.own.quantise_from
        if self.learner is not None and codebook is not None and begun:
            slots = self.machine.slots(self.schedule.batch)
            sides = 2 if self.own.syncretic else 1
            per_sample = torch.cat([part.unflatten(0, (sides, -1)).movedim(0, 1) for part in raw])
            vectors = per_sample.float().movedim(2, -1).flatten(1, -2)
            self.learner.update(codebook, vectors, slots, step, self.machine.accelerator)

    def _over_processes(self, value: Tensor) -> Tensor:
        return self.machine.accelerator.reduce(value, "mean")

    @torch.no_grad()
    def validate(self, step: int) -> dict[str, float]:
        """Measure the error of D(Q(E(x))) in HU on validation crops, and how much of the codebook they use."""
        if self.validation is None:
            return {}
        errors, raws = [], []
        quantised = self.learner is not None and bool(self.learner.started)
        for number in range(VALIDATION_SAMPLES):
            x_n, x_c, _ = self._images([self.validation[number]])
            with self.machine.accelerator.autocast():
                for side, x in (("ncct", x_n), ("cect", x_c)):
                    z = self.average.encode(x)
                    y = self.average.decode(self.average.quantize(z) if quantised else z)
                    target = x_c if self.own.target == "cect" else x
                    errors.append({f"{side}_l1_hu": (y - target).abs().mean()})
                    raws.append(z * self.average.latent_std + self.average.latent_mean)
        scores = {name: value * self.hu_per_unit for name, value in _mean(errors).items()}
        if quantised and self.average.codebook is not None:
            scores |= codebook_usage(self.average.codebook, torch.cat(raws))
        return {"score": scores["cect_l1_hu"], **scores}


def autoencoder_samples(recipe: Recipe, cases: Sequence[Case], augmentation: str) -> SlabDataset:
    """The dataset of the autoencoder: crops of one phase and its NCCT."""
    crop = recipe.autoencoder_training.crop
    cut = Cut(crop[0], crop[1:])
    return SlabDataset(cases, recipe.phases, recipe.data, cut, augmentation, (recipe.seed, STAGE), single=True)


def stack_images(slabs: Sequence[Slab], recipe: Recipe, machine: Machine) -> tuple[Tensor, Tensor, Tensor]:
    """Stack NCCTs, CECTs (both normalised) and where they are registered, each [B, 1, Z, Y, X]."""
    ncct, valid = (torch.stack(part)[:, None] for part in ([s.ncct for s in slabs], [s.valid[0] for s in slabs]))
    cect = torch.stack([slab.cect[0] for slab in slabs])[:, None]
    images = (normalise(ncct, recipe.preprocess), normalise(cect, recipe.preprocess), valid)
    x_n, x_c, valid = (x.to(machine.device).contiguous(memory_format=LAYOUT) for x in images)
    return x_n, x_c, valid


@torch.no_grad()
def set_statistics(autoencoder: SyncreticAutoencoder, samples: SlabDataset, recipe: Recipe, machine: Machine) -> None:
    """Measure an encoder's latents, over NCCTs and CECTs, and store their mean and deviation per channel."""
    latents = []
    for number in range(STATISTICS_SAMPLES):
        for x in stack_images([samples[number]], recipe, machine)[:2]:
            with machine.accelerator.autocast():
                latents.append(autoencoder.encoder(x).float())
    stacked = torch.cat(latents)
    autoencoder.latent_mean.copy_(stacked.mean((0, 2, 3, 4), keepdim=True))
    autoencoder.latent_std.copy_(stacked.std((0, 2, 3, 4), keepdim=True).clamp_min(1e-3))


def _mean(rows: Sequence[dict[str, Tensor]]) -> dict[str, float]:
    """Average each value over the rows that have it."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: torch.stack([row[name].float() for row in rows if name in row]).mean().item() for name in names}
