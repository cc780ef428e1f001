"""The panel of S2LDMTranslate: every control and its parameter, and what is enabled when."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from panel_translate import add_volume, module, slicer
from S2LDMLib.model.config import PAPER
from S2LDMLib.phantom.scan import PhantomTriple
from S2LDMSlicerLib import dependencies
from S2LDMTranslatePanel.setup.model_choice import FOLDER_KIND, ModelChoice

pytestmark = pytest.mark.usefixtures("temporary")
Panel = Callable[..., Any]


CONTROLS: list[tuple[str, str, Any, Any]] = [
    ("modelKindComboBox", "currentText", "modelKind", FOLDER_KIND),
    ("modelFolderPathLineEdit", "currentPath", "modelFolder", "/some/where"),
    ("modelRepositoryLineEdit", "text", "modelRepository", "lab/model"),
    ("modelRevisionLineEdit", "text", "modelRevision", "v2"),
    ("offlineCheckBox", "checked", "offline", True),
    ("detailComboBox", "currentText", "detail", "model"),
    ("stepsSpinBox", "value", "steps", 4),
    ("seedSpinBox", "value", "seed", 7),
    ("samplesSpinBox", "value", "samples", 3),
    ("deviceComboBox", "currentText", "device", "cpu"),
    ("precisionComboBox", "currentText", "precision", "float32"),
    ("compareViewsComboBox", "currentText", "compareViews", "Axial, coronal and sagittal"),
    ("compareWhenDoneCheckBox", "checked", "compareWhenDone", True),
    ("linkedViewsCheckBox", "checked", "linkedViews", False),
    ("differenceCheckBox", "checked", "showDifference", True),
    ("blendSlider", "value", "blend", 40),
    ("addToDatabaseCheckBox", "checked", "addToDatabase", True),
    ("burnInCheckBox", "checked", "burnIn", True),
    ("anonymizeCheckBox", "checked", "anonymize", True),
    ("patientNameLineEdit", "text", "patientName", "No^One"),
    ("patientIdLineEdit", "text", "patientId", "0"),
    ("studyDescriptionLineEdit", "text", "studyDescription", "Demonstration"),
]


@pytest.mark.parametrize(("widget", "attribute", "parameter", "value"), CONTROLS, ids=[row[0] for row in CONTROLS])
def test_a_control_drives_its_parameter_and_back(
    opened: Panel, widget: str, attribute: str, parameter: str, value: Any
) -> None:
    panel = opened("nothing")
    node, control = panel.logic.getParameterNode(), getattr(panel.ui, widget)
    kind, before = type(getattr(node, parameter)), getattr(node, parameter)
    setattr(control, attribute, value)
    assert getattr(node, parameter) == kind(value) != before
    setattr(node, parameter, before)
    assert kind(getattr(control, attribute)) == before


@pytest.mark.parametrize("name", ["inputVolume", "resultVolume", "outputVolume", "region"])
def test_a_node_selector_drives_its_parameter_and_back(opened: Panel, phantom: PhantomTriple, name: str) -> None:
    panel, node = opened("nothing"), None
    volumes = [add_volume(phantom.ncct, each) for each in ("one", "two")]
    if name != "inputVolume":
        for volume in volumes:
            volume.SetAttribute("S2LDM.synthetic", "1")
            volume.SetAttribute("S2LDM.kind", "result")
    choices = volumes
    if name == "region":
        choices = [slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode") for _ in range(2)]
    panel.enter()
    node, selector = panel.logic.getParameterNode(), getattr(panel.ui, f"{name}Selector")
    selector.setCurrentNode(choices[1])
    assert getattr(node, name) is choices[1]
    setattr(node, name, choices[0])
    assert selector.currentNode() is choices[0]


def test_every_parameter_is_tested_with_its_control() -> None:
    tested = {row[2] for row in CONTROLS} | {"inputVolume", "resultVolume", "outputVolume", "region"}
    assert tested == set(module.S2LDMTranslateParameterNode.__annotations__)


def test_only_results_are_offered_to_compare_and_to_replace(opened: Panel, phantom: PhantomTriple) -> None:
    panel, volume = opened("nothing"), add_volume(phantom.ncct)
    for selector in (panel.ui.resultVolumeSelector, panel.ui.outputVolumeSelector):
        assert selector.findText(volume.GetName()) < 0
    volume.SetAttribute("S2LDM.kind", "result")
    add_volume(phantom.ncct, "another")  # the lists are filled again
    assert panel.ui.outputVolumeSelector.findText(volume.GetName()) > 0
    assert panel.ui.outputVolumeSelector.findText("another") < 0


def test_the_volume_that_is_looked_at_is_preselected(opened: Panel, phantom: PhantomTriple) -> None:
    first, second = add_volume(phantom.ncct, "first"), add_volume(phantom.ncct, "second")
    slicer.app.applicationLogic().GetSelectionNode().SetActiveVolumeID(second.GetID())
    assert opened("nothing").ui.inputVolumeSelector.currentNode() is second
    second.SetAttribute("S2LDM.synthetic", "1")
    assert module.S2LDMTranslateLogic().likelyInput() is first


def test_a_volume_that_is_loaded_while_the_panel_is_open_can_be_translated_at_once(
    opened: Panel, phantom: PhantomTriple
) -> None:
    panel = opened("nothing")
    volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")  # as readers do: voxels come later
    assert panel.ui.inputVolumeSelector.currentNode() is volume and panel.ui.statusLabel.text.startswith("CT is empty")
    slicer.util.updateVolumeFromArray(volume, np.zeros((4, 8, 8), np.int16))
    assert panel.ui.arterialButton.enabled and panel.ui.statusLabel.text == "Ready."


def test_without_an_input_nothing_can_be_started_and_the_tooltip_says_why(opened: Panel) -> None:
    panel = opened("nothing")
    for button in (panel.ui.arterialButton, panel.ui.venousButton):
        assert not button.enabled and button.toolTip.startswith("No input volume is chosen")
    assert panel.ui.statusLabel.text == panel.ui.arterialButton.toolTip and not panel.ui.exportNiftiButton.enabled


def test_a_phase_that_the_model_lacks_cannot_be_started(
    opened: Panel, phantom: PhantomTriple, small_model: Path, tmp_path: Path
) -> None:
    add_volume(phantom.ncct)
    folder = shutil.copytree(small_model, tmp_path / "venous_only")
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"arterial",', ""))
    panel = opened("nothing")
    panel.ui.modelKindComboBox.currentText = FOLDER_KIND
    panel.ui.modelFolderPathLineEdit.currentPath = str(folder)
    assert panel.ui.venousButton.enabled and not panel.ui.arterialButton.enabled
    assert "does not offer the arterial phase" in panel.ui.arterialButton.toolTip
    assert panel.ui.statusLabel.text == "Ready." and panel.ui.modelLabel.text.startswith("venous; ")


def test_a_model_folder_that_is_wrong_is_named(with_ct: Panel, tmp_path: Path) -> None:
    panel = with_ct("nothing")
    panel.ui.modelKindComboBox.currentText = FOLDER_KIND
    for folder, message in ((tmp_path / "absent", "There is no folder"), (tmp_path, "has no config.json")):
        panel.ui.modelFolderPathLineEdit.currentPath = str(folder)
        assert message in panel.ui.statusLabel.text and not panel.ui.venousButton.enabled
        assert panel.ui.modelLabel.text == panel.ui.statusLabel.text


def test_seed_and_samples_wait_for_steps_that_make_them_matter(with_ct: Panel) -> None:
    panel = with_ct("nothing")
    assert not panel.ui.seedSpinBox.enabled and not panel.ui.samplesSpinBox.enabled
    assert "same result for every seed" in panel.ui.samplesSpinBox.toolTip
    panel.ui.stepsSpinBox.value = 2
    assert panel.ui.seedSpinBox.enabled and "standard deviation" in panel.ui.samplesSpinBox.toolTip


def test_only_a_model_of_the_paper_asks_for_what_it_needs(
    opened: Panel, phantom: PhantomTriple, errors: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    add_volume(phantom.ncct)
    versions, asked, facts = dependencies.installed_version, [], ModelChoice().facts()
    monkeypatch.setattr(dependencies, "installed_version", lambda name: None if name == "einops" else versions(name))
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda text, *_: asked.append(text))
    panel = opened("hang")
    panel.ui.arterialButton.click()
    assert panel.logic.translator.is_running and not asked
    panel.ui.cancelButton.click()
    monkeypatch.setattr(ModelChoice, "facts", lambda _: dataclasses.replace(facts, kind=PAPER))
    panel.enter()  # looks at the model's files again
    panel.ui.arterialButton.click()
    assert "\n\neinops>=0.8\n" in asked.pop() and not asked
    assert "are not installed" in errors.pop()[0] and not panel.logic.translator.is_running


def test_samples_without_spread_are_not_asked_for(with_ct: Panel) -> None:
    panel = with_ct("hang")
    panel.ui.samplesSpinBox.value = 5
    panel.ui.arterialButton.click()
    assert panel.logic.translator.job.request.samples == 1
    panel.ui.cancelButton.click()
    panel.ui.stepsSpinBox.value = 3
    panel.ui.arterialButton.click()
    assert panel.logic.translator.job.request.samples == 5
