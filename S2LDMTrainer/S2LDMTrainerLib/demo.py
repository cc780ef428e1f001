"""Make the bundled demonstration model from prepared data: ``python -m S2LDMTrainerLib.demo --data DATA --out MODEL``.

Two stages, seeded, on the CPU: autoencoder, then denoiser, stored in half precision.
"""

from __future__ import annotations

import argparse
import platform
from pathlib import Path

import torch
from S2LDMLib.autoencoder import SyncreticAutoencoder
from S2LDMLib.config import (
    PHASES,
    AutoencoderConfig,
    DenoiserConfig,
    ModelConfig,
    PreprocessConfig,
    SchedulerConfig,
)
from S2LDMLib.denoiser import LatentDenoiser
from S2LDMLib.pipeline import S2LDMPipeline
from S2LDMLib.scheduler import LatentScheduler
from S2LDMLib.weights import load_weights

from .autoencoder_training import train_autoencoder
from .data import load_cases
from .denoiser_training import train_denoiser
from .latent_pool import LatentPool

# The arterial aorta lies above the paper's window of 400 / 0; the window here holds it.
PREPROCESS = PreprocessConfig(window=700.0, level=150.0, range=(0.0, 1.0), spacing=(1.5, 1.5, 5.0))
# Slices are 5 mm thick: strides of 4 in the plane and 1 along z, slice by slice, without a codebook.
AUTOENCODER = AutoencoderConfig(
    channels=(48, 96), strides=((1, 2, 2), (1, 2, 2)), kernel_z=1, residual_units=1, num_embeddings=0
)
DENOISER = DenoiserConfig()
SCHEDULER = SchedulerConfig()


def main(argv: list[str] | None = None) -> int:
    """Train what is missing and write the model folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of prepared cases")
    parser.add_argument("--out", type=Path, required=True, help="model folder to write")
    parser.add_argument("--runs", type=Path, default=Path("runs/demo"), help="full-precision weights of each stage")
    parser.add_argument("--autoencoder-steps", type=int, default=1500)
    parser.add_argument("--denoiser-steps", type=int, default=2500)
    parser.add_argument("--start", type=Path, help="denoiser weights to go on from")
    parser.add_argument("--peak", type=float, default=2e-3, help="highest learning rate of the denoiser")
    parser.add_argument("--leave-out", default=None, metavar="PATIENT", help="train without this patient")
    args = parser.parse_args(argv)
    args.runs.mkdir(parents=True, exist_ok=True)
    cases = [case for case in load_cases(args.data) if case.patient != args.leave_out]
    scheduler = LatentScheduler(SCHEDULER)
    stage1, stage2 = args.runs / "autoencoder.safetensors", args.runs / "denoiser.safetensors"
    if stage1.exists():
        autoencoder = SyncreticAutoencoder(AUTOENCODER).eval()
        load_weights(autoencoder, stage1)
    else:
        partial = stage1.with_suffix(".partial.safetensors")
        autoencoder = train_autoencoder(cases, AUTOENCODER, PREPROCESS, partial, args.autoencoder_steps)
        partial.rename(stage1)
    pool = LatentPool(cases, autoencoder, PREPROCESS, PHASES, DENOISER.context // 2, capacity=64)
    denoiser = train_denoiser(pool, DENOISER, scheduler, stage2, args.denoiser_steps, args.start, peak=args.peak)
    _write(args, autoencoder, denoiser)
    return 0


def _write(args: argparse.Namespace, autoencoder: SyncreticAutoencoder, denoiser: LatentDenoiser) -> None:
    provenance = {
        "data": "TCIA HCC-TACE-Seg (CC BY 4.0), LIDC-IDRI-0001 (CC BY 3.0), TotalSegmentator test data (Apache-2.0), "
        "procedural phantoms",
        "training": f"{args.autoencoder_steps} autoencoder and {args.denoiser_steps} denoiser steps"
        f"{' after those of the weights it went on from' if args.start else ''}, {platform.machine()} CPU, seed 0",
        "intended use": "demonstration and research; not a medical device",
    }
    config = ModelConfig(name="S2LDM demo", preprocess=PREPROCESS, provenance=provenance)
    S2LDMPipeline(config, autoencoder, denoiser, LatentScheduler(SCHEDULER)).save_pretrained(args.out, torch.float16)


if __name__ == "__main__":
    raise SystemExit(main())
