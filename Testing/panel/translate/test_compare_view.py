"""The compare view, drawn by Slicer's own logics: what people see in the pixels, and what it leaves behind."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from compare_scene import (
    BLOCKS,
    INPUT,
    ORANGE,
    STRAIGHT,
    SYNTHETIC,
    add_pair,
    assert_grey,
    block_at,
    composite,
    count_orange,
    grey,
    node_ids,
    offsets,
    pixels,
    slice_node,
    slicer,
    turn_wheel,
    turned,
    widget,
)
from S2LDMLib.errors import InputError
from S2LDMTranslatePanel.compare.compare_layout import LAYOUTS, VIEW_GROUP, register_layouts
from S2LDMTranslatePanel.compare.compare_view import CompareView
from S2LDMTranslatePanel.compare.difference_map import LEAST_HU, OPACITY, diverging_colours

THREE = LAYOUTS["three"]
Pair = tuple[Any, Any]
ENHANCED, DARKENED, STEADY = (33, 20), (14, 34), (33, 34)


def test_both_columns_show_hu_as_grey_values(view: CompareView, pair: Pair) -> None:
    view.show(*pair)
    for block, (before, after) in BLOCKS.items():
        assert_grey(block_at(INPUT, block, pair[0]), grey(before))
        assert_grey(block_at(SYNTHETIC, block, pair[0]), grey(after))


@pytest.mark.parametrize("column", (0, 1))
def test_the_wheel_on_one_view_scrolls_the_other(view: CompareView, pair: Pair, column: int) -> None:
    view.show(*pair, "three")
    for pair_of_views in THREE.rows:
        names = (pair_of_views.input, pair_of_views.synthetic)
        others = [name for row in THREE.grid() for name in row if name not in names] + ["Red"]
        start, still = offsets(*names), offsets(*others)
        turn_wheel(names[column])
        moved = offsets(*names)
        assert moved[0] == moved[1] and abs(moved[0] - start[0]) > 1
        assert offsets(*others) == still


def test_zoom_is_linked_and_leaves_the_views_of_slicer_alone(view: CompareView, pair: Pair) -> None:
    view.show(*pair)
    start, red = slice_node(INPUT).GetFieldOfView(), slice_node("Red").GetFieldOfView()
    turn_wheel(INPUT, control=True)
    zoomed = slice_node(INPUT).GetFieldOfView()
    assert abs(zoomed[0] - start[0]) > 1
    assert slice_node(SYNTHETIC).GetFieldOfView() == pytest.approx(zoomed)
    assert slice_node("Red").GetFieldOfView() == red


def test_unlinked_views_scroll_alone_and_meet_again_when_linked(view: CompareView, pair: Pair) -> None:
    view.show(*pair)
    view.setLinked(False)
    turn_wheel(SYNTHETIC)
    turn_wheel(INPUT, control=True)
    assert offsets(INPUT) != offsets(SYNTHETIC)
    view.setLinked(True)
    assert offsets(INPUT) == offsets(SYNTHETIC)
    assert slice_node(SYNTHETIC).GetFieldOfView() == pytest.approx(slice_node(INPUT).GetFieldOfView())


@pytest.mark.parametrize("place", ("gantry tilted", "under a transform"))
@pytest.mark.parametrize("orientation", LAYOUTS)
def test_oblique_volumes_are_shown_along_their_own_planes(
    view: CompareView, pair: Pair, place: str, orientation: str
) -> None:
    tilt = turned(25)
    if place == "gantry tilted":
        for node in pair:
            node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(tilt))
    else:
        transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
        transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(tilt @ np.linalg.inv(STRAIGHT)))
        for node in pair:
            node.SetAndObserveTransformNodeID(transform.GetID())
    view.show(*pair, orientation)
    normals = slicer.util.arrayFromVTKMatrix(slice_node(SYNTHETIC).GetSliceToRAS())[:3, 2]
    assert normals == pytest.approx(tilt[:3, 2] / np.linalg.norm(tilt[:3, 2]))
    for block, (before, after) in BLOCKS.items():
        assert_grey(block_at(INPUT, block, pair[0]), grey(before))
        assert_grey(block_at(SYNTHETIC, block, pair[0]), grey(after))
    turn_wheel(INPUT)
    matrices = [slicer.util.arrayFromVTKMatrix(slice_node(name).GetSliceToRAS()) for name in (INPUT, SYNTHETIC)]
    assert matrices[0] == pytest.approx(matrices[1])


@pytest.mark.parametrize("orientation", LAYOUTS)
def test_every_synthetic_view_and_no_other_carries_the_notice(view: CompareView, pair: Pair, orientation: str) -> None:
    view.show(*pair, orientation)
    for row in LAYOUTS[orientation].rows:
        assert count_orange(pixels(row.synthetic)) > 300
        assert count_orange(pixels(row.input)) == 0


@pytest.mark.parametrize("size", ((200, 160), (330, 280), (1200, 900)))
def test_the_notice_fits_into_the_view_and_corner_annotations_do_not_cover_it(
    view: CompareView, pair: Pair, size: tuple[int, int]
) -> None:
    view.show(*pair)
    widget(SYNTHETIC).sliceView().resize(*size)
    plain = pixels(SYNTHETIC)
    corners = widget(SYNTHETIC).sliceView().cornerAnnotation()
    for corner in range(8):
        corners.SetText(corner, "a patient's name, which is as long as names are\nID 12345678 and an institution\n" * 3)
    renderer = widget(SYNTHETIC).sliceView().renderWindow().GetRenderers().GetFirstRenderer()
    renderer.RemoveViewProp(corners)
    renderer.AddViewProp(corners)  # as somebody does who comes later
    covered = pixels(SYNTHETIC)
    corners.ClearAllTexts()
    is_notice = np.abs(plain - ORANGE).max(-1) < 3
    columns = np.flatnonzero(is_notice.any(0))
    assert columns[0] > 0 and columns[-1] < size[0] - 1 and columns[-1] - columns[0] > size[0] * 0.25
    assert is_notice.sum() > 50 and (np.abs(covered[is_notice] - ORANGE).max() < 3).all()
    assert (covered != plain).any()


def test_the_notice_is_drawn_again_whatever_was_done_to_the_view(view: CompareView, pair: Pair) -> None:
    view.show(*pair)
    before = count_orange(pixels(SYNTHETIC))
    renderer = widget(SYNTHETIC).sliceView().renderWindow().GetRenderers().GetFirstRenderer()
    for actor in list(renderer.GetViewProps()):
        if actor.IsA("vtkTextActor"):
            renderer.RemoveViewProp(actor)
    assert count_orange(pixels(SYNTHETIC)) == before
    slicer.mrmlScene.Clear(0)
    assert count_orange(pixels(SYNTHETIC)) == 0
    view.show(*add_pair())
    assert count_orange(pixels(SYNTHETIC)) == before


def test_the_left_column_is_labelled_where_the_synthetic_volume_is_put_into_it(view: CompareView, pair: Pair) -> None:
    view.show(*pair)
    composite(INPUT).SetForegroundVolumeID(pair[1].GetID())
    assert count_orange(pixels(INPUT)) > 300


def test_a_change_of_one_window_and_level_changes_both(pair: Pair) -> None:
    told: list[str] = []
    view = CompareView(lambda: told.append("changed"))
    view.show(*pair)
    caption = pixels(SYNTHETIC)[:60]
    for change, window, level in (  # what dragging in either view, and another module, call
        (widget(INPUT).sliceLogic().SetBackgroundWindowLevel, 200, 80),
        (widget(SYNTHETIC).sliceLogic().SetForegroundWindowLevel, 1000, -100),
        (pair[1].GetDisplayNode().SetWindowLevel, 300, 50),
    ):
        change(window, level)
        assert (view.window, view.level) == (window, level)
        for name, index in ((INPUT, 0), (SYNTHETIC, 1)):
            assert_grey(block_at(name, ENHANCED, pair[0]), grey(BLOCKS[ENHANCED][index], window, level))
    assert len(told) == 3
    assert (pixels(SYNTHETIC)[:60] != caption).any()
    view.setWindowLevel(400, 0)
    assert len(told) == 3
    assert_grey(block_at(INPUT, ENHANCED, pair[0]), grey(50))
    pair[0].GetDisplayNode().AutoWindowLevelOn()
    assert pair[1].GetDisplayNode().GetWindow() == pair[0].GetDisplayNode().GetWindow() != 400
    view.cleanup()


@pytest.mark.parametrize("fraction", (0, 0.25, 0.5, 1))
def test_the_blend_lies_over_the_input(view: CompareView, pair: Pair, fraction: float) -> None:
    view.setBlend(fraction)
    view.show(*pair)
    before, after = (grey(hu) for hu in BLOCKS[ENHANCED])
    assert_grey(block_at(SYNTHETIC, ENHANCED, pair[0]), before + fraction * (after - before))
    assert_grey(block_at(INPUT, ENHANCED, pair[0]), before)
    view.setBlend(1)
    assert_grey(block_at(SYNTHETIC, ENHANCED, pair[0]), after)


def test_the_difference_map_colours_what_changed_and_nothing_else(view: CompareView, pair: Pair) -> None:
    view.show(*pair)
    view.showDifference(True)
    for block in (ENHANCED, DARKENED):
        before, after = BLOCKS[block]
        colour = diverging_colours()[300 + after - before, :3] * 255
        expected = OPACITY * colour + (1 - OPACITY) * grey(after)
        assert block_at(SYNTHETIC, block, pair[0]) == pytest.approx(tuple(expected), abs=3)
        assert_grey(block_at(INPUT, block, pair[0]), grey(before))
    assert BLOCKS[STEADY][1] - BLOCKS[STEADY][0] < LEAST_HU
    assert_grey(block_at(SYNTHETIC, STEADY, pair[0]), grey(BLOCKS[STEADY][1]))
    view.showDifference(False)
    assert_grey(block_at(SYNTHETIC, ENHANCED, pair[0]), grey(190))


def test_the_difference_map_has_a_legend_as_long_as_it_is_shown(view: CompareView, pair: Pair) -> None:
    view.show(*pair)
    without = pixels(SYNTHETIC)
    view.showDifference(True)
    bar = pixels(SYNTHETIC)[:, -20:]
    yellow, cyan = ((np.abs(bar - colour).max(-1) < 20).any(1) for colour in ((255, 255, 77), (77, 255, 255)))
    assert yellow.any() and cyan.any() and np.flatnonzero(yellow).max() < np.flatnonzero(cyan).min()
    view.showDifference(False)
    assert (pixels(SYNTHETIC) == without).all()


def test_the_difference_map_is_hidden_from_selectors_not_saved_and_gone_afterwards(
    view: CompareView, pair: Pair
) -> None:
    view.show(*pair)
    before = node_ids()
    view.showDifference(True)
    made = [slicer.mrmlScene.GetNodeByID(name) for name in node_ids() - before]
    assert len(made) == 3
    assert all(node.GetHideFromEditors() and not node.GetSaveWithScene() for node in made)
    tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    assert not any(tree.GetItemByDataNode(node) for node in made)
    view.show(*pair, "three")
    assert view.isDifferenceShown and len(node_ids() - before) >= 3
    view.showDifference(False)
    assert not [name for name in node_ids() if "HU change" in slicer.mrmlScene.GetNodeByID(name).GetName()]


def test_the_difference_map_follows_new_voxels(view: CompareView, pair: Pair) -> None:
    view.showDifference(True)
    view.show(*pair)
    slicer.util.arrayFromVolume(pair[1])[:] = slicer.util.arrayFromVolume(pair[0])
    slicer.util.arrayFromVolumeModified(pair[1])
    assert_grey(block_at(SYNTHETIC, ENHANCED, pair[0]), grey(50))


def test_volumes_on_other_grids_have_no_difference_map_but_can_be_compared(view: CompareView, pair: Pair) -> None:
    pair[1].SetOrigin(1, 2, 3)
    view.show(*pair)
    before = node_ids()
    with pytest.raises(InputError, match=r"'CT SYNTHETIC arterial' and 'CT' do not have the same voxels"):
        view.showDifference(True)
    assert node_ids() == before and not view.isDifferenceShown
    assert_grey(block_at(INPUT, ENHANCED, pair[0]), grey(50))


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_a_layout_is_well_formed_and_has_the_input_left_and_the_synthetic_volume_right(layout: Any) -> None:
    root = ElementTree.fromstring(layout.xml())
    rows = [[view.get("singletontag") for view in row.iter("view")] for row in root.findall("item")]
    assert rows == layout.grid()
    assert all(left.startswith("S2LDMInput") and right.startswith("S2LDMSynthetic") for left, right in rows)


def test_each_layout_is_registered_once_and_no_other_is_overwritten() -> None:
    node = slicer.vtkMRMLLayoutNode()
    node.AddLayoutDescription(28600, "<layout/>")
    assert register_layouts(node) == register_layouts(node) == {"axial": 28601, "three": 28602}
    assert node.GetLayoutDescription(28600) == "<layout/>" and not node.IsLayoutDescription(28603)


def test_the_views_keep_their_places_in_a_group_of_their_own(view: CompareView, pair: Pair) -> None:
    view.show(*pair, "three")
    for row in THREE.grid():
        assert [slice_node(name).GetViewGroup() for name in row] == [VIEW_GROUP] * 2
    assert slice_node("Red").GetViewGroup() != VIEW_GROUP
    number = slicer.app.layoutManager().layout
    slicer.mrmlScene.Clear(0)
    view.show(*add_pair(), "three")
    assert slicer.app.layoutManager().layout == number
