"""The module S2LDMTranslate: its panel on real Qt widgets. A click on the real engine: test_translate_scene.py."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hub_samples import files_of
from hub_server import HubServer
from panel_translate import JobStatus, add_bent_transform, add_volume, count_volumes, run_to_end, slicer
from panel_waiting import is_called, pass_the_time
from S2LDMLib.phantom.scan import PhantomTriple
from S2LDMTranslatePanel.scene import sample_data
from S2LDMTranslatePanel.setup.model_choice import HUB_KIND

pytestmark = pytest.mark.usefixtures("temporary")
Panel = Callable[..., Any]
Errors = list[tuple[str, str]]


def test_cancel_ends_the_job_and_leaves_nothing(with_ct: Panel, temporary: Path) -> None:
    panel = with_ct("hang")
    panel.ui.venousButton.click()
    pass_the_time(lambda: panel.ui.progressBar.value == 25)
    assert panel.ui.statusLabel.text == "Encoding... about 30 s left"
    pass_the_time(lambda: "a library says something" in panel.ui.logTextEdit.plainText)
    panel.ui.cancelButton.click()
    assert panel.logic.translator.job.wait(0) and not is_called(panel.logic.translator, "update")
    assert "Cancelled" in panel.ui.statusLabel.text and panel.ui.progressBar.value == 0
    assert panel.ui.venousButton.enabled and count_volumes() == 1 and list(temporary.iterdir()) == []


def test_a_failure_is_shown_with_its_log_and_never_called_done(with_ct: Panel, errors: Errors) -> None:
    panel = with_ct("crash")
    panel.ui.venousButton.click()
    run_to_end(panel)
    ((message, details),) = errors
    assert panel.ui.statusLabel.text == message and "no phase 'x'" in message
    assert "a library says something" in details
    assert "a library says something" in panel.ui.logTextEdit.plainText
    assert panel.ui.venousButton.enabled and count_volumes() == 1


def test_a_second_click_starts_no_second_process(with_ct: Panel) -> None:
    panel = with_ct("hang")
    panel.ui.venousButton.click()
    job = panel.logic.translator.job
    panel.ui.venousButton.click()
    panel.ui.arterialButton.click()
    assert panel.logic.translator.job is job and "A job is running" in panel.ui.arterialButton.toolTip


def test_closing_the_scene_in_mid_run_ends_the_run(with_ct: Panel, temporary: Path) -> None:
    panel = with_ct("hang")
    panel.ui.venousButton.click()
    pass_the_time(lambda: panel.ui.progressBar.value == 25)
    slicer.mrmlScene.Clear(0)
    assert not panel.logic.translator.is_running and list(temporary.iterdir()) == []
    pass_the_time(lambda: not is_called(panel.logic.translator, "update"))
    assert count_volumes() == 0 and not panel.ui.venousButton.enabled


def test_closing_the_module_in_mid_run_ends_the_run(with_ct: Panel, temporary: Path) -> None:
    panel = with_ct("hang")
    panel.ui.venousButton.click()
    pass_the_time(lambda: panel.ui.progressBar.value == 25)
    panel.cleanup()
    assert panel.logic.translator.job.wait(0) and list(temporary.iterdir()) == []
    assert not is_called(panel.logic.translator, "update")


def test_a_run_goes_on_while_another_module_is_open(with_ct: Panel) -> None:
    panel = with_ct("silent")
    panel.ui.venousButton.click()
    panel.exit()
    run_to_end(panel)
    assert panel.logic.translator.job.state.status is JobStatus.FAILED
    panel.enter()
    assert panel.ui.venousButton.enabled


def test_a_parameter_that_changes_just_when_the_job_ends_loses_nothing(with_ct: Panel, errors: Errors) -> None:
    panel = with_ct("silent")
    panel.ui.venousButton.click()
    assert panel.logic.translator.job.wait(30)
    panel.ui.blendSlider.value = 50
    assert not errors
    pass_the_time(lambda: errors)
    assert not is_called(panel.logic.translator, "update") and len(errors) == 1


def test_a_new_region_lies_over_the_input(opened: Panel, phantom: PhantomTriple) -> None:
    from S2LDMTranslatePanel.scene.region_box import region_of

    volume, panel = add_volume(phantom.ncct), opened("nothing")
    region = panel.ui.regionSelector.addNode()
    assert panel.logic.getParameterNode().region is region
    box = region_of(region, volume)
    assert box == pytest.approx((-100, 100, -84, 84, -15, 15), abs=2)


def test_a_bent_volume_is_translated_as_a_hardened_copy_if_that_is_wanted(
    opened: Panel, phantom: PhantomTriple, errors: Errors, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = add_volume(phantom.ncct)
    volume.SetAndObserveTransformNodeID(add_bent_transform().GetID())
    panel, questions = opened("hang"), []
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda text, title: questions.append(text))
    panel.ui.venousButton.click()
    assert "non-linear transform" in questions[0] and count_volumes() == 1
    assert "Nothing was translated" in errors[0][0] and not panel.logic.translator.is_running
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda text, title: True)
    panel.ui.venousButton.click()
    assert panel.ui.inputVolumeSelector.currentNode().GetName() == "CT hardened"
    assert panel.logic.translator.is_running and volume.GetTransformNodeID()


def test_a_question_is_asked_once_and_no_ends_the_job(with_ct: Panel, monkeypatch: pytest.MonkeyPatch) -> None:
    panel, questions = with_ct("enhanced"), []

    def ask(text: str, title: str) -> bool:
        questions.append(text)
        for _ in range(20):  # the dialog lets the timer go on
            time.sleep(0.02)
            slicer.app.processEvents()
        return False

    monkeypatch.setattr(slicer.util, "confirmYesNoDisplay", ask)
    panel.ui.venousButton.click()
    run_to_end(panel)
    assert len(questions) == 1 and "Translate it nevertheless?" in questions[0]
    assert "Cancelled" in panel.ui.statusLabel.text


def test_a_model_of_the_hub_is_fetched_on_request_and_then_used_offline(
    with_ct: Panel, small_model: Path, server: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine's process talks to the test Hub, and the panel looks into the same cache."""
    from huggingface_hub import constants

    commit = server.repo("lab/model", files_of(small_model) | {"README.md": b"---\nlicense: mit\n---\n# M\n"})
    monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
    monkeypatch.setenv("HF_HUB_CACHE", constants.HF_HUB_CACHE)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    questions: list[str] = []
    monkeypatch.setattr(slicer.util, "confirmYesNoDisplay", lambda text, title: questions.append(text) or True)
    panel = with_ct()
    panel.ui.modelKindComboBox.currentText = HUB_KIND
    assert "is no repository" in panel.ui.statusLabel.text
    panel.ui.modelRepositoryLineEdit.text = "lab/model"
    assert "lab/model is not on this computer" in panel.ui.statusLabel.text
    panel.ui.offlineCheckBox.checked = True
    assert not panel.ui.downloadButton.enabled
    panel.ui.offlineCheckBox.checked = False
    panel.ui.downloadButton.click()
    run_to_end(panel)
    assert len(questions) == 1 and "Licence: mit" in questions[0] and commit in questions[0]
    assert constants.HF_HUB_CACHE in questions[0] and " MB)?" in questions[0]
    assert panel.ui.arterialButton.enabled and f"revision {commit[:10]}" in panel.ui.modelLabel.text
    assert panel.ui.modelLabel.toolTip.startswith(constants.HF_HUB_CACHE)
    assert panel.logic.modelFacts(panel.logic.getParameterNode()).argument == f"lab/model@{commit}"


