"""What the compare view leaves behind, when it ends by itself, and its pictures."""

from __future__ import annotations

import gc
import json
import weakref
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from compare_scene import (
    FOUR_UP,
    INPUT,
    SYNTHETIC,
    add_pair,
    assert_grey,
    block_at,
    composite,
    count_orange,
    grey,
    layout_node,
    node_ids,
    pixel_at,
    pixels,
    slice_node,
    slicer,
    widget,
)
from panel_translate import add_volume
from PIL import Image
from S2LDMLib.about import NOTICE
from S2LDMLib.errors import InputError
from S2LDMTranslatePanel.compare.compare_layout import LAYOUTS
from S2LDMTranslatePanel.compare.compare_view import CompareView
from shared_data import SHARED_DATA, real

SESSION = "HCC_005_19990123"
Pair = tuple[Any, Any]


def display_of(node: Any) -> dict[str, Any]:
    """All that Slicer would write into a scene file about a volume's display."""
    display = node.GetDisplayNode()
    return {
        "id": display.GetID(),
        "window": (display.GetWindow(), display.GetLevel(), display.GetAutoWindowLevel()),
        "threshold": (display.GetApplyThreshold(), display.GetAutoThreshold(), display.GetLowerThreshold()),
        "colours": (display.GetColorNodeID(), display.GetInvertDisplayScalarRange()),
        "interpolate": display.GetInterpolate(),
    }


def test_restore_brings_back_the_layout_and_the_users_own_display(view: CompareView, pair: Pair) -> None:
    display = pair[0].GetDisplayNode()
    display.SetAndObserveColorNodeID("vtkMRMLColorTableNodeWarm1")
    display.SetThreshold(-50, 300)
    display.ApplyThresholdOn()
    display.SetInterpolate(0)
    display.SetWindowLevel(77, 33)
    composite("Red").SetBackgroundVolumeID(pair[0].GetID())
    widget("Red").sliceLogic().FitSliceToBackground()
    own, red = [display_of(node) for node in pair], pixels("Red")
    view.show(*pair)
    assert view.isShown and slicer.app.layoutManager().layout != FOUR_UP
    assert display_of(pair[0]) != own[0]
    assert_grey(block_at(INPUT, (14, 20), pair[0]), grey(-100))
    view.show(*pair, "three")
    view.setWindowLevel(1500, -600)
    view.restore()
    assert not view.isShown and slicer.app.layoutManager().layout == FOUR_UP
    assert [display_of(node) for node in pair] == own
    assert (pixels("Red") == red).all() and (red > 0).any()
    view.restore()
    assert slicer.app.layoutManager().layout == FOUR_UP


def test_nothing_of_a_comparison_stays(pair: Pair) -> None:
    compare = CompareView()
    compare.show(*pair, "three")
    compare.cleanup()
    before = node_ids()
    window = widget(SYNTHETIC).sliceView().renderWindow()
    renderer = window.GetRenderers().GetFirstRenderer()
    props = renderer.GetViewProps().GetNumberOfItems()
    compare.show(*pair)
    compare.showDifference(True)
    pixels(SYNTHETIC)
    assert renderer.GetViewProps().GetNumberOfItems() > props
    compare.cleanup()
    assert node_ids() == before
    assert renderer.GetViewProps().GetNumberOfItems() == props
    assert not window.HasObserver("StartEvent")
    for logic in (widget(name).sliceLogic() for name in (INPUT, SYNTHETIC)):
        assert not logic.HasInputs()
        assert not any(layer and layer.GetVolumeNode() for layer in (logic.GetNthLayer(index) for index in range(4)))
    ghost = weakref.ref(compare)
    del compare
    gc.collect()
    assert ghost() is None


