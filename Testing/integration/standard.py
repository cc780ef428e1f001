"""What the DICOM standard says of CT images, for dicom-validator, where the standard itself cannot be fetched.

dicom-validator reads the standard's own files, which no package index has. highdicom ships its tables of objects,
modules and attributes (PS3.3), but not the conditions of types 1C and 2C: those count as optional here, and dciodvfy
looks at them.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from dicom_validator.validator.dicom_info import DicomInfo
from pydicom.datadict import DicomDictionary, dictionary_description, tag_for_keyword
from pydicom.uid import CTImageStorage

_OBJECT = "ct-image"
_CONDITIONAL = ("1C", "2C")


def ct_standard() -> DicomInfo:
    """The dictionary, the object CT Image and its modules, in dicom-validator's form."""
    elements = {
        _tag(number): {"name": name, "vr": vr, "vm": vm, "prop": retired}
        for number, (vr, vm, name, retired, _) in DicomDictionary.items()
    }
    uses = {module["key"]: module["usage"] for module in _table("iod_module_map")[_OBJECT]}
    described = {key: {"ref": key, "use": "M" if use == "M" else "U"} for key, use in uses.items()}
    modules = _table("module_attribute_map")
    objects = {str(CTImageStorage): {"title": _OBJECT, "modules": described, "group_macros": {}}}
    return DicomInfo(elements, objects, {key: _nested(modules.get(key, [])) for key in uses})


def _nested(attributes: list[dict[str, Any]]) -> dict[str, Any]:
    """From a flat list with paths to attributes with ``items``; without those of repeating groups (overlays)."""
    result: dict[str, Any] = {}
    for attribute in sorted(attributes, key=lambda one: len(one["path"])):
        if None in map(tag_for_keyword, [*attribute["path"], attribute["keyword"]]):
            continue
        level = result
        for keyword in attribute["path"]:
            level = level[_tag(tag_for_keyword(keyword))].setdefault("items", {})
        number = tag_for_keyword(attribute["keyword"])
        kind = "3" if attribute["type"] in _CONDITIONAL else attribute["type"]
        level[_tag(number)] = {"name": dictionary_description(number), "type": kind}
    return result


def _tag(number: int) -> str:
    return f"({number >> 16:04X},{number & 0xFFFF:04X})"


def _table(name: str) -> Any:
    return json.loads((files("highdicom") / "_standard" / f"{name}.json").read_text(encoding="utf-8"))
