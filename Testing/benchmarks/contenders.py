"""Ours and what people would use instead, on the same work: each turns a normalised NCCT into HU.

All of them get the same weights, noise schedule, steps, first noise, input and output grid, and do the same work: with
residual decoding ``D(z) - D(z_n)``, else ``D(z)``. The networks of the others are made of MONAI's blocks and Conv3d
(``monai_networks.py``); those named ``_planar`` run our own modules: their ratios tell of tiles and precision alone.

- **windows**: what a user of MONAI would write: ``SlidingWindowInferer`` over the volume, and in each window encode,
  ``LatentDiffusionInferer``, decode. MONAI's default is an overlap of 0.25 with constant weights; gaussian hides seams.
- **whole latent** (MAISI, Guo et al., arXiv 2409.11169): encode and decode in gaussian sliding windows, diffusion on
  the whole latent at once. Encoding windows of 320 x 320 x 160 voxels, overlap 0.4. For decoding the code's own default
  is 96 x 96 x 96 latent voxels with overlap 0.6667; the published preset for an output of 512 x 512 x 128 is
  80 x 80 x 32 with overlap 0.4, which is faster.
- **ours**: the engine, halo tiles.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from monai.inferers import LatentDiffusionInferer, SlidingWindowInferer
from monai.networks.schedulers import DDIMScheduler
from monai_networks import monai_autoencoder, monai_denoiser
from S2LDMLib.inference.devices import plans
from S2LDMLib.inference.translation import Translation
from S2LDMLib.pipeline import S2LDMPipeline
from S2LDMLib.progress import ProgressReporter
from torch import Tensor, nn

SEED, PHASE = 0, 0
MAISI_ENCODE = ((160, 320, 320), 0.4)
MAISI_DECODE_PRESET = ((32, 80, 80), 0.4)
MAISI_DECODE_DEFAULT = ((96, 96, 96), 0.6667)

Run = Callable[[Tensor], np.ndarray]
Triple = tuple[int, int, int]


@dataclass(frozen=True)
class Contender:
    """A way to translate: who, in which precision, the windows of MONAI's inferers, and whose modules."""

    title: str
    kind: str  # ours, windows or whole_latent
    dtype: str = "float32"
    mode: str = "gaussian"
    decode: tuple[Triple, float] = MAISI_DECODE_PRESET
    planar: bool = False  # our own modules


CONTENDERS = {
    "ours_fp32": Contender("ours, fp32", "ours"),
    "ours_shipped": Contender("ours as shipped", "ours", "auto"),
    "windows_gaussian": Contender("MONAI windows, 0.25 gaussian, fp32", "windows"),
    "windows_constant": Contender("MONAI windows, 0.25 constant, fp32", "windows", mode="constant"),
    "maisi": Contender("MAISI's way, preset 80x80x32 0.4, fp32", "whole_latent"),
    "maisi_default": Contender("MAISI's way, 96x96x96 0.6667, fp32", "whole_latent", decode=MAISI_DECODE_DEFAULT),
    "windows_planar": Contender("MONAI windows, 0.25 gaussian, our 2D", "windows", planar=True),
    "maisi_planar": Contender("MAISI's way, preset, our 2D", "whole_latent", planar=True),
    "windows_bf16": Contender("MONAI windows, 0.25 gaussian, bf16", "windows", "bfloat16"),
    "maisi_bf16": Contender("MAISI's way, preset 80x80x32 0.4, bf16", "whole_latent", "bfloat16"),
}


class Stage1(nn.Module):
    """The autoencoder with the names that MONAI's inferers ask for."""

    def __init__(self, pipeline: S2LDMPipeline, planar: bool) -> None:
        super().__init__()
        self.autoencoder = pipeline.autoencoder if planar else monai_autoencoder(pipeline.autoencoder)

    def encode_stage_2_inputs(self, x: Tensor) -> Tensor:
        """Volume [B, 1, Z, Y, X] to standardised latents [B, C, Z', Y', X']."""
        return self.autoencoder.encode(x)

    def decode_stage_2_outputs(self, z: Tensor) -> Tensor:
        """Standardised latents, through the codebook if there is one, to a volume."""
        return self.autoencoder.decode(self.autoencoder.quantize(z))


class Denoiser(nn.Module):
    """The denoiser as MONAI's ``DiffusionInferer`` calls it with ``mode="concat"``."""

    def __init__(self, pipeline: S2LDMPipeline, planar: bool) -> None:
        super().__init__()
        self.denoiser = pipeline.denoiser if planar else monai_denoiser(pipeline.denoiser)
        self.scheduler = pipeline.scheduler

    def forward(self, x: Tensor, timesteps: Tensor, context: None = None) -> Tensor:
        """Noisy latent and the NCCT's latent [B, 2C, Z, Y, X] to x0 [B, C, Z, Y, X]."""
        noisy, z_n = x.chunk(2, 1)
        t = timesteps.long().expand(x.shape[0])
        return self.denoiser(self.scheduler.scale_input(noisy, t), z_n, t, torch.full_like(t, PHASE))


