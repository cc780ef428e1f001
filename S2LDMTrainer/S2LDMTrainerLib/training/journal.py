"""What a run tells while it trains: a bar or JSON lines, ``progress.jsonl``, and TensorBoard.

Only the main process has a journal that writes.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
from PIL import Image
from S2LDMLib.commands.console import Bar

from .run_folder import RunFolder

EVERY_S = 1.0
SMOOTHING = 0.97


class Journal:
    """Tells smoothed losses at most once a second, and every validation and picture."""

    def __init__(self, run: RunFolder, kind: str, writes: bool) -> None:
        self.run, self.kind, self.writes = run, kind if writes else "none", writes
        self._stage, self._steps, self._first = "", 0, 0
        self._bar: Bar | None = None

    def open(self) -> None:
        """Begin to write into the run's folder."""
        if self.writes:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(self.run.folder / "tensorboard"))

    def start_stage(self, stage: str, step: int, steps: int) -> None:
        """Note that a stage of so many steps begins, or goes on after ``step`` of them."""
        self._stage, self._steps, self._first = stage, steps, step
        self._begun = self._told = time.monotonic()
        self._smooth: dict[str, float] = {}
        if step:
            self.say(f"{stage}: going on from step {step} of {steps}")

    def step(self, step: int, values: dict[str, float]) -> None:
        """Note a finished step."""
        for name, value in values.items():
            self._smooth[name] = SMOOTHING * self._smooth.get(name, value) + (1 - SMOOTHING) * value
        now = time.monotonic()
        if not self.writes or (now - self._told < EVERY_S and step < self._steps):
            return
        self._told = now
        remaining = (now - self._begun) / (step - self._first) * (self._steps - step)
        values = {name: round(value, 6) for name, value in self._smooth.items()}
        entry = {"stage": self._stage, "step": step, "steps": self._steps, "remaining_s": round(remaining, 1)}
        self.run.log(**entry, values=values)
        for name, value in values.items():
            self._board.add_scalar(f"{self._stage}/{name}", value, step)
        if self.kind == "json":
            print(json.dumps({**entry, "values": values}), flush=True)
        elif self.kind == "bar":
            self._show(step, remaining, values)

    def _show(self, step: int, remaining: float, values: dict[str, float]) -> None:
        self._bar = self._bar or Bar(self._steps, f"{self._stage} ")
        minutes, seconds = divmod(round(remaining), 60)
        losses = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
        self._bar.show(step, f"{step}/{self._steps}  {minutes}:{seconds:02d} left  {losses}")
        if step == self._steps:
            self._close_bar()

    def _close_bar(self) -> None:
        if self._bar:
            self._bar.close()
        self._bar = None

    def validation(self, step: int, scores: dict[str, float]) -> None:
        """Note scores of the validation cases."""
        if not self.writes or not scores:
            return
        self.run.log(stage=self._stage, step=step, validation={k: round(v, 6) for k, v in scores.items()})
        for name, value in scores.items():
            self._board.add_scalar(f"{self._stage}/validation/{name}", value, step)
        self.say(f"{self._stage} {step}: validation " + "  ".join(f"{k} {v:.4g}" for k, v in scores.items()))

    def picture(self, name: str, step: int, picture: Image.Image) -> Path:
        """Keep a picture of this step, and show it in TensorBoard."""
        self.run.pictures.mkdir(exist_ok=True)
        file = self.run.pictures / f"{name}_{step:08d}.png"
        picture.save(file)
        self._board.add_image(name, np.asarray(picture.convert("RGB")), step, dataformats="HWC")
        return file

    def end(self, event: str, message: str) -> None:
        """Note how the run ended: ``done``, ``failed`` or ``cancelled``."""
        self._close_bar()
        if self.writes:
            self.run.log(event=event, message=message)
            self._board.close()

    def say(self, line: str) -> None:
        """Tell something in words."""
        if self.kind == "json":
            print(json.dumps({"message": line}), flush=True)
        elif self.kind == "bar":
            Bar.write(line)
