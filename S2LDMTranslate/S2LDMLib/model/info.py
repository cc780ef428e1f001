"""What a model is, read from its small files: without PyTorch and without opening the weights."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from pathlib import Path
from typing import Any

from ..errors import ModelError
from .config import AutoencoderConfig, DenoiserConfig, ModelConfig, SchedulerConfig
from .config_files import load_config
from .hub import ModelSource
from .layout import README_FILE, REQUIRED_FILES

PARTS = {"autoencoder": AutoencoderConfig, "denoiser": DenoiserConfig, "scheduler": SchedulerConfig}
NO_LICENCE = "not stated"


def describe_model(source: ModelSource) -> dict[str, Any]:
    """Everything about a model that lies on this disk, ready for JSON.

    Returns:
        ``model``, ``revision``, ``folder``, ``licence``, ``bytes``, the fields of its configuration (``phases`` among
        them), and one entry a part with its own configuration and number of ``parameters``; the denoiser's says from
        how many steps on ``samples_differ_from`` seed to seed.

    Raises:
        ModelError: a file is missing or damaged.
    """
    folder = source.folder
    described: dict[str, Any] = {
        "model": source.model_id,
        "revision": source.revision,
        "folder": str(folder),
        "licence": licence(folder),
        "bytes": sum((folder / name).stat().st_size for name in REQUIRED_FILES),
        **dataclasses.asdict(load_config(ModelConfig, folder / "config.json")),
    }
    for name, kind in PARTS.items():
        described[name] = dataclasses.asdict(load_config(kind, folder / name / "config.json"))
        weights = folder / name / "model.safetensors"
        if weights.is_file():
            described[name]["parameters"] = count_parameters(weights)
    config = load_config(DenoiserConfig, folder / "denoiser" / "config.json")
    described["denoiser"]["samples_differ_from"] = next(n for n in (1, 2) if config.depends_on_seed(n))
    return described


def licence(folder: Path) -> str:
    """The licence that the front matter of a model's README names."""
    return licence_of_card(_readme(folder))


def card(folder: Path) -> str:
    """The model card, which is the folder's README, without its front matter; empty where there is none."""
    return re.sub(r"\A---\s*\n.*?\n---\s*(\n|$)", "", _readme(folder), flags=re.DOTALL).strip()


def _readme(folder: Path) -> str:
    try:
        return (folder / README_FILE).read_text(encoding="utf-8-sig", errors="replace")
    except OSError:
        return ""


def licence_of_card(text: str) -> str:
    """The licence in the front matter of a model card's text."""
    front = re.match(r"---\s*\n(.*?)\n---\s*(\n|$)", text, re.DOTALL)
    found = re.search(r"^license:\s*(\S.*?)\s*$", front[1], re.MULTILINE) if front else None
    return found[1].strip("'\"") if found else NO_LICENCE


def count_parameters(file: Path) -> int:
    """Number of values in a safetensors file, from its header.

    Raises:
        ModelError: the file is truncated or not of this format.
    """
    try:
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if not 0 < length < file.stat().st_size:
                raise ValueError("its header is cut off")
            header = json.loads(stream.read(length))
        return sum(math.prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{file} is no complete safetensors file ({error}). Get the model again.") from None
