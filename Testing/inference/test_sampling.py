"""Schedule and samplers, against MONAI's and against what they promise."""

from __future__ import annotations

import pytest
import torch
from monai.networks.schedulers import DDIMScheduler
from S2LDMLib.inference.sampler import in_blended_windows, initial_noise, sample_paper, sample_product
from S2LDMLib.inference.scheduler import LatentScheduler
from S2LDMLib.model.config import SchedulerConfig


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


def test_one_step_is_the_prediction_and_does_not_depend_on_noise() -> None:
    scheduler, z_n = LatentScheduler(SchedulerConfig()), torch.randn(1, 2, 2, 4, 4)
    results = [
        sample_product(lambda x, n, t: 2 * n + x, scheduler, z_n, 1, initial_noise(z_n.shape, seed)) for seed in (0, 1)
    ]
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], 2 * z_n)


def test_more_steps_depend_on_the_seed_and_repeat_with_it() -> None:
    scheduler, z_n = LatentScheduler(SchedulerConfig()), torch.randn(1, 2, 2, 4, 4)

    def run(seed: int) -> torch.Tensor:
        return sample_product(lambda x, n, t: n + 0.5 * x, scheduler, z_n, 4, initial_noise(z_n.shape, seed))

    assert torch.equal(run(3), run(3))
    assert not torch.equal(run(3), run(4))


def test_a_perfect_denoiser_is_followed_by_both_samplers() -> None:
    """An oracle that knows the clean latent, or the noise in the noised one, leads there in any number of steps."""
    target = torch.randn(1, 2, 2, 4, 4)
    product = LatentScheduler(SchedulerConfig())
    noise = initial_noise(target.shape, 0)
    assert torch.allclose(sample_product(lambda x, n, t: target, product, target * 0, 5, noise), target, atol=1e-5)

    paper = LatentScheduler(SchedulerConfig(prediction="epsilon", zero_terminal_snr=False))

    def true_noise(x: torch.Tensor, z_n: torch.Tensor, t: int) -> torch.Tensor:
        alpha = paper.alphas_cumprod[t]
        return (x - alpha.sqrt() * target) / (1 - alpha).sqrt()

    assert torch.allclose(sample_paper(true_noise, paper, torch.randn_like(target), 10, noise), target, atol=1e-4)


def test_windows_blend_to_the_whole_and_leave_their_input_alone() -> None:
    x = torch.randn(1, 2, 6, 20, 20)
    kept = x.clone()
    predict = in_blended_windows(lambda part, t: 3 * part + t, (4, 8, 8))
    assert torch.allclose(predict(x, 7), 3 * kept + 7, atol=1e-4)
    assert torch.equal(x, kept)


@pytest.mark.parametrize("steps", [0, 1001])
def test_impossible_step_counts_are_refused(steps: int) -> None:
    with pytest.raises(ValueError, match="between 1 and 1000"):
        LatentScheduler(SchedulerConfig()).timesteps(steps)


def test_sampling_can_start_below_pure_noise() -> None:
    scheduler = LatentScheduler(SchedulerConfig(start=0.3, zero_terminal_snr=False))
    assert scheduler.timesteps(3) == [299, 199, 99]
    with pytest.raises(ValueError, match="between 1 and 300"):
        scheduler.timesteps(301)
