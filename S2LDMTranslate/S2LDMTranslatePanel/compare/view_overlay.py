"""What is drawn over one slice view: a caption at the top middle, and a legend at its right side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import vtk
from S2LDMLib.about import NOTICE

INPUT_TITLE = "NCCT"
_SYNTHETIC_RGB, _INPUT_RGB = (1.0, 0.75, 0.25), (0.85, 0.85, 0.85)
_SMALLEST_PX, _LARGEST_PX = 9, 24
_LEGEND_POINTS = 64
# A capital of the font is about 0.66 of its size wide.
_NOTICE_WIDTH = 0.66 * len(NOTICE)


class ViewOverlay:
    """A caption that no view can be drawn without.

    It is written and put in front of everything else each time the view is drawn, whatever was done to the view's
    renderer meanwhile. Slicer's DataProbe writes into the four corners, its ruler is at the bottom; the top middle is
    free.
    """

    def __init__(self, window: Any, caption: Callable[[], tuple[bool, str]]) -> None:
        """``caption`` says, when the view is drawn, whether it shows a synthetic volume, and the second line."""
        self._window = window
        self._caption = caption
        self._renderer: Any = None
        self._legend: Any = None
        self._text = vtk.vtkTextActor()
        self._text.GetPositionCoordinate().SetCoordinateSystemToNormalizedViewport()
        self._text.SetPosition(0.5, 0.985)
        style = self._text.GetTextProperty()
        style.SetJustificationToCentered()
        style.SetVerticalJustificationToTop()
        style.BoldOn()
        style.SetBackgroundColor(0, 0, 0)
        style.SetBackgroundOpacity(0.7)
        self._tag = window.AddObserver(vtk.vtkCommand.StartEvent, self._before_drawing)

    def set_legend(self, legend: Any) -> None:
        """Draw this actor too; None for no legend."""
        self._take_out(self._legend)
        self._legend = legend

    def remove(self) -> None:
        """Leave the view as it was."""
        self._window.RemoveObserver(self._tag)
        self._take_out(self._legend)
        self._take_out(self._text)

    def _before_drawing(self, caller: Any, event: str) -> None:
        is_synthetic, detail = self._caption()
        self._text.SetInput(f"{NOTICE if is_synthetic else INPUT_TITLE}\n{detail}")
        style = self._text.GetTextProperty()
        style.SetColor(_SYNTHETIC_RGB if is_synthetic else _INPUT_RGB)
        style.SetFontSize(self._font_points())
        if self._legend:
            self._place_legend()
        self._renderer = self._window.GetRenderers().GetFirstRenderer()
        for actor in filter(None, (self._legend, self._text)):
            self._renderer.RemoveViewProp(actor)
            self._renderer.AddViewProp(actor)  # the last one is drawn over the others

    def _font_points(self) -> int:
        """The font size, as large as the view allows the notice to be, whatever the resolution of the screen."""
        width, height = self._window.GetSize()
        pixels = min(_LARGEST_PX, 0.05 * height, 0.95 * width / _NOTICE_WIDTH)
        return round(max(_SMALLEST_PX, pixels) * 72 / self._window.GetDPI())

    def _place_legend(self) -> None:
        """Put the legend at the right side, as wide as its text, which has a size in points."""
        pixels = round(_LEGEND_POINTS * self._window.GetDPI() / 72)
        self._legend.SetMaximumWidthInPixels(pixels)
        self._legend.SetPosition(1 - pixels / self._window.GetSize()[0], 0.25)

    def _take_out(self, actor: Any) -> None:
        if actor and self._renderer:
            self._renderer.RemoveViewProp(actor)
