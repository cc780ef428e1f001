"""Input and synthetic volume side by side, in layouts of our own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import slicer
import vtk
from S2LDMLib.about import NOTICE
from S2LDMLib.errors import InputError
from slicer.util import VTKObservationMixin

from .compare_layout import LAYOUTS, CompareLayout, register_layouts
from .difference_map import DifferenceMap
from .shared_display import SharedDisplay
from .view_overlay import ViewOverlay
from .view_picture import arrange, read_pixels, write_png

WINDOW, LEVEL = 400.0, 0.0


@dataclass
class _View:
    """One slice view of Slicer and what we draw over it."""

    widget: Any
    is_synthetic: bool
    overlay: ViewOverlay

    @property
    def logic(self) -> Any:
        return self.widget.sliceLogic()

    @property
    def composite(self) -> Any:
        return self.logic.GetSliceCompositeNode()

    @property
    def node(self) -> Any:
        return self.widget.mrmlSliceNode()


@dataclass
class _Comparison:
    """What is shown now."""

    input: Any
    output: Any
    layout: CompareLayout
    number: int
    views: dict[str, _View]
    display: SharedDisplay
    difference: DifferenceMap | None = None

    def synthetic_views(self) -> list[_View]:
        return [view for view in self.views.values() if view.is_synthetic]

    def synthetic_logics(self) -> list[Any]:
        return [view.logic for view in self.synthetic_views()]


class CompareView(VTKObservationMixin):
    """Shows two volumes in linked slice views with one window and level, and brings everything back afterwards.

    It ends by itself when the scene is closed, one of the volumes is removed, or another layout is chosen. Window,
    level, blend, linking and the difference map can be set at any time; they hold for the next comparison too.
    """

    def __init__(self, changed: Callable[[], None] = lambda: None) -> None:
        """``changed`` is called when something changed other than by a call of ours: window, level or the end."""
        VTKObservationMixin.__init__(self)
        self.window, self.level = WINDOW, LEVEL
        self.blend, self.isLinked, self.isDifferenceShown = 1.0, True, False
        self._changed = changed
        self._now: _Comparison | None = None
        self._previousLayout = slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView

    @property
    def isShown(self) -> bool:
        return self._now is not None

    def show(self, inputNode: Any, outputNode: Any, orientation: str = "axial") -> None:
        """Compare two scalar volumes, HU; ``orientation`` is "axial", or "three" with coronal and sagittal too.

        Raises:
            InputError: a volume is missing or empty, there are no views, or the difference map is switched on and the
                volumes do not have the same voxels. What was shown before is still shown then.
        """
        manager = _layout_manager()
        numbers = _our_layouts(manager)
        layout, number = LAYOUTS[orientation], numbers[orientation]
        for node in (inputNode, outputNode):
            _check_volume(node)
        difference = DifferenceMap(slicer.mrmlScene, inputNode, outputNode) if self.isDifferenceShown else None
        self._leave()
        if manager.layout not in numbers.values():
            self._previousLayout = manager.layout
        manager.setLayout(number)
        display = SharedDisplay((inputNode, outputNode), self.window, self.level, self._onDisplayChanged)
        self._now = _Comparison(inputNode, outputNode, layout, number, {}, display)
        for row in layout.grid():
            for column, name in enumerate(row):
                self._now.views[name] = self._makeView(manager.sliceWidget(name), is_synthetic=column == 1)
        self.setBlend(self.blend)
        self._fit()
        self.setLinked(self.isLinked)
        self._now.difference = difference
        self._layDifference()
        self._observe(manager)

    def restore(self) -> None:
        """Bring back the volumes' own display, and the layout where it is still one of ours.

        Where nothing is shown it takes away a layout of ours that came with a loaded scene.
        """
        self._leave()
        manager = slicer.app.layoutManager()
        if manager and manager.layout in _our_layouts(manager).values():
            manager.setLayout(self._previousLayout)

    def cleanup(self) -> None:
        """Leave no trace when the module ends."""
        self.restore()

    def setWindowLevel(self, window: float, level: float) -> None:
        """Show both volumes with this window and level, HU."""
        self.window, self.level = window, level
        if self._now:
            self._now.display.set(window, level)

    def setBlend(self, fraction: float) -> None:
        """How much of the synthetic volume lies over the input in the right column, 0 to 1."""
        self.blend = min(max(fraction, 0.0), 1.0)
        if self._now:
            for view in self._now.synthetic_views():
                view.composite.SetForegroundOpacity(self.blend)

    def setLinked(self, linked: bool) -> None:
        """Scroll and zoom both columns together; linked again, the right column goes where the left one is."""
        self.isLinked = linked
        if not self._now:
            return
        for view in self._now.views.values():
            view.composite.SetLinkedControl(linked)
            view.composite.SetHotLinkedControl(linked)
        if linked:
            for pair in self._now.layout.rows:
                _move_to(self._now.views[pair.synthetic].node, self._now.views[pair.input].node)

    def showDifference(self, shown: bool) -> None:
        """Lay the HU change over the synthetic volume, in colour; raises InputError where the grids differ."""
        if self._now:
            if shown and not self._now.difference:
                self._now.difference = DifferenceMap(slicer.mrmlScene, self._now.input, self._now.output)
                self._layDifference()
            elif not shown:
                self._removeDifference()
        self.isDifferenceShown = shown

    def screenshot(self, path: Path) -> None:
        """Write all views as one PNG; raises InputError where nothing is shown or the file cannot be written."""
        if not self._now:
            raise InputError("Nothing is compared, so there is no picture of it. Show the comparison first.")
        rows = []
        for names in self._now.layout.grid():
            views = [self._now.views[name].widget.sliceView() for name in names]
            for view in views:
                view.forceRender()
            rows.append([read_pixels(view.renderWindow()) for view in views])
        texts = {
            "Title": f"{self._now.input.GetName()} | {self._now.output.GetName()}",
            "Comment": NOTICE,
            "Description": f"window {self.window:g} HU, level {self.level:g} HU, {self.blend:.0%} synthetic",
        }
        write_png(arrange(rows), path, texts)

    def _makeView(self, widget: Any, is_synthetic: bool) -> _View:
        assert self._now
        composite = widget.sliceLogic().GetSliceCompositeNode()
        composite.SetBackgroundVolumeID(self._now.input.GetID())
        composite.SetForegroundVolumeID(self._now.output.GetID() if is_synthetic else None)
        composite.SetLabelVolumeID(None)
        composite.SetDoPropagateVolumeSelection(False)  # a volume that is loaded meanwhile is shown elsewhere
        for node in (composite, widget.mrmlSliceNode()):
            node.SetSaveWithScene(False)  # loaded again they would show the synthetic volume without the notice
        overlay = ViewOverlay(widget.sliceView().renderWindow(), lambda: self._caption(composite, is_synthetic))
        return _View(widget, is_synthetic, overlay)

    def _caption(self, composite: Any, is_synthetic: bool) -> tuple[bool, str]:
        """The right column is labelled whatever it shows, the left one where somebody puts the output into it."""
        assert self._now
        shown = (composite.GetBackgroundVolumeID(), composite.GetForegroundVolumeID(), composite.GetLabelVolumeID())
        blend = composite.GetForegroundOpacity()
        parts = [f"W {self.window:.0f}  L {self.level:.0f}"]
        if is_synthetic and blend < 1:
            parts.append(f"{blend:.0%} over the NCCT")
        if is_synthetic and self._now.difference:
            parts.append("colour: HU change")
        return is_synthetic or self._now.output.GetID() in shown, "   ".join(parts)

    def _fit(self) -> None:
        """Lay the planes along the volume's own axes, through its middle."""
        assert self._now
        for pair in self._now.layout.rows:
            for name in (pair.input, pair.synthetic):
                view = self._now.views[name]
                view.node.SetOrientation(pair.plane)
                view.node.RotateToVolumePlane(self._now.input)
                view.logic.FitSliceToBackground()
                view.logic.SnapSliceOffsetToIJK()

    def _layDifference(self) -> None:
        assert self._now
        if self._now.difference:
            self._now.difference.show(self._now.synthetic_logics())
            self._now.synthetic_views()[0].overlay.set_legend(self._now.difference.legend)

    def _removeDifference(self) -> None:
        if self._now and self._now.difference:
            self._now.synthetic_views()[0].overlay.set_legend(None)
            self._now.difference.remove(self._now.synthetic_logics())
            self._now.difference = None

    def _observe(self, manager: Any) -> None:
        assert self._now
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self._onEnd)
        self.addObserver(scene, scene.NodeRemovedEvent, self._onNodeRemoved)
        self.addObserver(manager.layoutLogic().GetLayoutNode(), vtk.vtkCommand.ModifiedEvent, self._onLayoutModified)
        for volume in (self._now.input, self._now.output):
            self.addObserver(volume, vtk.vtkCommand.ModifiedEvent, self._onVolumeModified)

    def _leave(self) -> None:
        """Take away everything but the layout."""
        if not self._now:
            return
        self.removeObservers()
        self._removeDifference()
        for view in self._now.views.values():
            view.overlay.remove()
            view.composite.SetBackgroundVolumeID(None)
            view.composite.SetForegroundVolumeID(None)
        self._now.display.restore()
        self._now = None

    def _onDisplayChanged(self) -> None:
        assert self._now
        self.window, self.level = self._now.display.window, self._now.display.level
        self._changed()

    def _onEnd(self, caller: Any = None, event: str = "") -> None:
        self.restore()
        self._changed()

    def _onNodeRemoved(self, caller: Any, event: str) -> None:
        if self._now and not all(slicer.mrmlScene.IsNodePresent(node) for node in (self._now.input, self._now.output)):
            self._onEnd()

    def _onLayoutModified(self, node: Any, event: str) -> None:
        """Somebody chose another layout; one view shown large is none."""
        if self._now and node.GetViewArrangement() not in (self._now.number, node.SlicerLayoutMaximizedView):
            self._onEnd()

    def _onVolumeModified(self, caller: Any, event: str) -> None:
        if not (self._now and self._now.difference):
            return
        try:
            self._now.difference.update()
        except InputError:
            self.showDifference(False)
            self._changed()


def _layout_manager() -> Any:
    manager = slicer.app.layoutManager()
    if not manager:
        raise InputError("Slicer runs without its window, so nothing can be shown. Start Slicer with its main window.")
    return manager


def _our_layouts(manager: Any) -> dict[str, int]:
    return register_layouts(manager.layoutLogic().GetLayoutNode())


def _check_volume(node: Any) -> None:
    if not (node and node.IsA("vtkMRMLScalarVolumeNode") and node.GetImageData()):
        name = f"'{node.GetName()}'" if node else "It"
        raise InputError(f"{name} is not a volume that can be compared. Choose a scalar volume with an image.")


def _move_to(node: Any, other: Any) -> None:
    """Give one slice view the place, plane and magnification of another one."""
    modified = node.StartModify()
    node.GetSliceToRAS().DeepCopy(other.GetSliceToRAS())
    x, y, z = other.GetFieldOfView()
    width, height, _ = node.GetDimensions()
    other_width, other_height, _ = other.GetDimensions()
    node.SetFieldOfView(x * width / other_width, y * height / other_height, z)
    node.SetXYZOrigin(other.GetXYZOrigin())
    node.UpdateMatrices()
    node.EndModify(modified)
