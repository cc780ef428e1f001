"""Prepared training cases: int16 memory-mapped volumes, one folder a case (see :mod:`S2LDMTrainerLib.prepare`)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Volume = NDArray[np.int16]


@dataclass(frozen=True)
class Case:
    """A prepared case: where it lies, whose it is, and of what kind (pair, recoloured, phantom, cect)."""

    folder: Path
    patient: str
    kind: str

    def volume(self, name: str) -> Volume:
        """One volume, HU, int16 (Z, Y, X), read from disk as it is used: ``ncct``, ``arterial`` or ``venous``."""
        return np.load(self.folder / f"{name}.npy", mmap_mode="r")

    def valid(self, phase: str) -> NDArray[np.uint8]:
        """Voxels of the NCCT's grid that the registered phase truly covers, uint8 (Z, Y, X)."""
        return np.load(self.folder / f"{phase}_valid.npy", mmap_mode="r")

    def images(self) -> list[str]:
        """Names of all images of the case, for the autoencoder."""
        names = sorted(file.stem for file in self.folder.glob("*.npy"))
        return [name for name in names if not name.endswith("_valid")]


def load_cases(prepared: Path) -> list[Case]:
    """All complete cases below a folder of prepared data, in the order of their names."""
    cases = []
    for file in sorted(prepared.glob("*/case.json")):
        info = json.loads(file.read_text(encoding="utf-8"))
        cases.append(Case(file.parent, info["patient"], info["kind"]))
    if not cases:
        raise FileNotFoundError(f"no prepared case below {prepared}: run python -m S2LDMTrainerLib.prepare first")
    return cases
