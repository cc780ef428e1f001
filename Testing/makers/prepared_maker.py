"""Writes prepared cases in the form that ``S2LDMTrainerLib.data`` reads."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from S2LDMLib.phantom.scan import PhantomTriple
from S2LDMLib.phantom.tissues import LABELS
from S2LDMTrainerLib.data import VERSION


def write_case(
    folder: Path, arrays: Mapping[str, np.ndarray], spacing: Sequence[float] = (2.0, 2.0, 5.0),
    origin: Sequence[float] = (0.0, 0.0, 0.0), direction: Sequence[float] = tuple(np.eye(3).ravel()),
    kind: str = "phantom", flag: str | None = None, label_names: Mapping[int, str] | None = None,
) -> Path:  # fmt: skip
    """Write a case folder; the patient is called as the case is."""
    folder.mkdir(parents=True)
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    info = {
        "version": VERSION, "case": folder.name, "kind": kind, "patient": folder.name,
        "phases": [phase for phase in ("arterial", "venous") if phase in arrays],
        "shape": next(iter(arrays.values())).shape, "spacing": list(spacing), "origin": list(origin),
        "direction": list(direction), "flag": flag,
        "label_names": {str(value): name for value, name in (label_names or {}).items()},
    }  # fmt: skip
    (folder / "case.json").write_text(json.dumps(info), encoding="utf-8")
    return folder


def write_phantom(folder: Path, phantom: PhantomTriple, flag: str | None = None) -> Path:
    """Write a phantom with its labels; every voxel is valid."""
    arrays = {name: sitk.GetArrayFromImage(getattr(phantom, name)) for name in ("ncct", "arterial", "venous")}
    arrays |= {f"{phase}_valid": np.ones(arrays["ncct"].shape, np.uint8) for phase in ("arterial", "venous")}
    arrays["labels"] = sitk.GetArrayFromImage(phantom.labels)
    geometry = (phantom.ncct.GetSpacing(), phantom.ncct.GetOrigin(), phantom.ncct.GetDirection())
    names = {value: name for name, value in LABELS.items() if value}
    return write_case(folder, arrays, *geometry, flag=flag, label_names=names)


def write_manifest(prepared: Path, splits: Mapping[str, str]) -> None:
    """List cases by name and split."""
    cases = [{"case": name, "split": split} for name, split in splits.items()]
    (prepared / "manifest.json").write_text(json.dumps({"version": VERSION, "cases": cases}), encoding="utf-8")
