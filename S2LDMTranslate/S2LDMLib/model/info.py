"""What a model is, read from its small files: without PyTorch and without opening the weights.

The panel asks for it inside Slicer before any package is installed, so nothing here needs more than Python itself;
``huggingface_hub`` could read front matter and headers of weights as well.
"""

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
from .layout import README_FILE, REQUIRED_FILES, WEIGHT_FILES

PARTS: dict[str, type[AutoencoderConfig | DenoiserConfig | SchedulerConfig]] = {
    "autoencoder": AutoencoderConfig,
    "denoiser": DenoiserConfig,
    "scheduler": SchedulerConfig,
}
NO_LICENCE = "not stated"
_FRONT_MATTER = re.compile(r"\A---\s*\n(.*?)\n---\s*(?:\n|\Z)", re.DOTALL)


def describe_model(source: ModelSource) -> dict[str, Any]:
    """Describe a model that lies on this disk, ready for JSON.

    Returns:
        ``model``, ``revision``, ``folder``, ``licence``, ``bytes``, the fields of its configuration (``phases`` among
        them), and for each part an entry with its own configuration and number of ``parameters``; that of the denoiser
        also says from how many steps on ``samples_differ_from`` seed to seed.

    Raises:
        ModelError: a file is missing or damaged.
    """
    folder = source.folder
    described: dict[str, Any] = {
        "model": source.model_id,
        "revision": source.revision,
        "folder": str(folder),
        "licence": licence_of_card(_readme(folder)),
        "bytes": sum((folder / name).stat().st_size for name in REQUIRED_FILES),
        **dataclasses.asdict(load_config(ModelConfig, folder / "config.json")),
    }
    for name, kind in PARTS.items():
        config = load_config(kind, folder / name / "config.json")
        described[name] = dataclasses.asdict(config)
        if isinstance(config, DenoiserConfig):
            described[name]["samples_differ_from"] = 1 if config.depends_on_seed(steps=1) else 2
    for name in WEIGHT_FILES:
        described[name.split("/")[0]]["parameters"] = count_parameters(folder / name)
    return described


def card(folder: Path) -> str:
    """Return the model card, which is the folder's README, without its front matter; empty where there is none."""
    return _FRONT_MATTER.sub("", _readme(folder)).strip()


def licence_of_card(text: str) -> str:
    """Return the licence that the front matter of a model card names."""
    front = _FRONT_MATTER.match(text)
    found = re.search(r"^license:\s*(\S.*?)\s*$", front[1], re.MULTILINE) if front else None
    return found[1].strip("'\"") if found else NO_LICENCE


def _readme(folder: Path) -> str:
    try:
        return (folder / README_FILE).read_text(encoding="utf-8-sig", errors="replace")
    except OSError:
        return ""


def count_parameters(file: Path) -> int:
    """Return the number of values in a safetensors file, from its header.

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
