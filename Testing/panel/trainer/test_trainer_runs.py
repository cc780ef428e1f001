"""The module S2LDMTrainer without its panel: loss curves in a real MRML scene, and runs as real processes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_training
from filelock import FileLock
from panel_trainer import (
    PATHS,
    RunStatus,
    columns,
    count_nodes,
    find_holder,
    launch_tiny,
    run_status,
    slicer,
    step,
    trainer,
    write,
)
from panel_waiting import wait_for

Plan = Callable[..., Path]


@pytest.fixture
def logic(run: Path) -> Any:
    return watch(run)


def watch(run: Path) -> Any:
    """A logic that has opened a run folder, as a panel does."""
    made = trainer.S2LDMTrainerLogic(launch_tiny)
    made.openRun(run)
    return made


def wait_for_status(logic: Any, status: RunStatus) -> None:
    wait_for(lambda: run_status(logic) is status)


def test_curves_hold_the_numbers_of_the_run(logic: Any, run: Path) -> None:
    write(run, step(1, loss=2.0, vq=0.5), step(2, loss=1.0, vq=0.25))
    state = logic.update()
    assert (state.stage, state.step, state.steps) == ("autoencoder", 2, 10)
    assert columns(logic.lossCurves) == {"step": [1, 2], "loss": [2.0, 1.0], "vq": [0.5, 0.25]}


def test_curves_grow_with_the_file_and_wait_for_the_end_of_a_line(logic: Any, run: Path) -> None:
    write(run, step(1, loss=2.0))
    logic.update()
    chart, line = logic.lossCurves, json.dumps(step(2, loss=1.0))
    write(run, line[:20])
    logic.update()
    assert columns(chart)["step"] == [1]
    write(run, line[20:] + "\n")
    logic.update()
    assert columns(chart) == {"step": [1, 2], "loss": [2.0, 1.0]}
    assert chart.GetYAxisLogScale()
    assert logic.lossCurves is chart and count_nodes("vtkMRMLPlotSeriesNode") == 1


def test_a_value_that_comes_later_is_no_number_before(logic: Any, run: Path) -> None:
    write(run, step(1, loss=2.0), step(2, loss=1.0, adversarial=0.7))
    logic.update()
    drawn = columns(logic.lossCurves)
    assert drawn["loss"] == [2.0, 1.0]
    assert np.isnan(drawn["adversarial"][0]) and drawn["adversarial"][1] == 0.7


def test_a_resumed_run_replaces_the_steps_after_its_checkpoint(logic: Any, run: Path) -> None:
    write(run, *(step(number, loss=float(number)) for number in (2, 4, 6)))
    logic.update()
    write(run, step(3, loss=30.0), step(4, loss=40.0))
    logic.update()
    assert columns(logic.lossCurves) == {"step": [2, 3, 4], "loss": [2.0, 30.0, 40.0]}


def test_stages_and_validation_have_charts_of_their_own(logic: Any, run: Path) -> None:
    write(run, step(1, loss=2.0), {"stage": "autoencoder", "step": 1, "validation": {"psnr": 21.5}})
    write(run, step(1, stage="denoiser", loss=0.3))
    logic.update()
    assert columns(logic.lossCurves) == {"step": [1], "loss": [0.3]}
    names = {slicer.mrmlScene.GetNthNodeByClass(i, "vtkMRMLPlotChartNode").GetName() for i in range(3)}
    assert names == {"S2LDM autoencoder training", "S2LDM autoencoder validation", "S2LDM denoiser training"}
    assert columns(slicer.util.getNode("S2LDM autoencoder validation")) == {"step": [1], "psnr": [21.5]}


def test_lines_that_make_no_sense_are_passed_over(logic: Any, run: Path) -> None:
    write(run, "not JSON\n", "[1]\n", '{"stage": "x"}\n', '{"stage": "x", "step": 1, "values": 3}\n', step(1, loss=2.0))
    assert logic.update().stage == "autoencoder"
    assert columns(logic.lossCurves) == {"step": [1], "loss": [2.0]}


def test_curves_come_back_after_the_scene_was_closed_or_a_node_removed(logic: Any, run: Path) -> None:
    write(run, step(1, loss=2.0), step(2, loss=1.0))
    logic.update()
    for lose in (slicer.mrmlScene.Clear, lambda: slicer.mrmlScene.RemoveNode(logic.lossCurves)):
        lose()
        logic.update()
        assert columns(logic.lossCurves) == {"step": [1, 2], "loss": [2.0, 1.0]}
        assert count_nodes("vtkMRMLPlotChartNode") == count_nodes("vtkMRMLTableNode") == 1


def test_another_run_folder_has_other_curves(logic: Any, run: Path, tmp_path: Path) -> None:
    write(run, step(1, loss=2.0))
    logic.update()
    logic.openRun(tmp_path / "other")
    logic.update()
    assert logic.lossCurves is None and count_nodes("vtkMRMLTableNode") == 0


def test_a_run_made_anew_in_the_same_folder_begins_new_curves(logic: Any, run: Path) -> None:
    write(run, *(step(number, loss=1.0) for number in range(1, 9)))
    logic.update()
    (run / "progress.jsonl").unlink()
    logic.update()
    write(run, step(1, loss=5.0))
    logic.update()
    assert columns(logic.lossCurves) == {"step": [1], "loss": [5.0]}


def test_a_run_is_started_and_done(logic: Any, run: Path, plan: Plan) -> None:
    assert run_status(logic) is RunStatus.EMPTY
    logic.start(plan("done", steps=4), "demo")
    wait_for(lambda: not logic.update().is_running)
    state = logic.update()
    assert (state.status, state.step, state.message) == (RunStatus.DONE, 4, str(run / "model"))
    assert columns(logic.lossCurves)["loss"] == [1, 1 / 2, 1 / 3, 1 / 4]
    assert logic.log().splitlines() == ["step 1", "step 2", "step 3", "step 4"]


def test_a_start_that_is_refused_loses_no_point_of_the_curves(logic: Any, run: Path, plan: Plan) -> None:
    data = plan("forever")
    logic.start(data, "demo")
    wait_for(lambda: logic.update().step > 1)
    written = logic.update().step + 2
    wait_for(lambda: f'"step": {written},' in (run / "progress.jsonl").read_text())
    with pytest.raises(trainer.RunError, match="A run is going on"):
        logic.start(data, "demo")
    steps = columns(logic.lossCurves)["step"] if logic.update() else []
    assert steps[:written] == list(range(1, written + 1))
    logic.stop()
    wait_for_status(logic, RunStatus.CANCELLED)


def test_a_run_is_found_again_and_stopped_by_a_panel_that_did_not_start_it(logic: Any, run: Path, plan: Plan) -> None:
    data = plan("forever")
    logic.start(data, "demo")
    wait_for(lambda: logic.update().step > 2)
    other = watch(run)
    assert run_status(other) is RunStatus.RUNNING
    with pytest.raises(trainer.RunError, match="A run is going on"):
        other.start(data, "demo")
    other.stop()
    wait_for(lambda: run_status(other) is run_status(logic) is RunStatus.CANCELLED)
    assert columns(other.lossCurves) == columns(logic.lossCurves)


def test_a_stopped_run_goes_on_with_its_own_recipe(logic: Any, run: Path, plan: Plan) -> None:
    logic.start(plan("forever"), "demo")
    wait_for(lambda: logic.update().step > 0)
    logic.stop()
    assert run_status(logic) is RunStatus.STOPPING
    wait_for(lambda: not logic.update().is_running)
    assert logic.canResume
    logic.start(plan("done"), "paper")  # which the run would refuse: it was started as demo
    wait_for_status(logic, RunStatus.DONE)


def test_a_run_survives_the_process_that_started_it(run: Path, plan: Plan) -> None:
    code = (
        "import os, sys; sys.path[:0] = sys.argv[1].split(os.pathsep); from pathlib import Path\n"
        "from S2LDMTrainerPanel.run_process import launch_detached, trainer_environment\n"
        "launch_detached(sys.argv[3:], trainer_environment(), Path(sys.argv[2]))"
    )
    command = [sys.executable, tiny_training.__file__, "train", str(plan("forever")), str(run), "--preset", "demo"]
    subprocess.run([sys.executable, "-c", code, PATHS, str(run / "train.log"), *command], check=True)
    logic = watch(run)
    wait_for(lambda: logic.update().step > 2)
    assert run_status(logic) is RunStatus.RUNNING
    logic.stop()
    wait_for_status(logic, RunStatus.CANCELLED)


@pytest.mark.parametrize(("end", "said"), [("failed", "disk is full"), ("refused", "case A is too small")])
def test_a_failed_or_refused_run_says_why(logic: Any, plan: Plan, end: str, said: str) -> None:
    logic.start(plan(end), "demo")
    wait_for_status(logic, RunStatus.FAILED)
    assert said in logic.update().message and logic.canResume == (end == "failed")


def test_a_killed_run_is_interrupted_and_can_go_on(logic: Any, run: Path, plan: Plan) -> None:
    logic.start(plan("forever"), "demo")
    wait_for(lambda: logic.update().step > 0)
    os.kill(json.loads((run / "run.lock").read_text())["pid"], signal.SIGKILL)
    other = watch(run)
    wait_for_status(other, RunStatus.INTERRUPTED)
    other.start(plan("done"), "demo")
    wait_for_status(other, RunStatus.DONE)


@pytest.mark.parametrize("pid", [os.getpid(), 2**22 + 1], ids=["reused", "dead"])
def test_a_lock_that_nobody_holds_is_no_run(logic: Any, run: Path, plan: Plan, pid: int) -> None:
    run.mkdir()
    (run / "run.lock").write_text(json.dumps({"pid": pid, "host": socket.gethostname(), "started": 0}))
    assert run_status(logic) is RunStatus.EMPTY
    with pytest.raises(trainer.RunError, match="nothing to stop"):
        logic.stop()
    logic.start(plan("done"), "demo")
    wait_for_status(logic, RunStatus.DONE)


@pytest.mark.parametrize(
    ("host", "pid", "runs"),
    [(socket.gethostname(), os.getpid(), True), (socket.gethostname(), 2**22 + 1, False), ("elsewhere", 1, False)],
    ids=["alive", "ended", "elsewhere"],
)
def test_before_packages_are_installed_the_process_id_tells(
    run: Path, monkeypatch: pytest.MonkeyPatch, host: str, pid: int, runs: bool
) -> None:
    monkeypatch.setitem(sys.modules, "filelock", None)
    run.mkdir()
    (run / "run.lock").write_text(json.dumps({"pid": pid, "host": host, "started": 0}))
    assert (find_holder(run) is not None) == runs


def test_a_run_asked_twice_to_stop_ends_at_once(logic: Any, plan: Plan) -> None:
    logic.start(plan("forever", step_s=60), "demo")
    wait_for(lambda: logic.update().step == 1)
    logic.stop()
    assert run_status(logic) is RunStatus.STOPPING
    time.sleep(1)  # two signals at the same moment are one
    logic.stop()
    wait_for_status(logic, RunStatus.CANCELLED)


def test_a_run_on_another_machine_is_seen_but_not_stopped_from_here(logic: Any, run: Path) -> None:
    run.mkdir()
    (run / "run.lock").write_text(json.dumps({"pid": 1, "host": "elsewhere", "started": 0}))
    with FileLock(run / ".train.lock"):
        assert run_status(logic) is RunStatus.RUNNING
        with pytest.raises(trainer.RunError, match="on the machine elsewhere"):
            logic.stop()
    assert run_status(logic) is RunStatus.EMPTY


def test_what_cannot_be_started_says_why(logic: Any, run: Path, plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(trainer.RunError, match="holds no prepared data"):
        logic.start(tmp_path / "nothing", "demo")
    assert not run.exists()
    run.write_text("a file")
    with pytest.raises(trainer.RunError, match="is a file"):
        logic.start(plan(), "demo")
    logic.openRun(run / "below")
    with pytest.raises(trainer.RunError, match="cannot be started"):
        logic.start(plan(), "demo")
