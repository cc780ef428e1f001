"""One window and level for two volumes, and each volume's own display back afterwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer
import vtk
from slicer.util import VTKObservationMixin

GREY = "vtkMRMLColorTableNodeGrey"


class SharedDisplay(VTKObservationMixin):
    """Shows volumes in grey with the same window and level, HU, whichever of them is changed, and by whom."""

    def __init__(self, volumes: tuple[Any, ...], window: float, level: float, changed: Callable[[], None]) -> None:
        """``changed`` is called when somebody else has changed window or level."""
        VTKObservationMixin.__init__(self)
        self.window, self.level = window, level
        self._changed = changed
        for volume in volumes:
            if not volume.GetDisplayNode():
                volume.CreateDefaultDisplayNodes()
        self._displays = tuple(volume.GetDisplayNode() for volume in volumes)
        self._own = tuple(_copy(display) for display in self._displays)
        for display in self._displays:
            modified = display.StartModify()
            display.SetAndObserveColorNodeID(GREY)
            display.SetInvertDisplayScalarRange(False)
            display.ApplyThresholdOff()
            display.EndModify(modified)
        self.set(window, level)
        for display in self._displays:
            self.addObserver(display, vtk.vtkCommand.ModifiedEvent, self._follow)

    def set(self, window: float, level: float) -> None:
        """Change window and level of all volumes, HU."""
        self.window, self.level = window, level
        for display in self._displays:
            modified = display.StartModify()
            display.AutoWindowLevelOff()
            display.SetWindowLevel(window, level)
            display.EndModify(modified)

    def restore(self) -> None:
        """Show each volume as it was shown before."""
        self.removeObservers()
        for display, own in zip(self._displays, self._own, strict=True):
            display.CopyContent(own)

    def _follow(self, display: Any, event: str) -> None:
        now = display.GetWindow(), display.GetLevel()
        if now != (self.window, self.level):
            self.set(*now)
            self._changed()


def _copy(display: Any) -> Any:
    copy = slicer.vtkMRMLScalarVolumeDisplayNode()
    copy.CopyContent(display)
    return copy
