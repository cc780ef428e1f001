"""Small data and a small recipe, and training runs in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

TINY = {
    "extends": "demo",
    "name": "tiny",
    "precision": "fp32",
    "store": "float32",
    "preprocess": {"spacing": None},
    "autoencoder": {"channels": [8, 12], "num_embeddings": 16},
    "autoencoder_training": {
        "crop": [1, 48, 48],
        "similarity_weight": 0.1,
        "hf_amount": 0.2,
        "adversarial_weight": 0.01,
        "discriminator_channels": 4,
        "discriminator_layers": 2,
        "schedule": {"steps": 12, "batch": 4, "checkpoint_every": 5, "validate_every": 6},
    },
    "denoiser": {"channels": [8, 12], "context": 3, "embedding": 8},
    "diffusion_training": {
        "crop": [2, 64, 64],
        "chunk": 4,
        "chunks": 3,
        "renew_every": 3,
        "schedule": {"steps": 12, "batch": 2, "checkpoint_every": 5, "validate_every": 8},
    },
}
WEIGHTS = ("autoencoder/model.safetensors", "denoiser/model.safetensors")


def write_preset(folder: Path, **changes: Any) -> Path:
    """The tiny recipe as a file."""
    file = folder / "tiny.json"
    file.write_text(json.dumps({**TINY, **changes}))
    return file


def command(data: Path, run: Path, preset: Path, *more: str) -> list[str]:
    """The trainer's command line, without the Python that runs it."""
    return ["-m", "S2LDMTrainerLib", "train", str(data), str(run), "--preset", str(preset), "--device", "cpu",
            "--progress", "json", *more]  # fmt: skip


def start(
    arguments: list[str], limit: Callable[[], None] | None = None, prefix: tuple[str, ...] = (), **environment: str
) -> subprocess.Popen[str]:
    """A Python of one thread, whose sums do not depend on the machine; ``limit`` runs in it first."""
    variables = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    return subprocess.Popen(
        [*prefix, sys.executable, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=variables,
        preexec_fn=limit,
    )  # fmt: skip


def finish(process: subprocess.Popen[str]) -> tuple[int, list[dict[str, Any]], str]:
    """Exit code, progress lines, and what it said on standard error."""
    out, err = process.communicate(timeout=300)
    return process.returncode, [json.loads(line) for line in out.splitlines() if line.startswith("{")], err


def weights(run: Path) -> list[bytes]:
    return [(run / "model" / name).read_bytes() for name in WEIGHTS]


def checkpoints(run: Path) -> list[str]:
    return sorted(folder.relative_to(run).as_posix() for folder in run.glob("*/step_*"))
