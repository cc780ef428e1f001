"""The loop of a stage, with a stage that learns nothing."""

from __future__ import annotations

from pathlib import Path

import torch
from S2LDMTrainerLib.recipe import Schedule
from S2LDMTrainerLib.training.checkpoint import save_checkpoint
from S2LDMTrainerLib.training.journal import Journal
from S2LDMTrainerLib.training.loop import run_stage
from S2LDMTrainerLib.training.machine import Machine
from S2LDMTrainerLib.training.run_folder import RunFolder


class Counting:
    """A stage whose one weight is the number of its steps; each is better than the one before."""

    name = "autoencoder"
    schedule = Schedule(steps=2, validate_every=1, keep="best")

    def __init__(self) -> None:
        self.weight = torch.nn.Linear(1, 1, bias=False)
        self.networks = {"model": self.weight}
        self.optimizers: dict[str, torch.optim.Optimizer] = {}
        self.set(0)

    def set(self, steps: float) -> None:
        torch.nn.init.constant_(self.weight.weight, steps)

    def begin(self, step: int) -> None: ...

    def train_step(self, step: int) -> dict[str, float]:
        self.set(step + 1)
        return {}

    def validate(self, step: int) -> dict[str, float]:
        return {"score": -float(step)}


def save(run: RunFolder, steps: int) -> None:
    stage = Counting()
    stage.set(steps)
    save_checkpoint(run.stage(stage.name), steps, stage.networks, {}, -float(steps), {})


class BesideASlowOne(Machine):
    """Seen from a process that is not the main one, which saves its last checkpoint late."""

    is_main = False

    def __init__(self, run: RunFolder) -> None:
        super().__init__("cpu", "fp32", 1)
        self.run = run

    def wait(self) -> None:
        save(self.run, 2)


def test_every_process_goes_on_with_the_best_weights_that_the_main_one_has_saved(tmp_path: Path) -> None:
    run, stage = RunFolder(tmp_path, owner=False), Counting()
    save(run, 1)
    run_stage(stage, run, BesideASlowOne(run), Journal(run, "none", False), lambda: False)
    assert stage.weight.weight.item() == 2
    assert [folder.name for folder in run.stage(stage.name).iterdir()] == ["step_00000002"]
