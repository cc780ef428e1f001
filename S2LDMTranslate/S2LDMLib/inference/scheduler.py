"""The noise schedule and its steps (DDIM, deterministic).

Sources: Ho et al., arXiv 2006.11239, eq. 4 (forward process); Song et al., arXiv 2010.02502, eq. 12 with eta = 0;
Lin et al., arXiv 2305.08891 (zero terminal SNR, sampling from the last step).
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import ModelError
from ..model.config import SchedulerConfig


def _betas(config: SchedulerConfig) -> Tensor:
    """The variances of the noise steps [T]; MONAI's, but for the one in use, which is not worth MONAI's slow import."""
    if config.schedule == "scaled_linear_beta":
        return torch.linspace(config.beta_start**0.5, config.beta_end**0.5, config.train_timesteps).square()
    from monai.networks.schedulers.scheduler import NoiseSchedules

    return NoiseSchedules[config.schedule](config.train_timesteps, config.beta_start, config.beta_end)


class LatentScheduler:
    """The noise schedule: adds noise to latents in training, and takes it away step by step in sampling.

    ``t`` counts training steps, from 0 (hardly any noise) to T - 1 (pure noise with a zero terminal SNR). Latents are
    [B, C, Z, Y, X], standardised. ``a_t`` in the formulas below is ``alphas_cumprod[t]``, the part of the variance at t
    that is signal; the rest is noise.

    Attributes:
        config: what the schedule was made from.
        alphas_cumprod: float32 [T] on the CPU.
    """

    def __init__(self, config: SchedulerConfig) -> None:
        """Lay out the schedule.

        Raises:
            ModelError: the configuration starts sampling outside the schedule.
        """
        if not 0 < config.start <= 1:
            raise ModelError(f"The scheduler's start is {config.start}. It must be above 0 and at most 1.")
        self.config = config
        alphas_cumprod = (1 - _betas(config).double()).cumprod(0)
        if config.zero_terminal_snr:
            root = alphas_cumprod.sqrt()
            alphas_cumprod = ((root - root[-1]) * root[0] / (root[0] - root[-1])).square()
        self.alphas_cumprod = alphas_cumprod.float()

    def _alpha(self, t: Tensor) -> Tensor:
        """``a_t`` for t [B], as [B, 1, 1, 1, 1] on the device of t."""
        return self.alphas_cumprod.to(t.device)[t].view(-1, 1, 1, 1, 1)

    def timesteps(self, steps: int) -> list[int]:
        """The descending training steps that sampling in ``steps`` passes visits, evenly spaced.

        They start at ``config.start`` of T (at T - 1 by default). MONAI's and diffusers' default ("leading") spacing
        would let a sampler of one step start at t = 0.

        Raises:
            ValueError: there are fewer than one or more than the schedule has.
        """
        total = round(self.config.start * self.config.train_timesteps)
        if not 1 <= steps <= total:
            raise ValueError(f"steps must be between 1 and {total}, not {steps}")
        return [round(total * (steps - i) / steps) - 1 for i in range(steps)]

    def add_noise(self, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """The noised latent ``x_t = sqrt(a_t) x0 + sqrt(1 - a_t) noise`` for x0 and noise [B, C, Z, Y, X] and t [B]."""
        alpha = self._alpha(t)
        return alpha.sqrt() * x0 + (1 - alpha).sqrt() * noise

    def scale_input(self, x_t: Tensor, t: Tensor) -> Tensor:
        """What the network sees of x_t [B, C, Z, Y, X]: ``sqrt(a_t) x_t``, the best linear guess of x0, for t [B].

        It vanishes at T - 1, where x_t holds no information: the first step is then a function of the NCCT alone.
        """
        return self._alpha(t).sqrt() * x_t

    def step(self, prediction: Tensor, x_t: Tensor, t: int, previous: int | None) -> Tensor:
        """Go from x_t to the step that sampling visits next (DDIM, eta = 0).

        Args:
            prediction: what the network made of x_t, of the same shape: x0 or the noise, as ``config.prediction`` says.
            x_t: the latent at t [B, C, Z, Y, X].
            t: a training step, for the whole batch.
            previous: the step to go to, with less noise; None after the last step.

        Returns:
            The latent at ``previous``, or x0 for None.
        """
        alpha = self.alphas_cumprod[t].item()
        if self.config.prediction == "sample":
            x0 = prediction
            epsilon = (x_t - alpha**0.5 * x0) / (1 - alpha) ** 0.5
        else:
            epsilon = prediction
            x0 = (x_t - (1 - alpha) ** 0.5 * epsilon) / alpha**0.5
        if previous is None:
            return x0
        before = self.alphas_cumprod[previous].item()
        return before**0.5 * x0 + (1 - before) ** 0.5 * epsilon