def test_an_export_asks_for_a_file_and_says_what_was_written(
    opened: Panel, phantom: PhantomTriple, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import qt
    from S2LDMTranslatePanel.jobs.volumes import EngineResult
    from S2LDMTranslatePanel.scene.result_nodes import add_result
    from S2LDMTranslatePanel.scene.source_volume import snapshot

    source = snapshot(add_volume(phantom.ncct))
    panel = opened("nothing")
    panel.logic.getParameterNode().resultVolume = add_result(
        source, EngineResult(source.hu + np.int16(1), {"S2LDM_phase": "venous"})
    )
    names: list[str] = []
    target = tmp_path / "out"

    def choose(parent: Any, title: str, name: str, kind: str) -> tuple[str, str]:
        names.append(Path(name).name)
        return str(target), kind

    monkeypatch.setattr(qt.QFileDialog, "getSaveFileName", choose)
    monkeypatch.setattr(slicer.util, "mainWindow", lambda: None)
    panel.ui.exportNiftiButton.click()
    assert names == ["CT SYNTHETIC venous.nii.gz"] and (tmp_path / "out.nii.gz").is_file()
    assert str(tmp_path / "out.json") in panel.ui.statusLabel.text
    target = tmp_path / "absent" / "out"
    panel.ui.exportNrrdButton.click()
    assert "does not exist" in panel.ui.statusLabel.text
    monkeypatch.setattr(qt.QFileDialog, "getSaveFileName", lambda *_: ("", ""))
    panel.ui.exportNrrdButton.click()
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["out.json", "out.nii.gz"]


def test_the_sample_is_registered_and_made_without_a_network(
    monkeypatch: pytest.MonkeyPatch, phantom: PhantomTriple
) -> None:
    import S2LDMLib.phantom.scan as library

    slicer.app.complete_startup()
    import SampleData

    source = next(each for each in SampleData.sources["S2LDM"] if each.sampleName == "S2LDM phantom NCCT")
    assert source.customDownloader is sample_data.make_sample
    made = []
    monkeypatch.setattr(library, "make_phantom", lambda seed: made.append(seed) or phantom)  # a small one, for time
    monkeypatch.setattr(slicer.util, "setSliceViewerLayers", lambda **_: None)  # needs views
    node = SampleData.SampleDataLogic.click("S2LDM", "S2LDM phantom NCCT")
    assert made == [0] and node.GetName() == "S2LDM phantom NCCT"
    assert node.GetOrigin() == pytest.approx((-phantom.ncct.GetOrigin()[0], -phantom.ncct.GetOrigin()[1], -27.5))


def test_what_the_module_says_of_itself() -> None:
    parent = slicer.modules.s2ldmtranslate
    assert "S2LDM" in parent.title and parent.categories == ["Image Synthesis"]
    assert "not for diagnosis" in parent.helpText and "2406.13977" in parent.acknowledgementText


def test_errors_at_the_click_are_logged_as_slicer_does(
    opened: Panel, phantom: PhantomTriple, caplog: pytest.LogCaptureFixture
) -> None:
    volume = add_volume(phantom.ncct)
    panel = opened("nothing")
    panel.logic.getParameterNode().region = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "R")
    with caplog.at_level(logging.ERROR):
        panel.ui.venousButton.click()
    assert "The region R is not placed" in caplog.text and "not placed" in panel.ui.statusLabel.text
    assert not panel.logic.translator.is_running and volume.GetName() == "CT"
