"""Prepared training cases: int16 memory-mapped volumes, one folder a case (see :mod:`S2LDMTrainerLib.preparing`).

A prepared folder holds ``manifest.json``, which lists the cases and splits them by patient, and one folder a case::

    <case>/case.json           geometry, patient, registration figures
    <case>/ncct.npy            int16 HU (Z, Y, X), LPS axis order; so are arterial.npy, venous.npy
    <case>/arterial_valid.npy  uint8, 1 where NCCT and registered phase were both truly measured
    <case>/labels.npy          organ labels on the same grid, where the source had them
    <case>/cect.npy            instead of all these: a contrast phase without an NCCT, for the autoencoder
    <case>/check.png           the registration, to be looked at
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from S2LDMLib.errors import InputError

VERSION = 2  # raise it when results change: cases of another version are prepared again
MANIFEST = "manifest.json"
TRAIN, VALIDATION = "train", "validation"
KINDS = ("pair", "cect", "recoloured", "phantom")

Volume = NDArray[np.int16]


@dataclass(frozen=True)
class Case:
    """A prepared case.

    Attributes:
        folder: where its files lie; the folder's name is the case's name.
        patient: whose it is; a patient is never split over training and validation.
        kind: one of ``KINDS``.
        split: ``train`` or ``validation``.
        phases: of the CECTs that it holds; empty for the kind ``cect``.
        shape: voxels (z, y, x).
        spacing, origin, direction: of its grid, x, y, z in mm, LPS, row-major.
        flag: why it must not be used for training (a failed registration, swapped phases), or None.
        label_names: organ name by label value, where it has ``labels``.
    """

    folder: Path
    patient: str
    kind: str
    split: str
    phases: tuple[str, ...]
    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    origin: tuple[float, float, float]
    direction: tuple[float, ...]
    flag: str | None = None
    label_names: dict[int, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.folder.name

    def volume(self, name: str) -> Volume:
        """Map one volume, HU, int16 (Z, Y, X), read from disk as it is used: ``ncct``, ``arterial`` or ``venous``."""
        return self._map(name)

    def valid(self, phase: str) -> NDArray[np.uint8]:
        """Map the voxels of the NCCT's grid that the registered phase truly covers, uint8 (Z, Y, X)."""
        return self._map(f"{phase}_valid")

    def labels(self) -> NDArray[np.uint8] | None:
        """Map the organ labels (Z, Y, X) on the NCCT's grid, None where the source had none."""
        return self._map("labels") if (self.folder / "labels.npy").exists() else None

    def _map(self, name: str) -> NDArray[Any]:
        """Map a file once: a new map costs a page fault for each 4 KiB, thrice the time of the crop itself."""
        if name not in self._maps:
            self._maps[name] = np.load(self.folder / f"{name}.npy", mmap_mode="r")
        return self._maps[name]

    @cached_property
    def _maps(self) -> dict[str, NDArray[Any]]:
        return {}

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the maps: sent to another process, they would be copied voxel by voxel."""
        return {name: value for name, value in vars(self).items() if name != "_maps"}

    def images(self) -> list[str]:
        """Name all CT volumes of the case, for the autoencoder."""
        return ["ncct", *self.phases] if self.phases else ["cect"]

    def image(self, name: str) -> sitk.Image:
        """Copy one volume into an image with its geometry."""
        image = sitk.GetImageFromArray(np.asarray(self.volume(name)))
        image.SetSpacing(self.spacing)
        image.SetOrigin(self.origin)
        image.SetDirection(self.direction)
        return image


def load_cases(prepared: Path, split: str | None = None) -> list[Case]:
    """Load the cases of a prepared folder, by name; flagged ones too.

    Args:
        split: ``train`` or ``validation``, None for both.

    Raises:
        InputError: the folder was not prepared, by this version or at all, or a listed case is gone.
    """
    file = prepared / MANIFEST
    try:
        manifest = json.loads(file.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise InputError(f"{prepared} holds no prepared data. Run 's2ldm-train prepare DATA {prepared}'.") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read ({error}). Run 's2ldm-train prepare' again.") from None
    if not isinstance(manifest, dict) or manifest.get("version") != VERSION:
        raise InputError(f"{prepared} was prepared by another version. Run 's2ldm-train prepare' into a new folder.")
    cases = [_load_case(prepared / listed["case"], listed) for listed in manifest["cases"]]
    return [case for case in cases if split is None or case.split == split]


def _load_case(folder: Path, listed: dict[str, Any]) -> Case:
    try:
        info = json.loads((folder / "case.json").read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise InputError(f"{folder} cannot be read ({error}). Run 's2ldm-train prepare' again.") from None
    return Case(
        folder=folder,
        patient=info["patient"],
        kind=info["kind"],
        split=listed["split"],
        phases=tuple(info["phases"]),
        shape=_triple(info["shape"]),
        spacing=_triple(info["spacing"]),
        origin=_triple(info["origin"]),
        direction=tuple(info["direction"]),
        flag=info["flag"],
        label_names={int(value): name for value, name in info["label_names"].items()},
    )


def _triple(values: Sequence[Any]) -> tuple[Any, Any, Any]:
    first, second, third = values
    return first, second, third
