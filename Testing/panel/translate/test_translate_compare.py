"""The panel's sections Compare and Export over real views: a result is compared as soon as it is there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compare_scene import FOUR_UP, INPUT, SYNTHETIC, composite
from panel_translate import CopyingEngine, add_volume, module, run_to_end, slicer
from PIL import Image
from S2LDMLib.phantom.scan import PhantomTriple
from S2LDMTranslatePanel.jobs.volumes import EngineResult
from S2LDMTranslatePanel.scene.result_nodes import add_result
from S2LDMTranslatePanel.scene.source_volume import snapshot


@pytest.fixture
def panel(opened: Callable[..., Any]) -> Any:
    slicer.app.layoutManager().setLayout(FOUR_UP)
    made = opened(CopyingEngine)
    made.ui.compareWhenDoneCheckBox.checked = True
    return made


def show(panel: Any, result: Any) -> None:
    panel.ui.resultVolumeSelector.setCurrentNode(result)
    panel.ui.showCompareButton.click()


def add_pair(phantom: PhantomTriple, phase: str = "arterial") -> tuple[Any, Any]:
    volume = add_volume(phantom.ncct)
    source = snapshot(volume)
    return volume, add_result(source, EngineResult(source.hu + np.int16(30), {"S2LDM_phase": phase}))


def test_comparison_is_shown_and_the_layout_comes_back(panel: Any, phantom: PhantomTriple) -> None:
    volume, result = add_pair(phantom)
    assert not panel.ui.showCompareButton.enabled
    panel.ui.resultVolumeSelector.setCurrentNode(result)
    assert panel.ui.showCompareButton.enabled and not panel.ui.screenshotButton.enabled
    panel.ui.showCompareButton.click()
    assert panel.ui.showCompareButton.text == "Back to the previous layout" and panel.ui.screenshotButton.enabled
    assert composite(INPUT).GetBackgroundVolumeID() == volume.GetID()
    assert composite(SYNTHETIC).GetForegroundVolumeID() == result.GetID()
    panel.ui.showCompareButton.click()
    assert panel.ui.showCompareButton.text == "Show comparison" and not panel.ui.windowButton.enabled
    assert slicer.app.layoutManager().layout == FOUR_UP


def test_the_controls_steer_the_comparison(panel: Any, phantom: PhantomTriple, errors: list[tuple[str, str]]) -> None:
    volume, result = add_pair(phantom)
    panel.ui.resultVolumeSelector.setCurrentNode(result)
    panel.ui.blendSlider.value = 30
    panel.ui.showCompareButton.click()
    assert composite(SYNTHETIC).GetForegroundOpacity() == pytest.approx(0.3)
    panel.ui.blendSlider.value = 80
    assert composite(SYNTHETIC).GetForegroundOpacity() == pytest.approx(0.8)
    panel.ui.linkedViewsCheckBox.checked = False
    assert not composite(INPUT).GetLinkedControl()
    panel.ui.differenceCheckBox.checked = True
    assert panel.results.view.isDifferenceShown and not errors
    volume.GetDisplayNode().SetWindowLevel(150, 60)
    assert result.GetDisplayNode().GetWindow() == 150
    panel.ui.windowButton.click()
    for node in (volume, result):
        assert (node.GetDisplayNode().GetWindow(), node.GetDisplayNode().GetLevel()) == (400, 0)


def test_another_result_or_other_views_are_shown_at_once(panel: Any, phantom: PhantomTriple) -> None:
    volume, result = add_pair(phantom)
    other = add_result(snapshot(volume), EngineResult(snapshot(volume).hu, {"S2LDM_phase": "venous"}))
    show(panel, result)
    panel.ui.resultVolumeSelector.setCurrentNode(other)
    assert composite(SYNTHETIC).GetForegroundVolumeID() == other.GetID()
    panel.ui.compareViewsComboBox.currentText = "Axial, coronal and sagittal"
    assert composite(SYNTHETIC.replace("Axial", "Coronal")).GetForegroundVolumeID() == other.GetID()
    panel.ui.showCompareButton.click()
    assert slicer.app.layoutManager().layout == FOUR_UP


def test_a_new_result_opens_the_comparison_where_that_is_wanted(panel: Any, phantom: PhantomTriple) -> None:
    add_volume(phantom.ncct)
    for wanted in (False, True):
        panel.ui.compareWhenDoneCheckBox.checked = wanted
        panel.ui.arterialButton.click()
        run_to_end(panel)
        assert panel.ui.statusLabel.text.startswith("Done in "), panel.logic.translator.log()
        assert panel.results.view.isShown == panel.ui.screenshotButton.enabled == wanted


def test_a_screenshot_is_a_picture_of_both_sides(
    panel: Any, phantom: PhantomTriple, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import qt

    _, result = add_pair(phantom)
    show(panel, result)
    monkeypatch.setattr(slicer.util, "mainWindow", lambda: None)
    monkeypatch.setattr(qt.QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "picture"), ""))
    panel.ui.screenshotButton.click()
    picture = Image.open(tmp_path / "picture.png")
    assert picture.width > picture.height > 100 and len(picture.convert("L").getcolors(256)) > 50
    assert str(tmp_path / "picture.png") in panel.ui.statusLabel.text


def test_a_result_without_its_input_can_be_exported_but_not_compared(panel: Any, phantom: PhantomTriple) -> None:
    volume, result = add_pair(phantom)
    show(panel, result)
    slicer.mrmlScene.RemoveNode(volume)
    assert not panel.results.view.isShown and not panel.ui.showCompareButton.enabled
    assert "is gone" in panel.ui.showCompareButton.toolTip and panel.ui.exportNrrdButton.enabled


def test_closing_the_scene_ends_the_comparison(panel: Any, phantom: PhantomTriple) -> None:
    _, result = add_pair(phantom)
    show(panel, result)
    slicer.mrmlScene.Clear(0)
    assert not panel.results.view.isShown and panel.ui.showCompareButton.text == "Show comparison"
    assert not panel.ui.showCompareButton.enabled


@pytest.mark.slow
def test_the_selftest_for_a_real_slicer_passes_as_far_as_it_can_here(panel: Any, tmp_path: Path) -> None:
    """The sample, the bundled model in its process, and real views."""
    import slicer_selftest

    panel.logic.translator = module.Translator()  # the real engine
    folder = tmp_path / "selftest"
    assert slicer_selftest.SelfTest(panel, folder).run(slicer_selftest.OUTSIDE) == 0
    assert {file.name for file in folder.iterdir()} == {"compare.png", "dicom", "difference.png", "report.json"}
