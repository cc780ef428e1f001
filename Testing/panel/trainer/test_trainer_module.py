"""The module S2LDMTrainer: its panel on real Qt widgets."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer_standin
from panel_trainer import (
    RunStatus,
    columns,
    count_nodes,
    find_holder,
    launch_detached,
    launch_tiny,
    run_status,
    slicer,
    step,
    trainer,
    write,
)
from panel_waiting import is_called, pass_the_time, wait_for

Plan = Callable[..., Path]


@pytest.fixture
def panel(monkeypatch: pytest.MonkeyPatch, run: Path, plan: Plan) -> Iterator[Any]:
    """The panel as it opens, with folders chosen, over the tiny training."""
    monkeypatch.setattr(trainer.S2LDMTrainerLogic.__init__, "__defaults__", (launch_tiny,))
    monkeypatch.setattr(trainer, "POLL_MS", 20)
    widget = open_panel(plan(), run)
    yield widget
    widget.cleanup()


def open_panel(data: Path, run: Path) -> Any:
    widget = slicer_standin.open_panel(trainer)
    widget.ui.dataFolderPathLineEdit.currentPath, widget.ui.runFolderPathLineEdit.currentPath = str(data), str(run)
    return widget


def poll(panel: Any, status: RunStatus) -> None:
    """Let the panel's timer work until the run is in this state."""
    pass_the_time(lambda: run_status(panel.logic) is status)
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


def test_start_waits_for_prepared_data(panel: Any, plan: Plan, tmp_path: Path) -> None:
    assert panel.ui.startButton.enabled and "Ready" in panel.ui.statusLabel.text
    panel.ui.dataFolderPathLineEdit.currentPath = str(tmp_path)
    assert not panel.ui.startButton.enabled
    assert "holds no prepared data" in panel.ui.statusLabel.text
    assert panel.ui.startButton.toolTip == panel.ui.statusLabel.text
    assert not panel.ui.stopButton.enabled and not panel.ui.lossCurvesButton.enabled


def test_a_run_is_started_watched_stopped_and_resumed_by_clicks(panel: Any, plan: Plan) -> None:
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
    assert panel.ui.statusLabel.text.startswith("Stopped.")
    assert panel.ui.startButton.enabled and panel.ui.startButton.text == "Resume"
    assert not panel.ui.stopButton.enabled
    plan("done", steps=5)
    panel.ui.startButton.click()
    poll(panel, RunStatus.DONE)
    assert str(panel.logic.getParameterNode().runFolder / "model") in panel.ui.statusLabel.text
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


def test_a_failure_is_shown_and_never_called_done(panel: Any, plan: Plan) -> None:
    plan("refused")
    panel.ui.startButton.click()
    poll(panel, RunStatus.FAILED)
    assert panel.ui.statusLabel.text.startswith("Failed.") and "case A is too small" in panel.ui.statusLabel.text
    assert panel.ui.startButton.enabled and panel.ui.startButton.text == "Start"


def test_an_error_at_the_click_is_shown(panel: Any, plan: Plan, run: Path, caplog: pytest.LogCaptureFixture) -> None:
    (plan() / "manifest.json").unlink()
    with caplog.at_level(logging.ERROR):
        panel.ui.startButton.click()
    assert "holds no prepared data" in caplog.text and not run.exists()


def test_a_closed_scene_does_not_disturb_a_run(panel: Any, run: Path, plan: Plan) -> None:
    plan("forever")
    panel.ui.startButton.click()
    wait_for(lambda: panel.logic.update().step > 2)
    slicer.mrmlScene.Clear(0)
    assert panel.ui.runFolderPathLineEdit.currentPath != str(run)  # the new scene's own parameters
    panel.ui.runFolderPathLineEdit.currentPath = str(run)
    panel.onTimer()
    assert panel.ui.stopButton.enabled and panel.logic.lossCurves is not None
    assert count_nodes("vtkMRMLTableNode") == 1


def test_a_run_goes_on_without_the_panel_and_is_found_by_the_next(panel: Any, run: Path, plan: Plan) -> None:
    data = plan("forever")
    panel.ui.startButton.click()
    wait_for(lambda: panel.logic.update().step > 0)
    panel.cleanup()
    assert find_holder(run)
    again = open_panel(data, run)
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
    write(run, step(7, loss=2.0))
    pass_the_time(lambda: panel.ui.progressBar.value == 7)
    assert is_called(panel.logic, "update")
    panel.cleanup()
    assert not is_called(panel.logic, "update")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, ""), (5, ", less than a minute left"), (150, ", about 2 min left"), (7300, ", about 2 h 2 min left")],
)
def test_remaining_time_is_as_precise_as_it_can_be(seconds: float | None, text: str) -> None:
    assert trainer.remainingText(seconds) == text


def test_what_the_module_says_of_itself() -> None:
    parent = slicer.modules.s2ldmtrainer
    assert (parent.categories, parent.dependencies) == (["Image Synthesis"], ["S2LDMTranslate"])
    assert "S2LDM" in parent.title and "not for diagnosis" in parent.helpText


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
    panel = open_panel(data, run)
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
    assert panel.ui.statusLabel.text.startswith("Done."), panel.logic.log()
    assert (run / "model" / "config.json").is_file()
    autoencoder = columns(slicer.util.getNode("S2LDM autoencoder training"))
    assert autoencoder["step"] == sorted(set(autoencoder["step"])) and autoencoder["step"][-1] == 40
    assert np.isfinite(columns(panel.logic.lossCurves)["loss"]).all()
    assert columns(slicer.util.getNode("S2LDM denoiser validation"))["step"] == [30]
    panel.cleanup()
