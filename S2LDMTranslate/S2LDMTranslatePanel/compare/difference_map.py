"""What the synthetic volume changed, in HU: a coloured layer over a slice view, and its legend."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import slicer
import vtk
from S2LDMLib.errors import InputError

NAME = "S2LDM HU change"
RANGE_HU = 300.0
# The least that organs enhance by is about 15 HU; what is less than this is not shown.
LEAST_HU = 10.0
OPACITY = 0.5
_COLOURS = 601  # one for each HU of the range
_STOPS_HU = (-RANGE_HU, -100, 0, 100, RANGE_HU)
_STOPS_RGB = ((0.3, 1, 1), (0.1, 0.3, 1), (0.5, 0.45, 0.45), (1, 0.15, 0.1), (1, 1, 0.3))
_LAYER = 3  # the first one above background, foreground and label map
_INT16 = np.iinfo(np.int16)


def hu_change(input_node: Any, output_node: Any) -> np.ndarray:
    """Output minus input, HU, int16, shape (slices, rows, columns).

    Raises:
        InputError: the volumes do not have the same voxels.
    """
    _check_same_voxels(input_node, output_node)
    before, after = slicer.util.arrayFromVolume(input_node), slicer.util.arrayFromVolume(output_node)
    change = np.empty(before.shape, np.int16)
    for index in range(len(change)):  # slice by slice it stays in the cache: faster, and no second volume
        exact = np.subtract(after[index], before[index], dtype=np.float32)
        change[index] = np.clip(np.rint(exact), _INT16.min, _INT16.max)
    return change


def _check_same_voxels(input_node: Any, output_node: Any) -> None:
    shapes = [node.GetImageData().GetDimensions() for node in (input_node, output_node)]
    same_place = np.allclose(_ijk_to_ras(input_node), _ijk_to_ras(output_node), atol=1e-3)
    same_parent = input_node.GetTransformNodeID() == output_node.GetTransformNodeID()
    if shapes[0] != shapes[1] or not same_place or not same_parent:
        raise InputError(
            f"'{output_node.GetName()}' and '{input_node.GetName()}' do not have the same voxels, so they have no "
            "difference map. Choose a synthetic volume and the input that it was made from."
        )


def diverging_colours() -> np.ndarray:
    """RGBA from -300 to +300 HU, shape (601, 4): grey to blue to cyan below zero, grey to red to yellow above.

    The colours begin softly, because Slicer shows each of them or not at all, and never half.
    """
    change = np.linspace(-RANGE_HU, RANGE_HU, _COLOURS)
    shown = np.abs(change) >= LEAST_HU
    rgb = np.stack([np.interp(change, _STOPS_HU, channel) for channel in zip(*_STOPS_RGB, strict=True)], -1)
    return np.concatenate([np.where(shown[:, None], rgb, 0), shown[:, None]], -1)


class DifferenceMap:
    """Nodes of the layer, hidden from selectors and never saved, for as long as it is shown."""

    def __init__(self, scene: Any, input_node: Any, output_node: Any) -> None:
        """Raises InputError where the volumes do not have the same voxels; nothing is in the scene then."""
        change = hu_change(input_node, output_node)
        self._scene = scene
        self._source = (input_node, output_node)
        self._colours = self._add(slicer.vtkMRMLColorTableNode(), _fill_colours)
        self._display = self._add(slicer.vtkMRMLScalarVolumeDisplayNode(), self._colour_display)
        self._volume = self._add(slicer.vtkMRMLScalarVolumeNode(), lambda node: None)
        self._volume.SetAndObserveDisplayNodeID(self._display.GetID())
        self._fill(change)
        self.legend = _make_legend(self._colours)

    def update(self) -> None:
        """Take in new voxels and places; raises InputError where the volumes are not on one grid any more."""
        if self._state() != self._filled:
            self._fill(hu_change(*self._source))

    def show(self, logics: Iterable[Any]) -> None:
        """Lay it over the views of these slice logics."""
        for logic in logics:
            composite = logic.GetSliceCompositeNode()
            composite.SetNthLayerVolumeID(_LAYER, self._volume.GetID())
            composite.SetNthLayerOpacity(_LAYER, OPACITY)

    def remove(self, logics: Iterable[Any]) -> None:
        """Take it off these views and out of the scene."""
        for logic in logics:
            logic.GetSliceCompositeNode().SetNthLayerVolumeID(_LAYER, None)
            # Slicer 5.12 forgets the layer but keeps its volume, and then draws a view that has no other one.
            logic.GetNthLayer(_LAYER).SetVolumeNode(None)
        for node in (self._volume, self._display, self._colours):
            self._scene.RemoveNode(node)

    def _fill(self, change: np.ndarray) -> None:
        output = self._source[1]
        self._volume.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(_ijk_to_ras(output)))
        self._volume.SetAndObserveTransformNodeID(output.GetTransformNodeID())
        slicer.util.updateVolumeFromArray(self._volume, change)
        self._filled = self._state()

    def _state(self) -> list[Any]:
        """What the map depends on: nodes are modified for many other reasons too."""
        voxels = [node.GetImageData().GetPointData().GetScalars().GetMTime() for node in self._source]
        places = [(node.GetTransformNodeID(), _ijk_to_ras(node).tolist()) for node in self._source]
        return voxels + places

    def _colour_display(self, node: Any) -> None:
        node.AutoWindowLevelOff()
        node.SetWindowLevel(2 * RANGE_HU, 0)
        node.SetAndObserveColorNodeID(self._colours.GetID())

    def _add(self, node: Any, prepare: Any) -> Any:
        """A node is hidden before it is added, because the subject hierarchy looks at it only then."""
        node.SetName(NAME)
        node.SetHideFromEditors(True)
        node.SetSaveWithScene(False)
        prepare(node)
        return self._scene.AddNode(node)


def _fill_colours(node: Any) -> None:
    node.SetTypeToUser()
    node.SetNumberOfColors(_COLOURS)
    for index, rgba in enumerate(diverging_colours().tolist()):
        node.SetColor(index, *rgba)


def _ijk_to_ras(node: Any) -> np.ndarray:
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def _make_legend(colours: Any) -> Any:
    """A colour bar, for the overlay of a view to place."""
    table = vtk.vtkLookupTable()
    table.DeepCopy(colours.GetLookupTable())
    table.SetTableRange(-RANGE_HU, RANGE_HU)
    legend = vtk.vtkScalarBarActor()
    legend.SetLookupTable(table)
    legend.SetMaximumNumberOfColors(_COLOURS)
    legend.SetTitle("HU")
    legend.SetLabelFormat("%.0f")
    legend.SetNumberOfLabels(7)
    legend.SetTextPositionToPrecedeScalarBar()
    legend.SetPosition2(0.3, 0.5)
    legend.SetBarRatio(0.3)
    legend.DrawBackgroundOn()
    legend.GetBackgroundProperty().SetColor(0, 0, 0)
    legend.GetBackgroundProperty().SetOpacity(0.7)
    legend.UnconstrainedFontSizeOn()
    for style in (legend.GetTitleTextProperty(), legend.GetLabelTextProperty()):
        style.SetColor(1, 1, 1)
        style.SetFontSize(11)
        style.ItalicOff()
        style.ShadowOff()
    return legend
