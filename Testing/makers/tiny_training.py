"""A training without the learning: what ``s2ldm-train train DATA RUN --preset NAME [--resume]`` leaves in a run folder.

The lock, the recipe and the progress file are written by the trainer's own code. DATA/manifest.json says how it goes::

    {"steps": 3, "step_s": 0.05, "end": "done"}     or "failed", "refused" (bad input), "forever"
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from S2LDMLib.commands.console import common_options, run_command
from S2LDMLib.errors import Cancelled, InputError, S2LDMError
from S2LDMTrainerLib.recipe import load_preset
from S2LDMTrainerLib.training.run_folder import RunFolder


def train(args: argparse.Namespace, should_cancel: Callable[[], bool]) -> int:
    """Count steps as the manifest asks for."""
    plan = json.loads((args.data / "manifest.json").read_text(encoding="utf-8"))
    recipe, run = load_preset(args.preset), RunFolder(args.run)
    run.check(recipe, args.resume)
    if plan["end"] == "refused":
        raise InputError("The case A is too small. Leave it out.")
    with run:
        run.begin(recipe)
        try:
            count(run, plan, should_cancel)
        except S2LDMError as error:
            run.log(event="cancelled" if isinstance(error, Cancelled) else "failed", message=str(error))
            raise
        run.log(event="done", message=str(run.model))
    return 0


def count(run: RunFolder, plan: dict, should_cancel: Callable[[], bool]) -> None:
    """A line for each step, until the end that was planned."""
    step = 0
    while step < plan["steps"] or plan["end"] == "forever":
        step += 1
        left = max(0, plan["steps"] - step) * plan["step_s"]
        run.log(stage="autoencoder", step=step, steps=plan["steps"], remaining_s=left, values={"loss": 1 / step})
        print(f"step {step}", flush=True)
        if should_cancel():
            raise Cancelled(f"Stopped after step {step}. Go on with --resume.")
        time.sleep(plan["step_s"])
    if plan["end"] == "failed":
        raise S2LDMError("The disk is full. Make room and resume.")


def main() -> int:
    parser = argparse.ArgumentParser(prog="s2ldm-train", parents=[common_options()])
    parser.add_argument("command_name", choices=["train"])
    parser.add_argument("data", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--preset", required=True)
    parser.add_argument("--resume", action="store_true")
    parser.set_defaults(command=train)
    return run_command(parser, None)


if __name__ == "__main__":
    sys.exit(main())
