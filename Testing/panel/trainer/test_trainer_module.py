"""The module S2LDMTrainer: its panel on real Qt widgets."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer_standin
from trainer_panel import (
    RunStatus,
    columns,
    count_nodes,
    ended_afterwards,
    find_holder,
    launch_detached,
    launch_tiny,
    make_plan,
    run_status,
    slicer,
    step,
    trainer,
    wait_for,
    write,
)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Path]:
    """A run folder that does not exist yet."""
    with ended_afterwards(tmp_path / "run") as folder:
        yield folder


@pytest.fixture
def plan(tmp_path: Path) -> Callable[..., Path]:
    """Says how the tiny training goes; returns its data folder."""
    return partial(make_plan, tmp_path / "prepared")


@pytest.fixture
def panel(monkeypatch: pytest.MonkeyPatch, run: Path, plan: Callable[..., Path]) -> Iterator[Any]:
    """The panel as it opens, with folders chosen, over the tiny training."""
    monkeypatch.setattr(trainer.S2LDMTrainerLogic.__init__, "__defaults__", (launch_tiny,))
    widget = slicer_standin.open_panel(trainer)
    widget.ui.dataFolderPathLineEdit.currentPath = str(plan())
    widget.ui.runFolderPathLineEdit.currentPath = str(run)
    yield widget
    widget.cleanup()


def poll(panel: Any, status: RunStatus) -> None:
    """Let the panel's timer work until the run is in this state."""
    panel._timer.setInterval(20)

    def arrived() -> bool:
        slicer.app.processEvents()
        return panel.logic.update().status is status

    wait_for(arrived)
    panel.onTimer()


def test_every_control_drives_its_parameter_and_back(panel: Any, tmp_path: Path) -> None:
    node = panel.logic.getParameterNode()
    for name, edit in (("dataFolder", panel.ui.dataFolderPathLineEdit), ("runFolder", panel.ui.runFolderPathLineEdit)):
        edit.currentPath = str(tmp_path / "typed")
        assert getattr(node, name) == tmp_path / "typed"
        setattr(node, name, tmp_path / "set")
        assert edit.currentPath == str(tmp_path / "set")
    panel.ui.presetComboBox.currentText = "paper"
    assert node.preset == "paper"
    node.preset = "demo"
    assert panel.ui.presetComboBox.currentText == "demo"


def test_the_presets_are_those_of_the_trainer(panel: Any) -> None:
    from S2LDMTrainerLib.recipe import preset_names

    offered = [panel.ui.presetComboBox.itemText(index) for index in range(panel.ui.presetComboBox.count)]
    assert sorted(offered) == preset_names()
    assert panel.ui.presetComboBox.currentText == offered[0] == "default"


def test_a_preset_that_is_gone_becomes_the_default_one(panel: Any) -> None:
    panel.exit()
    slicer.mrmlScene.GetSingletonNode("S2LDMTrainer", "vtkMRMLScriptedModuleNode").SetParameter("preset", "of old")
    panel.enter()
    assert panel.ui.presetComboBox.currentText == "default"


def test_start_waits_for_prepared_data(panel: Any, plan: Callable[..., Path], tmp_path: Path) -> None:
    assert panel.ui.startButton.enabled and panel.ui.statusLabel.text == "Ready to start."
    panel.ui.dataFolderPathLineEdit.currentPath = str(tmp_path)
    assert not panel.ui.startButton.enabled
    assert "holds no prepared data" in panel.ui.statusLabel.text
    assert panel.ui.startButton.toolTip == panel.ui.statusLabel.text
    assert not panel.ui.stopButton.enabled and not panel.ui.lossCurvesButton.enabled


