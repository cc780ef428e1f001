"""From the NCCT's latent to the CECT's: the product's sampler and the paper's.

Both are deterministic given their noise. What we measured: few steps of x0-prediction with the NCCT's latent given
beat noise prediction, and one step gives the best scores; the paper's sampler is kept as a labelled alternative.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from .scheduler import LatentScheduler

Predict = Callable[[Tensor, Tensor, int], Tensor]


def initial_noise(shape: torch.Size, seed: int) -> Tensor:
    """Standard normal noise on the CPU, so that a seed means the same on every device."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def sample_product(predict: Predict, scheduler: LatentScheduler, z_n: Tensor, steps: int, noise: Tensor) -> Tensor:
    """x0-prediction by DDIM with the NCCT's latent given and the similarity mask at ones.

    Args:
        predict: ``predict(scaled_x_t, z_n, t)`` gives x0.
        z_n: standardised latent of the NCCT [1, C, Z, Y, X].
        steps: 1 for a single pass, a few for more texture.
        noise: as z_n.
    """
    x, times = noise, scheduler.timesteps(steps)
    for t, previous in zip(times, [*times[1:], None], strict=True):
        scaled = scheduler.scale_input(x, torch.tensor([t], device=x.device))
        x = scheduler.step(predict(scaled, z_n, t), x, t, previous)
    return x


def sample_paper(predict: Predict, scheduler: LatentScheduler, z_n: Tensor, steps: int, noise: Tensor) -> Tensor:
    """The paper's sampler: epsilon-prediction that starts from the noised latent of the NCCT, with no condition.

    Source: arXiv 2406.13977; a reconstruction. It needs a schedule without zero terminal SNR.
    """
    times = scheduler.timesteps(steps)
    x = scheduler.add_noise(z_n, noise, torch.tensor([times[0]], device=z_n.device))
    for t, previous in zip(times, [*times[1:], None], strict=True):
        x = scheduler.step(predict(x, z_n, t), x, t, previous)
    return x


def in_blended_windows(network: nn.Module, window: tuple[int, int, int]) -> Callable[[Tensor, int], Tensor]:
    """A denoiser with spatial statistics (GroupNorm, attention), run in latent windows of its training size."""
    from monai.inferers import sliding_window_inference  # slow to import, and the product needs none of it

    def predict(x: Tensor, t: int) -> Tensor:
        def run(part: Tensor) -> Tensor:
            return network(part, torch.full((part.shape[0],), t, device=part.device))

        # A copy, since MONAI's inferer may scale its input in place.
        return sliding_window_inference(x.clone(), window, 1, run, overlap=0.25, mode="gaussian")

    return predict
