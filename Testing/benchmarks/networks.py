"""The networks that are timed and the volumes that they are given.

``demo`` is the bundled model; ``paper_scale`` has the widths, depth and codebook of the paper around our denoiser; any
other name is a preset of the trainer, such as ``paper``. All but ``demo`` have seeded random weights: time and memory
do not depend on what a network has learned.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch
from S2LDMLib.inference.preprocess import normalise
from S2LDMLib.inference.scheduler import LatentScheduler
from S2LDMLib.model.config import AutoencoderConfig, DenoiserConfig, ModelConfig, PreprocessConfig, SchedulerConfig
from S2LDMLib.networks.autoencoder import SyncreticAutoencoder
from S2LDMLib.networks.build import build_denoiser
from S2LDMLib.networks.denoiser import LatentDenoiser
from S2LDMLib.phantom.scan import make_phantom
from S2LDMLib.pipeline import S2LDMPipeline
from torch import nn

Size = tuple[int, int, int]
FIELD_MM = (420.0, 420.0, 240.0)
PAPER_SCALE = (
    ModelConfig(name="paper-scale", preprocess=PreprocessConfig(700.0, 150.0, (0.0, 1.0))),
    AutoencoderConfig(),
    DenoiserConfig(channels=(128, 256, 512), embedding=256),
    SchedulerConfig(),
)


def parse_size(text: str) -> Size:
    """``512x512x48`` (x, y, z) to voxels."""
    x, y, z = (int(part) for part in text.split("x"))
    return x, y, z


def load_networks(name: str, seed: int = 0) -> S2LDMPipeline:
    """The bundled model, or networks of random weights; in fp32 on the CPU."""
    if name == "demo":
        return S2LDMPipeline.from_pretrained("bundled", device="cpu", dtype="float32")
    model, autoencoder, denoiser, scheduler = PAPER_SCALE if name == "paper_scale" else _preset(name)
    torch.manual_seed(seed)
    networks = (
        SyncreticAutoencoder(autoencoder), build_denoiser(denoiser, autoencoder.latent_channels, len(model.phases))
    )  # fmt: skip
    if isinstance(networks[1], LatentDenoiser):
        nn.init.normal_(networks[1].conv_out.weight, std=0.02)  # it starts at zero, which would hide every difference
    return S2LDMPipeline(
        model, networks[0].eval(), networks[1].eval(), LatentScheduler(scheduler), device="cpu", dtype="float32"
    )


def _preset(name: str) -> tuple[ModelConfig, AutoencoderConfig, DenoiserConfig, SchedulerConfig]:
    from S2LDMTrainerLib.recipe import load_preset

    recipe = load_preset(name)
    residual = recipe.autoencoder_training.target != "cect"
    model = ModelConfig(name=recipe.name, phases=recipe.phases, preprocess=recipe.preprocess, residual_decode=residual)
    return model, recipe.autoencoder, recipe.denoiser, recipe.scheduler


def phantom_ncct(size: Size) -> sitk.Image:
    """A non-contrast phantom of 42 cm across and at most 24 cm along, HU."""
    spacing = (FIELD_MM[0] / size[0], FIELD_MM[1] / size[1], min(5.0, FIELD_MM[2] / size[2]))
    return make_phantom(0, size, spacing).ncct


def save_network_input(ncct: sitk.Image, preprocess: PreprocessConfig, file: Path) -> None:
    """Write a volume as networks see it: float32 (Z, Y, X), windowed, on its own grid and not cut out."""
    hu = torch.from_numpy(sitk.GetArrayViewFromImage(ncct).astype(np.float32))
    np.save(file, normalise(hu, preprocess).numpy())
