"""What the tests of the module S2LDMTrainer share: the loaded module, a tiny training behind it, readers of its nodes.

Importing it skips the test file where slicer-core or Qt cannot be had.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import slicer_standin
import tiny_training

if reason := slicer_standin.why_unavailable():
    pytest.skip(reason, allow_module_level=True)

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "S2LDMTrainer"
SCRIPT = MODULE / "S2LDMTrainer.py"
# In Slicer, sys.path holds the folders of all modules.
PATHS = os.pathsep.join(map(str, (MODULE, ROOT / "S2LDMTranslate", ROOT / "Testing")))

slicer = slicer_standin.start()
slicer_standin.load_module(ROOT / "S2LDMTranslate" / "S2LDMTranslate.py", "S2LDMTranslate")  # the trainer's dependency
trainer = slicer_standin.load_module(SCRIPT, "S2LDMTrainer")
from S2LDMTrainerPanel.run_monitor import RunStatus  # noqa: E402
from S2LDMTrainerPanel.run_process import find_holder, launch_detached  # noqa: E402


def launch_tiny(command: Sequence[str], environment: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    """The tiny training in place of the real one, with the arguments of the real one."""
    library = command.index("S2LDMTrainerLib")
    return launch_detached([command[0], tiny_training.__file__, *command[library + 1 :]], environment, log)


def make_plan(folder: Path, end: str = "done", steps: int = 3, step_s: float = 0.01) -> Path:
    """A data folder which says how the tiny training goes."""
    folder.mkdir(exist_ok=True)
    (folder / "manifest.json").write_text(json.dumps({"end": end, "steps": steps, "step_s": step_s}))
    return folder


@contextmanager
def ended_afterwards(run: Path) -> Iterator[Path]:
    """Ends what trains in a run folder, and clears the scene."""
    try:
        yield run
    finally:
        if holder := find_holder(run):
            os.kill(holder.pid, signal.SIGKILL)
        slicer.mrmlScene.Clear(0)


def run_status(logic: Any) -> RunStatus:
    return logic.update().status


def write(run: Path, *entries: dict[str, Any] | str) -> None:
    """Append lines to the progress file; text is written as it is."""
    run.mkdir(exist_ok=True)
    with (run / "progress.jsonl").open("a", encoding="utf-8") as stream:
        for entry in entries:
            stream.write(entry if isinstance(entry, str) else json.dumps(entry) + "\n")


def step(number: int, stage: str = "autoencoder", **values: float) -> dict[str, Any]:
    """A line of the progress file."""
    return {"time": 0, "stage": stage, "step": number, "steps": 10, "remaining_s": 5.0, "values": values}


def columns(chart: Any) -> dict[str, list[float]]:
    """What a chart draws, read through its series as Slicer's plot view does."""
    drawn = {}
    for index in range(chart.GetNumberOfPlotSeriesNodes()):
        series = chart.GetNthPlotSeriesNode(index)
        table = series.GetTableNode()
        drawn["step"] = list(slicer.util.arrayFromTableColumn(table, series.GetXColumnName()))
        drawn[series.GetYColumnName()] = list(slicer.util.arrayFromTableColumn(table, series.GetYColumnName()))
    return drawn


def count_nodes(kind: str) -> int:
    return slicer.mrmlScene.GetNumberOfNodesByClass(kind)
