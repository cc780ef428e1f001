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
from .machine import Machine, explain_failure
from .run_folder import RunFolder


class Stage(Protocol):
    """What the loop needs of a stage."""

    name: str
    schedule: Schedule
    networks: Mapping[str, nn.Module]  # unwrapped; everything that a checkpoint holds

    @property
    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        """What trains the networks, by name; a checkpoint holds their states too."""

    def begin(self, step: int) -> None:
        """Get ready to train from this step on."""

    def train_step(self, step: int) -> dict[str, float]:
        """Train one step on this process's part of the batch, and return what to log. A collective call."""

    def validate(self, step: int) -> dict[str, float]:
        """Score the averaged weights on the validation cases. A collective call.

        Returns:
            The scores, among them ``score`` (lower is better); empty where there is nothing to validate on.
        """


def run_stage(
    stage: Stage, run: RunFolder, machine: Machine, journal: Journal, should_cancel: Callable[[], bool]
) -> None:
    """Train a stage from its last checkpoint, or from the start, to its end.

    Raises:
        Cancelled: asked to stop; a checkpoint was written.
        TrainingError: see :mod:`S2LDMTrainerLib.training.machine`; a checkpoint is there if there was a step.
    """
    start = _resume(stage, run)
    _check_all_start_at(start, run, machine)
    if start < stage.schedule.steps:
        stage.begin(start)
    journal.start_stage(stage.name, start, stage.schedule.steps)
    loop = _Loop(stage, run, machine, journal, start)
    try:
        loop.run(should_cancel)
    except (RuntimeError, MemoryError, OSError) as error:
        failure = explain_failure(error, f"in step {loop.done + 1} of the {stage.name}")
        if failure is None:
            raise
        loop.save_what_is_done()
        raise failure from error
    machine.wait()  # before the main process has saved and pruned, the others must not look for the best
    if stage.schedule.keep == "best" and (best := best_checkpoint(run.stage(stage.name))):
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


def _check_all_start_at(start: int, run: RunFolder, machine: Machine) -> None:
    """Refuse to train if another process has found other checkpoints. A collective call."""
    if machine.agree({"start": float(start)}, False)[0]["start"] != start:
        raise InputError(
            f"Not all machines see the same checkpoints in {run.folder}. Put it on a disk that they share."
        )


class _Loop:
    """The steps of one stage.

    Attributes:
        done: the number of steps that have ended.
    """

    def __init__(self, stage: Stage, run: RunFolder, machine: Machine, journal: Journal, start: int) -> None:
        self._stage, self._run, self._machine, self._journal = stage, run, machine, journal
        self._steps = stage.schedule.steps
        self._start = self.done = start

    def run(self, should_cancel: Callable[[], bool]) -> None:
        """Train, validate and save until the last step, or until any process is asked to stop."""
        for step in range(self._start, self._steps):
            asked_to_stop = self._step(step, should_cancel)
            score = self._validate() if self._is_due(self._stage.schedule.validate_every) else None
            if asked_to_stop or score is not None or self._is_due(self._stage.schedule.checkpoint_every):
                self._save(score)
            if asked_to_stop and self.done < self._steps:
                raise Cancelled(f"Stopped after step {self.done} of {self._steps}; go on with --resume.")

    def save_what_is_done(self) -> None:
        """Save the steps of this run after a failure, unless the failed one has spoilt the weights."""
        if self._machine.is_main and not self._machine.half_done and self.done > self._start:
            last = last_checkpoint(self._run.stage(self._stage.name))
            if last is None or last.step != self.done:
                self._save(None)

    def _step(self, step: int, should_cancel: Callable[[], bool]) -> bool:
        """Train one step; returns whether to stop after it."""
        machine = self._machine
        values, asked_to_stop = machine.agree(self._stage.train_step(step), should_cancel())
        machine.half_done = False
        self.done = step + 1
        self._journal.step(self.done, {**values, "skipped": float(machine.skipped)} if machine.skipped else values)
        return asked_to_stop

    def _is_due(self, every: int) -> bool:
        return self.done % every == 0 or self.done == self._steps

    def _validate(self) -> float | None:
        scores = self._stage.validate(self.done)
        self._journal.validation(self.done, scores)
        return scores.get("score")

    def _save(self, score: float | None) -> None:
        if self._machine.is_main:
            stage = self._stage
            folder, extra = self._run.stage(stage.name), {"stage": stage.name}
            save_checkpoint(folder, self.done, stage.networks, stage.optimizers, score, extra)
