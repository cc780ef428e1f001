"""Loss curves of a run as nodes of the MRML scene: a table and a chart for each stage and kind, a series a value."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import vtk

from .progress_reader import TRAINING, Point

STEP = "step"
# The colours of Tableau 10, which stay apart for most colour-blind eyes.
COLOURS = ("4e79a7", "f28e2b", "59a14f", "e15759", "b07aa1", "9c755f", "76b7b2", "edc948", "ff9da7", "bab0ac")


@dataclass
class _Curves:
    """The nodes of one stage and kind."""

    table: Any
    chart: Any
    series: dict[str, Any] = field(default_factory=dict)

    def nodes(self) -> list[Any]:
        return [self.chart, *self.series.values(), self.table]


class LossPlots:
    """Plot nodes that grow with a run. They can be made again from the run folder, so scenes are saved without them."""

    def __init__(self, scene: Any) -> None:
        self._scene = scene
        self._curves: dict[tuple[str, str], _Curves] = {}

    def is_complete(self) -> bool:
        """Whether all nodes are still in the scene."""
        nodes = [node for curves in self._curves.values() for node in curves.nodes()]
        return all(self._scene.IsNodePresent(node) for node in nodes)

    def add(self, points: Iterable[Point]) -> None:
        """Append points; one at an earlier step than the last replaces what came after it (a resumed run)."""
        grouped: dict[tuple[str, str], list[Point]] = {}
        for point in points:
            grouped.setdefault((point.stage, point.kind), []).append(point)
        for key, group in grouped.items():
            if key not in self._curves:
                self._curves[key] = self._make_curves(*key)
            self._append(self._curves[key], group)

    def chart(self, stage: str, kind: str = TRAINING) -> Any:
        """The chart node of a stage, None before its first point."""
        curves = self._curves.get((stage, kind))
        return curves.chart if curves else None

    def remove(self) -> None:
        """Take all nodes out of the scene."""
        for curves in self._curves.values():
            for node in curves.nodes():
                self._scene.RemoveNode(node)
        self._curves = {}

    def _make_curves(self, stage: str, kind: str) -> _Curves:
        name = f"S2LDM {stage} {kind}"
        curves = _Curves(self._add_node("vtkMRMLTableNode", name), self._add_node("vtkMRMLPlotChartNode", name))
        column = vtk.vtkDoubleArray()
        column.SetName(STEP)
        curves.table.AddColumn(column)
        curves.chart.SetTitle(name)
        curves.chart.SetXAxisTitle(STEP)
        # Losses differ by orders of magnitude; where one is not positive, VTK's axis is linear all the same.
        curves.chart.SetYAxisLogScale(kind == TRAINING)
        curves.chart.SetYAxisTitle("loss" if kind == TRAINING else "score")
        return curves

    def _append(self, curves: _Curves, points: Sequence[Point]) -> None:
        table = curves.table.GetTable()
        modified = curves.table.StartModify()
        for name in {name: None for point in points for name in point.values}:
            if name not in curves.series:
                curves.series[name] = self._make_series(curves, name)
        for point in points:
            while table.GetNumberOfRows() and table.GetColumn(0).GetValue(table.GetNumberOfRows() - 1) >= point.step:
                table.RemoveRow(table.GetNumberOfRows() - 1)
            row = {STEP: float(point.step), **point.values}
            for index in range(table.GetNumberOfColumns()):
                column = table.GetColumn(index)
                column.InsertNextValue(row.get(column.GetName(), math.nan))
        table.Modified()
        curves.table.Modified()
        curves.table.EndModify(modified)

    def _make_series(self, curves: _Curves, name: str) -> Any:
        """A new value: not a number at the steps before it came."""
        column = vtk.vtkDoubleArray()
        column.SetName(name)
        for _ in range(curves.table.GetNumberOfRows()):
            column.InsertNextValue(math.nan)
        curves.table.AddColumn(column)
        series = self._add_node("vtkMRMLPlotSeriesNode", name)
        series.SetAndObserveTableNodeID(curves.table.GetID())
        series.SetXColumnName(STEP)
        series.SetYColumnName(name)
        series.SetPlotType(series.PlotTypeScatter)  # Slicer's name for a plot of y over x
        series.SetLineStyle(series.LineStyleSolid)
        series.SetMarkerStyle(series.MarkerStyleNone)
        series.SetColor(*(int(COLOURS[len(curves.series) % len(COLOURS)][i : i + 2], 16) / 255 for i in (0, 2, 4)))
        curves.chart.AddAndObservePlotSeriesNodeID(series.GetID())
        return series

    def _add_node(self, kind: str, name: str) -> Any:
        node = self._scene.AddNewNodeByClass(kind, name)
        node.SetSaveWithScene(False)
        return node