def test_a_run_is_started_watched_stopped_and_resumed_by_clicks(panel: Any, plan: Callable[..., Path]) -> None:
    plan("forever", steps=100)
    assert panel.ui.startButton.text == "Start"
    panel.ui.startButton.click()
    assert not panel.ui.startButton.enabled and panel.ui.stopButton.enabled
    wait_for(lambda: panel.logic.update().step > 2)
    panel.onTimer()
    assert panel.ui.statusLabel.text.startswith("autoencoder: step ")
    assert panel.ui.progressBar.maximum == 100 and panel.ui.progressBar.value > 2
    assert "step 2" in panel.ui.logTextEdit.plainText
    assert not panel.ui.presetComboBox.enabled
    panel.ui.stopButton.click()
    assert panel.ui.stopButton.text == "Stop at once"
    poll(panel, RunStatus.CANCELLED)
    assert panel.ui.statusLabel.text == "Stopped. It can go on from its last checkpoint."
    assert panel.ui.startButton.enabled and panel.ui.startButton.text == "Resume"
    assert not panel.ui.stopButton.enabled
    plan("done", steps=5)
    panel.ui.startButton.click()
    poll(panel, RunStatus.DONE)
    assert panel.ui.statusLabel.text == f"Done. The model is in {panel.logic.getParameterNode().runFolder / 'model'}"
    assert panel.ui.progressBar.value == panel.ui.progressBar.maximum == 5
    assert not panel.ui.startButton.enabled and "is finished" in panel.ui.startButton.toolTip


def test_the_log_follows_its_end_unless_somebody_reads_further_up(panel: Any, run: Path) -> None:
    def log_of(lines: int) -> Any:
        run.mkdir(exist_ok=True)
        (run / "train.log").write_text("".join(f"line {number}\n" for number in range(lines)))
        panel.onTimer()
        return panel.ui.logTextEdit.verticalScrollBar()

    bar = log_of(100)
    assert bar.value == bar.maximum > 0
    log_of(150)
    assert bar.value == bar.maximum
    bar.setValue(3)
    log_of(160)
    assert bar.value == 3


def test_a_failure_is_shown_and_never_called_done(panel: Any, plan: Callable[..., Path]) -> None:
    plan("refused")
    panel.ui.startButton.click()
    poll(panel, RunStatus.FAILED)
    assert panel.ui.statusLabel.text == "Failed. The case A is too small. Leave it out."
    assert panel.ui.startButton.enabled and panel.ui.startButton.text == "Start"


def test_an_error_at_the_click_is_shown(
    panel: Any, plan: Callable[..., Path], run: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (plan() / "manifest.json").unlink()
    with caplog.at_level(logging.ERROR):
        panel.ui.startButton.click()
    assert "holds no prepared data" in caplog.text and not run.exists()


def test_a_closed_scene_does_not_disturb_a_run(panel: Any, run: Path, plan: Callable[..., Path]) -> None:
    plan("forever")
    panel.ui.startButton.click()
    wait_for(lambda: panel.logic.update().step > 2)
    slicer.mrmlScene.Clear(0)
    assert panel.ui.runFolderPathLineEdit.currentPath != str(run)  # the new scene's own parameters
    panel.ui.runFolderPathLineEdit.currentPath = str(run)
    panel.onTimer()
    assert panel.ui.stopButton.enabled and panel.logic.lossCurves is not None
    assert count_nodes("vtkMRMLTableNode") == 1


def test_a_run_goes_on_without_the_panel_and_is_found_by_the_next(
    panel: Any, run: Path, plan: Callable[..., Path]
) -> None:
    data = plan("forever")
    panel.ui.startButton.click()
    wait_for(lambda: panel.logic.update().step > 0)
    panel.cleanup()
    assert find_holder(run)
    again = slicer_standin.open_panel(trainer)
    again.ui.dataFolderPathLineEdit.currentPath, again.ui.runFolderPathLineEdit.currentPath = str(data), str(run)
    assert again.ui.stopButton.enabled and not again.ui.startButton.enabled
    again.ui.stopButton.click()
    poll(again, RunStatus.CANCELLED)
    again.cleanup()


def test_loss_curves_are_shown_in_the_plot_view(panel: Any, run: Path) -> None:
    layouts = slicer.vtkMRMLLayoutLogic()  # makes the views of a layout, as Slicer's layout manager does
    layouts.SetMRMLScene(slicer.mrmlScene)
    write(run, step(1, loss=2.0))
    panel.onTimer()
    assert panel.ui.lossCurvesButton.enabled
    panel.ui.lossCurvesButton.click()
    views = slicer.util.getNodesByClass("vtkMRMLPlotViewNode")
    assert [view.GetPlotChartNode() for view in views] == [panel.logic.lossCurves]


def test_the_panel_polls_by_itself_and_stops_when_it_is_closed(panel: Any, run: Path) -> None:
    panel._timer.setInterval(10)
    write(run, step(7, loss=2.0))
    wait_for(lambda: slicer.app.processEvents() or panel.ui.progressBar.value == 7)
    panel.cleanup()
    assert not panel._timer.active


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, ""), (5, ", less than a minute left"), (150, ", about 2 min left"), (7300, ", about 2 h 2 min left")],
)
def test_remaining_time_is_as_precise_as_it_can_be(seconds: float | None, text: str) -> None:
    assert trainer.remainingText(seconds) == text


