"""Schedule and samplers, against MONAI's and against what they promise."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from monai.networks.schedulers import DDIMScheduler
from S2LDMLib.inference.scheduler import LatentScheduler
from S2LDMLib.model.config import DenoiserConfig, SchedulerConfig
from S2LDMLib.networks.denoiser import LatentDenoiser
from S2LDMLib.networks.denoisers import Denoiser
from S2LDMLib.networks.paper_denoiser import PaperDenoiser


@pytest.mark.parametrize("prediction", ["sample", "epsilon"])
def test_steps_equal_monai_ddim(prediction: str) -> None:
    """Without zero terminal SNR, and with the offset that makes MONAI start at the last step."""
    ours = LatentScheduler(SchedulerConfig(prediction=prediction, zero_terminal_snr=False))
    monai = DDIMScheduler(
        1000, schedule="scaled_linear_beta", beta_start=0.0015, beta_end=0.0195, prediction_type=prediction,
        clip_sample=False, steps_offset=199,
    )  # fmt: skip
    monai.set_timesteps(5)
    times = ours.timesteps(5)
    assert times == monai.timesteps.tolist()
    torch.manual_seed(0)
    x = y = torch.randn(1, 2, 2, 4, 4)
    for t, previous in zip(times, [*times[1:], None], strict=True):
        output = torch.randn_like(x)
        x, y = ours.step(output, x, t, previous), monai.step(output, t, y)[0]
        assert torch.allclose(x, y, atol=1e-4)


def test_noise_is_added_as_monai_adds_it() -> None:
    ours = LatentScheduler(SchedulerConfig(zero_terminal_snr=False))
    monai = DDIMScheduler(1000, schedule="scaled_linear_beta", beta_start=0.0015, beta_end=0.0195)
    x0, noise, t = torch.randn(2, 1, 2, 2, 2), torch.randn(2, 1, 2, 2, 2), torch.tensor([3, 700])
    assert torch.allclose(ours.add_noise(x0, noise, t), monai.add_noise(x0, noise, t), atol=1e-6)


def test_the_last_step_is_pure_noise() -> None:
    scheduler = LatentScheduler(SchedulerConfig())
    noise, t = torch.randn(1, 1, 2, 2, 2), torch.tensor([999])
    assert torch.equal(scheduler.add_noise(torch.full_like(noise, 5.0), noise, t), noise)
    assert scheduler.scale_input(noise, t).abs().max() == 0


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 7, 10, 50, 1000])
def test_sampling_starts_at_the_last_step_and_descends(steps: int) -> None:
    times = LatentScheduler(SchedulerConfig()).timesteps(steps)
    assert len(times) == steps and times[0] == 999 and times[-1] >= 0
    assert times == sorted(set(times), reverse=True)


LATENT = (1, 2, 2, 8, 8)


def as_it_is(network: Callable[..., torch.Tensor], *latents: torch.Tensor) -> torch.Tensor:
    """Runs a network on the whole latent, with the context that it asks for."""
    return network(*latents)


class Residual(LatentDenoiser):
    """The product's sampling around a function in the network's place."""

    def __init__(self, predict: Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor]) -> None:
        super().__init__(DenoiserConfig(channels=(4, 4), context=1, embedding=4), 2, 1)
        self.predict = predict

    def forward(self, noisy, ncct, timestep, phase, mask=None, context=False):
        return self.predict(noisy, ncct, int(timestep))


class Paper(PaperDenoiser):
    """The paper's sampling around a function in the network's place."""

    def __init__(self, predict: Callable[[torch.Tensor, int], torch.Tensor], window: tuple[int, int, int]) -> None:
        super().__init__(DenoiserConfig("paper", (4, 4), window=window), 2, 1)
        self.predict = predict

    def forward(self, x, timestep, phase):
        return self.predict(x, int(timestep))


def sampled(denoiser: Denoiser, scheduler: LatentScheduler, z_n: torch.Tensor, steps: int, seed: int) -> torch.Tensor:
    noise = torch.randn(z_n.shape, generator=torch.Generator().manual_seed(seed))
    return denoiser.sample(z_n, torch.tensor([0]), scheduler, steps, noise, as_it_is)


def test_one_step_is_the_prediction_and_does_not_depend_on_noise() -> None:
    scheduler, z_n = LatentScheduler(SchedulerConfig()), torch.randn(LATENT)
    results = [sampled(Residual(lambda x, n, t: 2 * n + x), scheduler, z_n, 1, seed) for seed in (0, 1)]
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], 2 * z_n)


def test_more_steps_depend_on_the_seed_and_repeat_with_it() -> None:
    scheduler, z_n = LatentScheduler(SchedulerConfig()), torch.randn(LATENT)
    denoiser = Residual(lambda x, n, t: n + 0.5 * x)
    assert torch.equal(sampled(denoiser, scheduler, z_n, 4, 3), sampled(denoiser, scheduler, z_n, 4, 3))
    assert not torch.equal(sampled(denoiser, scheduler, z_n, 4, 3), sampled(denoiser, scheduler, z_n, 4, 4))


@pytest.mark.parametrize(("kind", "first"), [("residual_x0", 2), ("paper", 1), ("product", 2)])
def test_a_kind_says_from_how_many_steps_on_the_seed_matters(kind: str, first: int) -> None:
    config = DenoiserConfig(kind)
    assert [config.depends_on_seed(steps) for steps in (1, 2)] == [first == 1, True]


def test_a_perfect_denoiser_is_followed_by_both_kinds_of_sampling() -> None:
    """An oracle that knows the clean latent, or the noise in the noised one, leads there in any number of steps."""
    target = torch.randn(LATENT)
    product = LatentScheduler(SchedulerConfig())
    found = sampled(Residual(lambda x, n, t: target), product, target * 0, 5, 0)
    assert torch.allclose(found, target, atol=1e-5)

    paper = LatentScheduler(SchedulerConfig(prediction="epsilon", zero_terminal_snr=False))

    def true_noise(x: torch.Tensor, t: int) -> torch.Tensor:
        alpha = paper.alphas_cumprod[t]
        return (x - alpha.sqrt() * target) / (1 - alpha).sqrt()

    found = sampled(Paper(true_noise, LATENT[2:]), paper, torch.randn_like(target), 10, 0)
    assert torch.allclose(found, target, atol=1e-4)


def test_windows_blend_to_the_whole_and_leave_their_input_alone() -> None:
    scheduler = LatentScheduler(SchedulerConfig(prediction="epsilon", zero_terminal_snr=False))
    z_n = torch.randn(LATENT)
    kept = z_n.clone()
    windows, whole = (
        sampled(Paper(lambda x, t: 3 * x + t, size), scheduler, z_n, 2, 0) for size in ((2, 4, 4), (2, 8, 8))
    )
    assert torch.allclose(windows, whole, atol=1e-2, rtol=1e-4)
    assert torch.equal(z_n, kept)


@pytest.mark.parametrize(("start", "steps", "most"), [(1.0, 0, 1000), (1.0, 1001, 1000), (0.3, 301, 300)])
def test_impossible_step_counts_are_refused(start: float, steps: int, most: int) -> None:
    with pytest.raises(ValueError, match=f"between 1 and {most}"):
        LatentScheduler(SchedulerConfig(start=start)).timesteps(steps)


def test_sampling_can_start_below_pure_noise() -> None:
    assert LatentScheduler(SchedulerConfig(start=0.3, zero_terminal_snr=False)).timesteps(3) == [299, 199, 99]
