"""The module S2LDMTrainer run as a script."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_training
from panel_trainer import PATHS, SCRIPT
from panel_waiting import wait_for


def as_script(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    """``Slicer --no-main-window --python-script S2LDMTrainer.py ...``"""
    environment = {**os.environ, "PYTHONPATH": PATHS}
    command = [sys.executable, "-m", "slicer_standin", str(SCRIPT), *arguments]
    return subprocess.Popen(command, env=environment, text=True, stdout=-1, stderr=-1, cwd="/", **options)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--version"], 0, "s2ldm-train 0."),
        (["train"], 2, "the following arguments are required"),
        (["prepare", "/nothing", "/nothing/out"], 2, "/nothing"),
    ],
    ids=["done", "usage", "input"],
)
def test_the_script_does_what_the_command_line_does(arguments: list[str], code: int, said: str) -> None:
    script = as_script(*arguments)
    direct = subprocess.run([sys.executable, "-m", "S2LDMTrainerLib", *arguments], text=True, capture_output=True)
    out, error = script.communicate(timeout=60)
    assert said in out + error
    assert script.returncode == direct.returncode == code
    assert out == direct.stdout and direct.stderr in error


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_to_the_script_reach_the_run(number: signal.Signals, plan: Callable[..., Path], run: Path) -> None:
    code = (
        "import os, sys; sys.path[:0] = sys.argv[1].split(os.pathsep); from S2LDMTrainerPanel import headless\n"
        "headless.trainer_command = lambda arguments: [sys.executable, *arguments]\n"
        "sys.exit(headless.run_command_line(sys.argv[2:]))"
    )
    arguments = [tiny_training.__file__, "train", str(plan("forever")), str(run), "--preset", "demo"]
    process = subprocess.Popen([sys.executable, "-c", code, PATHS, *arguments], stdout=subprocess.DEVNULL)
    wait_for(lambda: (run / "progress.jsonl").is_file())
    process.send_signal(number)
    assert process.wait(timeout=20) == 130
    assert json.loads((run / "progress.jsonl").read_text().splitlines()[-1])["event"] == "cancelled"
