"""The folder of a training run::

recipe.json        the whole recipe
run.lock           who trains in it, or was the last to: process, host and start
.train.lock        held while a process trains in it
progress.jsonl     one JSON object a line: losses, validations, how it ended
tensorboard/       the same for TensorBoard
pictures/          validation cases while training: NCCT, synthetic, real
autoencoder/, denoiser/   checkpoints
model/             the finished model
"""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout
from S2LDMLib.errors import InputError
from S2LDMLib.model.config_files import save_config

from ..recipe import Recipe, read_recipe

RECIPE, HOLDER, LOCK, PROGRESS = "recipe.json", "run.lock", ".train.lock", "progress.jsonl"
# What may differ when a run is resumed; anything else would make it another run.
FREE_KEYS = {
    "name", "preset", "notes", "store", "workers", "keep", "checkpoint_every", "validate_every", "validation_cases",
    "learning_rate", "clip",
}  # fmt: skip


class RunFolder:
    """A run's folder; a context manager that holds it while the run trains.

    Args:
        folder: need not exist before the run begins.
        owner: whether this process writes; of several processes only the main one does.
    """

    def __init__(self, folder: Path, owner: bool = True) -> None:
        self.folder, self.owner = folder, owner
        self._lock = FileLock(folder / LOCK)

    @property
    def model(self) -> Path:
        """The finished model's folder."""
        return self.folder / "model"

    @property
    def pictures(self) -> Path:
        """The folder of the pictures of validation cases."""
        return self.folder / "pictures"

    def stage(self, name: str) -> Path:
        """The folder of a stage's checkpoints."""
        return self.folder / name

    def check(self, recipe: Recipe, resume: bool) -> None:
        """Refuse to mix two runs, before anything is written.

        Raises:
            InputError: the folder holds something else, another run, or this run without ``resume``.
        """
        if self.folder.exists() and not self.folder.is_dir():
            raise InputError(f"{self.folder} is a file. Give a folder for the run.")
        file = self.folder / RECIPE
        others = [path for path in self.folder.glob("*") if path.name not in (HOLDER, LOCK, "train.log")]
        if not file.exists():
            if others:
                raise InputError(f"{self.folder} is not empty and holds no run. Give a new folder for the run.")
            return
        if not resume:
            raise InputError(f"{self.folder} holds a run already. Go on with --resume, or give a new folder.")
        if changed := _differences(read_recipe(file), recipe):
            raise InputError(
                f"{self.folder} was started with another recipe: {', '.join(changed)}. Use the same preset and --set, "
                "or a new folder."
            )

    def __enter__(self) -> RunFolder:
        """Lock the folder.

        Raises:
            InputError: another process trains in it, or it cannot be written.
        """
        if not self.owner:
            return self
        holder = self.folder / HOLDER
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
            started = {"pid": os.getpid(), "host": socket.gethostname(), "started": time.time()}
            holder.write_text(json.dumps(started), encoding="utf-8")
        except Timeout:
            who = holder.read_text(encoding="utf-8") if holder.exists() else "it has just started"
            raise InputError(
                f"{self.folder} is in use by another run ({who}). Wait for it, or give another folder."
            ) from None
        except OSError as error:
            raise InputError(f"{self.folder} cannot be written ({error.strerror}). Give another folder.") from None
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._lock.release()

    def begin(self, recipe: Recipe) -> None:
        """Write the recipe."""
        if self.owner:
            save_config(recipe, self.folder / RECIPE)

    def log(self, **entry: Any) -> None:
        """Append a line to ``progress.jsonl``."""
        with (self.folder / PROGRESS).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"time": round(time.time(), 3), **entry}) + "\n")


def _differences(old: Any, new: Any, path: str = "") -> list[str]:
    """List the dotted names of the values that differ, less those that may."""
    if not hasattr(old, "__dataclass_fields__"):
        return [] if old == new else [path]
    return [
        name
        for key in old.__dataclass_fields__
        if key not in FREE_KEYS
        for name in _differences(getattr(old, key), getattr(new, key), f"{path}.{key}".lstrip("."))
    ]