def test_closing_the_scene_ends_the_comparison(pair: Pair) -> None:
    told: list[tuple[bool, int]] = []
    scene = slicer.mrmlScene
    view = CompareView(lambda: told.append((view.isShown, scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode"))))
    view.showDifference(True)
    view.show(*pair)
    pixels(SYNTHETIC)
    scene.Clear(0)
    assert told == [(False, 2)] and not view.isShown  # before the volumes are gone
    assert slicer.app.layoutManager().layout == FOUR_UP
    assert not scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")
    assert (pixels(SYNTHETIC) == 0).all()
    view.show(*add_pair())
    assert view.isShown and count_orange(pixels(SYNTHETIC)) > 300
    view.cleanup()


def test_a_scene_saved_meanwhile_shows_no_synthetic_volume_without_the_notice(
    view: CompareView, pair: Pair, tmp_path: Path
) -> None:
    view.showDifference(True)
    view.show(*pair, "three")
    ours = slicer.app.layoutManager().layout
    slicer.mrmlScene.Commit(str(tmp_path / "scene.mrml"))
    saved = ElementTree.parse(tmp_path / "scene.mrml").getroot()
    assert [node.get("currentViewArrangement") for node in saved.iter("Layout")] == [str(ours)]
    assert "Red" in [node.get("layoutName") for node in saved.iter("Slice")]
    text = ElementTree.tostring(saved, encoding="unicode")
    assert "S2LDMSynthetic" not in text and "HU change" not in text
    slicer.mrmlScene.Clear(0)
    layout_node().SetViewArrangement(ours)  # as the scene does when it is loaded
    assert not view.isShown
    view.restore()
    assert slicer.app.layoutManager().layout == FOUR_UP


def test_a_volume_loaded_meanwhile_is_shown_elsewhere(view: CompareView, pair: Pair) -> None:
    view.show(*pair)
    loaded, _ = add_pair()
    logic = slicer.app.applicationLogic()
    logic.GetSelectionNode().SetActiveVolumeID(loaded.GetID())
    logic.PropagateVolumeSelection()
    assert composite("Red").GetBackgroundVolumeID() == loaded.GetID()
    assert {composite(name).GetBackgroundVolumeID() for name in (INPUT, SYNTHETIC)} == {pair[0].GetID()}


@pytest.mark.parametrize("index", (0, 1))
def test_removing_a_volume_ends_the_comparison(view: CompareView, pair: Pair, index: int) -> None:
    own = display_of(pair[1 - index])
    view.showDifference(True)
    view.show(*pair)
    slicer.mrmlScene.RemoveNode(pair[index])
    assert not view.isShown and slicer.app.layoutManager().layout == FOUR_UP
    assert display_of(pair[1 - index]) == own
    assert (pixels(SYNTHETIC) == 0).all()


def test_choosing_another_layout_ends_the_comparison_and_stays(view: CompareView, pair: Pair) -> None:
    own = display_of(pair[0])
    view.show(*pair)
    red_only = slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView
    slicer.app.layoutManager().setLayout(red_only)
    assert not view.isShown and display_of(pair[0]) == own
    view.restore()
    assert slicer.app.layoutManager().layout == red_only


def test_one_view_shown_large_does_not_end_the_comparison(view: CompareView, pair: Pair) -> None:
    view.show(*pair)
    layout_node().AddMaximizedViewNode(slice_node(SYNTHETIC))
    assert view.isShown and count_orange(pixels(SYNTHETIC)) > 300
    view.restore()
    assert not layout_node().GetNumberOfMaximizedViewNodes()
    assert slicer.app.layoutManager().layout == FOUR_UP


def test_a_second_comparison_replaces_the_first(view: CompareView, pair: Pair) -> None:
    own = [display_of(node) for node in pair]
    view.show(*pair)
    again = add_pair()
    view.show(*again)
    assert [display_of(node) for node in pair] == own
    assert composite(SYNTHETIC).GetForegroundVolumeID() == again[1].GetID()
    view.restore()
    assert slicer.app.layoutManager().layout == FOUR_UP


def test_what_cannot_be_compared_changes_nothing(
    view: CompareView, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "nothing in it")
    before, own = node_ids(), display_of(pair[0])
    for other, words in ((None, "not a volume"), (empty, "'nothing in it' is not a volume")):
        with pytest.raises(InputError, match=words):
            view.show(pair[0], other)
    pair[1].SetSpacing(1, 1, 1)
    view.showDifference(True)
    with pytest.raises(InputError, match="do not have the same voxels"):
        view.show(*pair)
    monkeypatch.setattr(slicer.app, "layoutManager", lambda: None)
    with pytest.raises(InputError, match="without its window"):
        view.show(*pair)
    monkeypatch.undo()
    assert node_ids() == before and display_of(pair[0]) == own and not view.isShown
    assert slicer.app.layoutManager().layout == FOUR_UP


@pytest.mark.parametrize("orientation", LAYOUTS)
def test_a_screenshot_shows_all_views_with_the_notice_and_says_so_in_its_texts(
    view: CompareView, pair: Pair, orientation: str, tmp_path: Path
) -> None:
    view.show(*pair, orientation)
    view.setBlend(0.4)
    view.screenshot(tmp_path / "comparison.png")
    rows = len(LAYOUTS[orientation].rows)
    with Image.open(tmp_path / "comparison.png") as picture:
        shown = np.asarray(picture)
        assert picture.text["Comment"] == NOTICE
        assert picture.text["Description"] == "window 400 HU, level 0 HU, 40% synthetic"
        assert picture.text["Title"] == "CT | CT SYNTHETIC arterial"
    assert shown.shape == (rows * 404 - 4, 804, 3)
    for row, names in enumerate(LAYOUTS[orientation].grid()):
        for column, name in enumerate(names):
            part = shown[row * 404 : row * 404 + 400, column * 404 : column * 404 + 400]
            assert (part == pixels(name)).all()
            assert (count_orange(part.astype(int)) > 300) == (column == 1)
    assert [file.name for file in tmp_path.iterdir()] == ["comparison.png"]


def test_a_screenshot_that_cannot_be_made_says_why(view: CompareView, pair: Pair, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Nothing is compared"):
        view.screenshot(tmp_path / "a.png")
    view.show(*pair)
    with pytest.raises(InputError, match=r"'a.jpg' is not the name of a PNG file"):
        view.screenshot(tmp_path / "a.jpg")
    with pytest.raises(InputError, match=r"cannot be written to .*: No such file or directory"):
        view.screenshot(tmp_path / "missing" / "a.png")
    assert not list(tmp_path.iterdir())


def test_a_real_arterial_phase_is_compared_with_its_ncct(view: CompareView, tmp_path: Path) -> None:
    ncct, arterial = (add_volume(real(f"pairs/{SESSION}/{name}"), name) for name in ("ncct", "arterial"))
    view.show(ncct, arterial)
    aorta = json.loads((SHARED_DATA / "pairs" / "rois.json").read_text())[SESSION]["aorta"][0]
    place = np.array(aorta["center_lps_mm"]) * (-1, -1, 1)
    for name in (INPUT, SYNTHETIC):
        widget(name).sliceView().resize(640, 560)
        widget(name).sliceLogic().SetSliceOffset(place[2])
    assert aorta["measured_hu"]["arterial"] > 200
    assert pixel_at(SYNTHETIC, place) == (255, 255, 255)
    assert pixel_at(INPUT, place)[0] == pytest.approx(grey(aorta["measured_hu"]["ncct"]), abs=20)
    view.screenshot(tmp_path / "real.png")
    view.showDifference(True)
    red, green, blue = pixel_at(SYNTHETIC, place)
    assert red == green == 255 and 150 < blue < 230
    view.screenshot(tmp_path / "real_difference.png")
