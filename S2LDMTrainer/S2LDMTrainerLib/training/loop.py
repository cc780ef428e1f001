"""The loop that both stages run in: steps, progress, validation, checkpoints, and what happens when something fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import torch
from S2LDMLib.errors import Cancelled, InputError
from torch import nn

from ..recipe import Schedule
from .checkpoint import best_checkpoint, last_checkpoint, load_checkpoint, save_checkpoint
from .journal import Journal
from .machine import Machine, NotFinite, explain_failure
from .run_folder import RunFolder


class Stage(Protocol):
    """What the loop needs of a stage."""

    name: str
    schedule: Schedule
    networks: Mapping[str, nn.Module]  # unwrapped; everything that a checkpoint holds
    optimizers: Mapping[str, torch.optim.Optimizer]

    def begin(self, step: int) -> None:
        """Get ready to train from this step on."""

    def train_step(self, step: int) -> dict[str, float]:
        """One step on this process's part of the batch; returns what to log."""

    def validate(self, step: int) -> dict[str, float]:
        """Scores of the averaged weights on the validation cases, with ``score`` (lower is better); or nothing."""


def run_stage(
    stage: Stage, run: RunFolder, machine: Machine, journal: Journal, should_cancel: Callable[[], bool]
) -> None:
    """Train a stage from its last checkpoint, or from the start, to its end.

    Raises:
        Cancelled: asked to stop; a checkpoint was written.
        TrainingError: see :mod:`S2LDMTrainerLib.training.machine`; a checkpoint is there if there was a step.
    """
    folder, schedule = run.stage(stage.name), stage.schedule
    start = _resume(stage, run)
    if machine.agree({"start": float(start)}, False)[0]["start"] != start:
        raise InputError(
            f"Not all machines see the same checkpoints in {run.folder}. Put it on a disk that they share."
        )
    if start < schedule.steps:
        stage.begin(start)
    journal.start_stage(stage.name, start, schedule.steps)
    done = start
    try:
        for step in range(start, schedule.steps):
            values, asked = machine.agree(stage.train_step(step), should_cancel())
            machine.half_done = False
            done = step + 1
            journal.step(done, {**values, "skipped": float(machine.skipped)} if machine.skipped else values)
            score = None
            if done % schedule.validate_every == 0 or done == schedule.steps:
                scores = stage.validate(done)
                score = scores.get("score")
                journal.validation(done, scores)
            if machine.is_main and (score is not None or done % schedule.checkpoint_every == 0 or asked):
                _save(stage, run, done, score)
            if asked and done < schedule.steps:
                raise Cancelled(f"Stopped after step {done} of {schedule.steps}; go on with --resume.")
        if machine.is_main and start < schedule.steps:
            _save_last(stage, run, done)
    except NotFinite:
        raise
    except (RuntimeError, MemoryError, OSError) as error:
        failure = explain_failure(error, f"in step {done + 1} of the {stage.name}")
        if failure is None:
            raise
        if machine.is_main and not machine.half_done and done > start:
            _save_last(stage, run, done)
        raise failure from error
    if schedule.keep == "best" and (best := best_checkpoint(folder)):
        load_checkpoint(best, stage.networks)


def _resume(stage: Stage, run: RunFolder) -> int:
    """Load the last checkpoint; returns the number of finished steps."""
    checkpoint = last_checkpoint(run.stage(stage.name))
    if checkpoint is None:
        return 0
    if checkpoint.step > stage.schedule.steps:
        raise InputError(
            f"{checkpoint.folder} is of a longer run than {stage.schedule.steps} steps. Use its recipe or a new folder."
        )
    load_checkpoint(checkpoint, stage.networks, stage.optimizers)
    return checkpoint.step


def _save(stage: Stage, run: RunFolder, step: int, score: float | None) -> None:
    save_checkpoint(run.stage(stage.name), step, stage.networks, stage.optimizers, score, {"stage": stage.name})


def _save_last(stage: Stage, run: RunFolder, step: int) -> None:
    """Unless it is there already."""
    last = last_checkpoint(run.stage(stage.name))
    if last is None or last.step != step:
        _save(stage, run, step, None)