def monai_scheduler(pipeline: S2LDMPipeline, steps: int) -> DDIMScheduler:
    """MONAI's DDIM on the very noise schedule and timesteps of the pipeline.

    Raises:
        ValueError: MONAI's step would end elsewhere, since its stride is that of the whole schedule.
    """
    ours = pipeline.scheduler
    if ours.config.start != 1 or ours.config.train_timesteps % steps:
        raise ValueError(f"MONAI's DDIM has not the timesteps of {steps} steps from {ours.config.start}.")
    scheduler = DDIMScheduler(
        ours.config.train_timesteps, ours.config.schedule, clip_sample=False, prediction_type=ours.config.prediction,
        beta_start=ours.config.beta_start, beta_end=ours.config.beta_end,
    )  # fmt: skip
    scheduler.set_timesteps(steps)
    scheduler.timesteps = torch.tensor(ours.timesteps(steps))
    scheduler.alphas_cumprod = ours.alphas_cumprod
    return scheduler


def prepare(name: str, pipeline: S2LDMPipeline, steps: int, window: Triple) -> Run:
    """A contender ready to run: normalised NCCT [1, 1, Z, Y, X] on the CPU to HU, float32 (Z, Y, X)."""
    contender = CONTENDERS[name]
    pipeline.dtype = contender.dtype
    plan = next(plans(pipeline.device, contender.dtype))
    detail = "native" if pipeline.config.residual_decode else "model"
    if contender.kind == "ours":
        return lambda ncct: Translation(
            pipeline.config, pipeline.autoencoder, pipeline.denoiser, pipeline.scheduler, plan, ProgressReporter()
        )(ncct, PHASE, steps, SEED, detail)
    theirs = _in_windows if contender.kind == "windows" else _whole_latent
    run = theirs(contender, pipeline, steps, window, plan.device)

    @torch.inference_mode()
    def to_hu(ncct: Tensor) -> np.ndarray:
        with torch.autocast(plan.device.type, plan.dtype, enabled=plan.dtype != torch.float32):
            output = run(ncct)
        preprocess = pipeline.config.preprocess
        low, high = preprocess.range
        scale = preprocess.window / (high - low)
        shift = 0.0 if detail == "native" else preprocess.level - preprocess.window / 2 - low * scale
        return (output[0, 0] * scale + shift).numpy()

    return to_hu


def _inferer(window: Triple, overlap: float, mode: str, device: torch.device) -> SlidingWindowInferer:
    cpu = torch.device("cpu")
    return SlidingWindowInferer(window, 1, overlap, mode, sw_device=device, device=cpu, with_coord=True)


def _in_windows(
    contender: Contender, pipeline: S2LDMPipeline, steps: int, window: Triple, device: torch.device
) -> Callable[[Tensor], Tensor]:
    """Contender 1: everything in windows of the training crop."""
    stage1, denoiser = (kind(pipeline, contender.planar).to(device) for kind in (Stage1, Denoiser))
    stride = pipeline.autoencoder.stride
    inferer = LatentDiffusionInferer(monai_scheduler(pipeline, steps))
    windows = _inferer(window, 0.25, contender.mode, device)

    def run(ncct: Tensor) -> Tensor:
        shape = [max(n, w) // s for n, w, s in zip(ncct.shape[2:], window, stride, strict=True)]
        noise = seeded_noise(torch.Size((1, pipeline.autoencoder.config.latent_channels, *shape)))

        def translate(x: Tensor, where: list[list[slice]]) -> Tensor:
            z_n = stage1.encode_stage_2_inputs(x)
            own = [slice(part.start // s, part.stop // s) for part, s in zip(where[0][2:], stride, strict=True)]
            image = inferer.sample(
                noise[(..., *own)].to(device), stage1, denoiser, conditioning=z_n, mode="concat", verbose=False
            )
            return image - stage1.decode_stage_2_outputs(z_n) if pipeline.config.residual_decode else image

        return windows(ncct, translate)

    return run


def _whole_latent(
    contender: Contender, pipeline: S2LDMPipeline, steps: int, window: Triple, device: torch.device
) -> Callable[[Tensor], Tensor]:
    """Contender 2: sliding-window encode and decode around the diffusion of the whole latent."""
    stage1, denoiser = (kind(pipeline, contender.planar).to(device) for kind in (Stage1, Denoiser))
    scheduler = monai_scheduler(pipeline, steps)

    def decode(latents: Tensor, where: list[list[slice]]) -> Tensor:
        z, *z_n = latents.chunk(1 + pipeline.config.residual_decode, 1)
        image = stage1.decode_stage_2_outputs(z)
        return image - stage1.decode_stage_2_outputs(z_n[0]) if z_n else image

    def run(ncct: Tensor) -> Tensor:
        roi, overlap = _fitted(MAISI_ENCODE, ncct)
        z_n = _inferer(roi, overlap, "gaussian", device)(ncct, lambda x, _: stage1.encode_stage_2_inputs(x)).to(device)
        z = seeded_noise(z_n.shape).to(device)
        for t in scheduler.timesteps:
            z, _ = scheduler.step(denoiser(torch.cat([z, z_n], 1), t[None].to(device)), t, z)
        latents = torch.cat([z, z_n], 1) if pipeline.config.residual_decode else z
        roi, overlap = _fitted(contender.decode, latents)
        return _inferer(roi, overlap, "gaussian", device)(latents, decode)

    return run


def seeded_noise(shape: torch.Size) -> Tensor:
    """The noise that the pipeline starts from."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(SEED))


def _fitted(windows: tuple[Triple, float], volume: Tensor) -> tuple[Triple, float]:
    """Windows no larger than the volume, as MAISI does, since padding would only add work."""
    z, y, x = (min(w, n) for w, n in zip(windows[0], volume.shape[2:], strict=True))
    return (z, y, x), windows[1]
