"""The two layouts of the comparison: the input in the left column, the synthetic volume in the right one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

# Scrolling and zooming are linked within a group of views, so that Slicer's own views keep out of ours.
VIEW_GROUP = 28
INPUT_COLOUR, SYNTHETIC_COLOUR = "#5b8db8", "#f0a830"
# Any number above Slicer's own layouts is free; it is only where the search for a free one begins.
_FIRST_NUMBER = 28600


@dataclass(frozen=True)
class SliceViewPair:
    """The views of one plane: Slicer's names of views, which must not be those of other modules."""

    plane: str

    @property
    def input(self) -> str:
        return f"S2LDMInput{self.plane}"

    @property
    def synthetic(self) -> str:
        return f"S2LDMSynthetic{self.plane}"


AXIAL, CORONAL, SAGITTAL = (SliceViewPair(plane) for plane in ("Axial", "Coronal", "Sagittal"))


@dataclass(frozen=True)
class CompareLayout:
    """A layout with one row for each plane."""

    rows: tuple[SliceViewPair, ...]

    def grid(self) -> list[list[str]]:
        """The names of the views, row by row."""
        return [[pair.input, pair.synthetic] for pair in self.rows]

    def xml(self) -> str:
        """The description that vtkMRMLLayoutNode reads."""
        root = ElementTree.Element("layout", type="vertical", split="true")
        for pair in self.rows:
            row = ElementTree.SubElement(ElementTree.SubElement(root, "item"), "layout", type="horizontal")
            for name, label, colour in (
                (pair.input, f"N{pair.plane[0]}", INPUT_COLOUR),
                (pair.synthetic, f"S{pair.plane[0]}", SYNTHETIC_COLOUR),
            ):
                item = ElementTree.SubElement(row, "item")
                view = ElementTree.SubElement(item, "view", {"class": "vtkMRMLSliceNode", "singletontag": name})
                for key, value in (
                    ("orientation", pair.plane),
                    ("viewlabel", label),
                    ("viewcolor", colour),
                    ("viewgroup", str(VIEW_GROUP)),
                ):
                    ElementTree.SubElement(view, "property", name=key, action="default").text = value
        return ElementTree.tostring(root, encoding="unicode")


LAYOUTS = {"axial": CompareLayout((AXIAL,)), "three": CompareLayout((AXIAL, CORONAL, SAGITTAL))}


def register_layouts(node: Any) -> dict[str, int]:
    """Make our layouts known to the vtkMRMLLayoutNode, once; returns their numbers by the names of LAYOUTS."""
    return {name: _register(node, layout.xml()) for name, layout in LAYOUTS.items()}


def _register(node: Any, text: str) -> int:
    """A layout is told from those of other modules by its text, so a module that is loaded again finds its own."""
    number = _FIRST_NUMBER
    while node.IsLayoutDescription(number):
        if node.GetLayoutDescription(number) == text:
            return number
        number += 1
    node.AddLayoutDescription(number, text)
    return number