def test_what_the_module_says_of_itself() -> None:
    parent = slicer.modules.s2ldmtrainer
    assert parent.title == "Synthetic Contrast CT Trainer (S2LDM)"
    assert (parent.categories, parent.dependencies) == (["Image Synthesis"], ["S2LDMTranslate"])
    assert not parent.icon.isNull() and "not for diagnosis" in parent.helpText
    assert parent.icon.availableSizes()[0].toTuple() == (128, 128)


def test_the_module_passes_its_own_test() -> None:
    trainer.S2LDMTrainerTest().runTest()


SHORT = {
    "autoencoder_training.schedule.steps": 40,
    "autoencoder_training.schedule.batch": 2,
    "autoencoder_training.crop": [1, 32, 32],
    "diffusion_training.schedule.steps": 30,
    "diffusion_training.crop": [3, 32, 32],
    "diffusion_training.chunks": 2,
    "diffusion_training.chunk": 4,
}


@pytest.mark.slow
def test_a_real_training_is_started_stopped_and_resumed_by_clicks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, run: Path
) -> None:
    data = tmp_path / "phantoms"
    prepare = ["prepare", str(data), "--phantoms", "3", "--phantom-size", "64", "64", "8", "--progress", "none"]
    subprocess.run([sys.executable, "-m", "S2LDMTrainerLib", *prepare], check=True)

    def launch_short(command: Sequence[str], environment: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
        changes = [word for key, value in SHORT.items() for word in ("--set", f"{key}={json.dumps(value)}")]
        return launch_detached([*command, *([] if "--resume" in command else changes)], environment, log)

    monkeypatch.setattr(trainer.S2LDMTrainerLogic.__init__, "__defaults__", (launch_short,))
    panel = slicer_standin.open_panel(trainer)
    panel.ui.dataFolderPathLineEdit.currentPath, panel.ui.runFolderPathLineEdit.currentPath = str(data), str(run)
    panel.ui.presetComboBox.currentText = "demo"
    panel.ui.startButton.click()
    wait_for(lambda: panel.logic.update().step > 2, 120)
    panel.onTimer()
    panel.ui.stopButton.click()
    wait_for(lambda: run_status(panel.logic) is RunStatus.CANCELLED, 60)
    assert panel.logic.update().stage == "autoencoder"
    panel.onTimer()
    assert panel.ui.startButton.text == "Resume"
    panel.ui.startButton.click()
    wait_for(lambda: not panel.logic.update().is_running, 240)
    panel.onTimer()
    assert panel.ui.statusLabel.text == f"Done. The model is in {run / 'model'}", panel.logic.log()
    assert (run / "model" / "config.json").is_file()
    autoencoder = columns(slicer.util.getNode("S2LDM autoencoder training"))
    assert autoencoder["step"] == sorted(set(autoencoder["step"])) and autoencoder["step"][-1] == 40
    assert np.isfinite(columns(panel.logic.lossCurves)["loss"]).all()
    assert columns(slicer.util.getNode("S2LDM denoiser validation"))["step"] == [30]
    panel.cleanup()
