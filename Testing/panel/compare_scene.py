"""What the tests of the compare view share: small volumes, the views' pixels, and a mouse.

Importing it skips the test file where slicer-core, Qt or an OpenGL library cannot be had.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from panel_translate import matrix_of, slicer, vtk
from slicer_standin.views import why_no_rendering

if reason := why_no_rendering():
    pytest.skip(reason, allow_module_level=True)

from S2LDMTranslatePanel.compare.compare_view import CompareView  # isort: skip
from S2LDMTranslatePanel.compare.view_picture import read_pixels  # isort: skip

FOUR_UP = slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView
INPUT, SYNTHETIC = "S2LDMInputAxial", "S2LDMSyntheticAxial"
SHAPE, SPACING = (24, 48, 48), (2.0, 2.0, 5.0)
STRAIGHT = np.diag([-SPACING[0], -SPACING[1], SPACING[2], 1.0])
ORANGE = (255, 191, 64)
# Blocks of one HU each, in voxels (column, row) of every slice: HU of the input, and of the synthetic volume.
BLOCKS = {(14, 20): (-100, -100), (33, 20): (50, 190), (14, 34): (100, 30), (33, 34): (40, 45)}


def turned(degrees: float) -> np.ndarray:
    """IJK to RAS of the test volumes with the gantry tilted."""
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.array([[1, 0, 0, 5], [0, c, -s, 7], [0, s, c, 9], [0, 0, 0, 1]]) @ STRAIGHT


def add_pair(ijk_to_ras: np.ndarray = STRAIGHT) -> tuple[Any, Any]:
    """Input and synthetic volume: air, and the blocks."""
    volumes = []
    for index, name in enumerate(("CT", "CT SYNTHETIC arterial")):
        voxels = np.full(SHAPE, -1000, np.int16)
        for (x, y), hu in BLOCKS.items():
            voxels[:, y - 5 : y + 6, x - 5 : x + 6] = hu[index]
        volumes.append(slicer.util.addVolumeFromArray(voxels, ijkToRAS=ijk_to_ras, name=name))
    return volumes[0], volumes[1]


def widget(name: str) -> Any:
    return slicer.app.layoutManager().sliceWidget(name)


def slice_node(name: str) -> Any:
    return widget(name).mrmlSliceNode()


def composite(name: str) -> Any:
    return widget(name).sliceLogic().GetSliceCompositeNode()


def pixels(name: str) -> np.ndarray:
    """The picture of a view, RGB, as it is drawn now."""
    view = widget(name).sliceView()
    view.forceRender()
    return read_pixels(view.renderWindow()).astype(int)


def pixel_at(name: str, ras: Sequence[float]) -> tuple[int, int, int]:
    """The colour of the point of a view that lies nearest to a place, mm."""
    to_ras = slicer.util.arrayFromVTKMatrix(slice_node(name).GetXYToRAS())
    x, y, _, _ = np.linalg.inv(to_ras) @ [*ras, 1.0]
    picture = pixels(name)
    red, green, blue = picture[picture.shape[0] - 1 - round(y), round(x)]
    return int(red), int(green), int(blue)


def block_at(name: str, block: tuple[int, int], volume: Any, k: int = SHAPE[0] // 2) -> tuple[int, int, int]:
    """The colour in the middle of a block."""
    return pixel_at(name, (_ijk_to_ras(volume) @ [*block, k, 1.0])[:3])


def _ijk_to_ras(volume: Any) -> np.ndarray:
    parent = vtk.vtkMatrix4x4()
    if volume.GetParentTransformNode():
        volume.GetParentTransformNode().GetMatrixTransformToWorld(parent)
    return slicer.util.arrayFromVTKMatrix(parent) @ matrix_of(volume)


def count_orange(picture: np.ndarray) -> int:
    """How many pixels of the notice are at the top middle of a picture."""
    height, width, _ = picture.shape
    top = picture[: height // 8, width // 10 : -width // 10]
    return int((np.abs(top - ORANGE).max(-1) < 12).sum())


def turn_wheel(name: str, forward: bool = True, control: bool = False) -> None:
    """One notch of the mouse wheel over the middle of a view."""
    interactor = widget(name).sliceView().interactor()
    width, height = interactor.GetSize()
    interactor.SetEventInformation(width // 2, height // 2, int(control), 0, "\0", 0, None)
    interactor.InvokeEvent("MouseMoveEvent")
    interactor.InvokeEvent("MouseWheelForwardEvent" if forward else "MouseWheelBackwardEvent")


def node_ids() -> set[str]:
    scene = slicer.mrmlScene
    return {scene.GetNthNode(index).GetID() for index in range(scene.GetNumberOfNodes())}


@contextmanager
def comparing() -> Iterator[tuple[CompareView, tuple[Any, Any]]]:
    """A compare view and two volumes in a usual layout; all is gone afterwards."""
    manager = slicer.app.layoutManager()
    manager.setLayout(FOUR_UP)
    for name in manager.sliceViewNames():
        manager.sliceWidget(name).sliceView().resize(400, 400)
    view = CompareView()
    try:
        yield view, add_pair()
    finally:
        view.cleanup()
        slicer.mrmlScene.Clear(0)


def grey(hu: float, window: float = 400, level: float = 0) -> int:
    return round(255 * min(max((hu - level + window / 2) / window, 0), 1))


def layout_node() -> Any:
    return slicer.app.layoutManager().layoutLogic().GetLayoutNode()


def offsets(*names: str) -> list[float]:
    return [slice_node(name).GetSliceOffset() for name in names]


def assert_grey(colour: tuple[int, int, int], expected: float) -> None:
    assert colour == pytest.approx((expected,) * 3, abs=1)
