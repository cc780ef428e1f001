"""What a denoiser is trained for: its prediction less what is right, in our way and in the paper's.

Source: arXiv 2406.13977; both are reconstructions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from S2LDMLib.inference.scheduler import LatentScheduler
from S2LDMLib.model.config import PAPER
from torch import Tensor

LAYOUT = torch.channels_last_3d
Network = Callable[..., Tensor]


class Objective(Protocol):
    """One kind of training.

    Attributes:
        aims_at_last_step: whether most samples are at the last noise step, which is what one-step sampling asks for.
    """

    aims_at_last_step: bool

    def error(
        self, network: Network, ncct: Tensor, cect: Tensor, mask: Tensor | None, phase: Tensor, t: Tensor,
        noise: Tensor,
    ) -> Tensor:  # fmt: skip
        """The network's prediction less what is right.

        Args:
            network: the denoiser, as accelerate has wrapped it.
            ncct, cect: standardised latents with context [B, C, Z, Y, X].
            mask: dynamic similarity mask [B, 1, Z, Y, X], None for ones.
            phase, t: phase and noise step of each sample [B].
            noise: standard normal, shaped as ``cect``.

        Returns:
            The error [B, C, Z, Y, X] without context, fp32.
        """


class ResidualX0:
    """x0-prediction with the masked latent of the NCCT given, ``f(x_t, M (*) z_n, t, phase) = z_c``."""

    aims_at_last_step = True

    def __init__(self, scheduler: LatentScheduler, context: int) -> None:
        self.scheduler, self.context = scheduler, context

    def error(
        self, network: Network, ncct: Tensor, cect: Tensor, mask: Tensor | None, phase: Tensor, t: Tensor,
        noise: Tensor,
    ) -> Tensor:  # fmt: skip
        noisy = self.scheduler.scale_input(self.scheduler.add_noise(cect, noise, t), t)
        noisy, ncct = (x.contiguous(memory_format=LAYOUT) for x in (noisy, ncct))
        x0 = network(noisy, ncct, t, phase, mask, context=True)
        return x0.float() - cect[:, :, self.context : cect.shape[2] - self.context]


class PaperEpsilon:
    """Noise prediction on the masked latent, ``epsilon(x_t, t, phase)`` with x_0 = M (*) z_c.

    The NCCT comes in only at inference, where sampling starts from its noised latent. We measured that it does worse
    than :class:`ResidualX0`; it is a labelled ablation.
    """

    aims_at_last_step = False

    def __init__(self, scheduler: LatentScheduler, context: int) -> None:
        self.scheduler = scheduler

    def error(
        self, network: Network, ncct: Tensor, cect: Tensor, mask: Tensor | None, phase: Tensor, t: Tensor,
        noise: Tensor,
    ) -> Tensor:  # fmt: skip
        noisy = self.scheduler.add_noise(cect if mask is None else cect * mask, noise, t)
        epsilon = network(noisy.contiguous(memory_format=LAYOUT), t, phase)
        return epsilon.float() - noise


def objective(kind: str, scheduler: LatentScheduler, context: int) -> Objective:
    """The objective of a kind of denoiser with so many slices of context."""
    return (PaperEpsilon if kind == PAPER else ResidualX0)(scheduler, context)
