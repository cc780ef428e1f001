"""Checkpoints: everything a stage needs to go on bit for bit, as safetensors and JSON, whole or not at all.

A stage's folder holds ``step_00000250/`` with ``networks.safetensors``, ``optimizers.safetensors`` and ``state.json``.
The last one and the best validated one are kept. No generator's state is stored: all randomness of training is a
function of the seed and the step.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from S2LDMLib.errors import S2LDMError
from S2LDMLib.model.weights import is_same_layer, present_name
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

NETWORKS, OPTIMIZERS, STATE = "networks.safetensors", "optimizers.safetensors", "state.json"


class CheckpointError(S2LDMError):
    """A checkpoint cannot be written or read."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on disk: the number of finished steps, and the validation score there (lower is better)."""

    folder: Path
    step: int
    score: float | None


def save_checkpoint(
    stage_folder: Path, step: int, networks: Mapping[str, nn.Module], optimizers: Mapping[str, torch.optim.Optimizer],
    score: float | None, extra: dict[str, Any],
) -> Path:  # fmt: skip
    """Write a checkpoint beside its place, then rename it; remove those that are neither the last nor the best.

    Raises:
        CheckpointError: the disk is full or refuses; what was there before is still there.
    """
    folder = stage_folder / f"step_{step:08d}"
    partial = stage_folder / f".step_{step:08d}.partial"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        save_file(_flat_networks(networks), partial / NETWORKS)
        save_file(_flat_optimizers(optimizers), partial / OPTIMIZERS)
        (partial / STATE).write_text(json.dumps({"step": step, "score": score, **extra}), encoding="utf-8")
        for file in partial.iterdir():
            _flush(file)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(partial, folder)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise CheckpointError(
            f"The checkpoint of step {step} could not be written to {stage_folder} ({error}). Free some disk space, "
            "then go on with --resume from the last checkpoint."
        ) from error
    _prune(stage_folder)
    return folder


def list_checkpoints(stage_folder: Path) -> list[Checkpoint]:
    """List the whole checkpoints of a stage, the earliest first."""
    found = []
    for folder in sorted(stage_folder.glob("step_*")):
        state = _state(folder)
        found.append(Checkpoint(folder, state["step"], state["score"]))
    return found


def last_checkpoint(stage_folder: Path) -> Checkpoint | None:
    """The checkpoint to go on from; None where there is none."""
    return next(reversed(list_checkpoints(stage_folder)), None)


def best_checkpoint(stage_folder: Path) -> Checkpoint | None:
    """The checkpoint with the lowest validation score; None where nothing was validated."""
    scored = [(one.score, one) for one in list_checkpoints(stage_folder) if one.score is not None]
    return min(scored, key=lambda pair: pair[0], default=(None, None))[1]


def load_checkpoint(
    checkpoint: Checkpoint, networks: Mapping[str, nn.Module],
    optimizers: Mapping[str, torch.optim.Optimizer] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Put a checkpoint's tensors into networks and optimizers; returns its ``state.json``.

    Raises:
        CheckpointError: it is damaged or of other networks.
    """
    try:
        tensors = load_file(checkpoint.folder / NETWORKS)
        for name, network in networks.items():
            network.load_state_dict(_present(_below(tensors, name), network))
        if optimizers is not None:
            tensors = load_file(checkpoint.folder / OPTIMIZERS)
            for name, optimizer in optimizers.items():
                _fill_optimizer(optimizer, _below(tensors, name))
    except (OSError, SafetensorError, RuntimeError, KeyError, ValueError) as error:
        raise CheckpointError(
            f"The checkpoint {checkpoint.folder} cannot be used ({str(error).splitlines()[0]}). Remove it to go on "
            "from an earlier one, or start again in a new folder."
        ) from error
    return _state(checkpoint.folder)


def _state(folder: Path) -> dict[str, Any]:
    try:
        return json.loads((folder / STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"The checkpoint {folder} is damaged ({error}). Remove it and use --resume again."
        ) from error


def _flat_networks(networks: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    return {
        f"{name}.{key}": tensor.detach().cpu().contiguous()
        for name, network in networks.items()
        for key, tensor in network.state_dict().items()
    }


def _flat_optimizers(optimizers: Mapping[str, torch.optim.Optimizer]) -> dict[str, Tensor]:
    return {
        f"{name}.{index}.{key}": torch.as_tensor(value).detach().cpu().contiguous()
        for name, optimizer in optimizers.items()
        for index, entries in optimizer.state_dict()["state"].items()
        for key, value in entries.items()
    }


def _fill_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        number, key = name.split(".", 1)
        state.setdefault(int(number), {})[key] = tensor
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for index, entries in state.items():
        shape = parameters[index].shape
        state[index] = {k: v.reshape(shape) if is_same_layer(v.shape, shape) else v for k, v in entries.items()}
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _present(tensors: dict[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Give a network's tensors the names and shapes of today, also those of a run that version 0.1.0 has begun."""
    shapes = {name: tensor.shape for name, tensor in network.state_dict().items()}
    named = {present_name(name, network): tensor for name, tensor in tensors.items()}
    return {
        name: tensor.reshape(shapes[name]) if is_same_layer(tensor.shape, shapes.get(name, ())) else tensor
        for name, tensor in named.items()
    }


def _below(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    return {key.removeprefix(f"{name}."): tensor for key, tensor in tensors.items() if key.startswith(f"{name}.")}


def _prune(stage_folder: Path) -> None:
    best, last = best_checkpoint(stage_folder), last_checkpoint(stage_folder)
    for checkpoint in list_checkpoints(stage_folder):
        if checkpoint not in (best, last):
            shutil.rmtree(checkpoint.folder)


def _flush(file: Path) -> None:
    """Put a file on the disk: a power cut after the rename must not find it empty under its final name."""
    with file.open("rb") as stream:
        os.fsync(stream.fileno())
