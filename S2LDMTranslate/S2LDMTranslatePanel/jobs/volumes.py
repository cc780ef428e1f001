"""The volumes that a job is given and gives back: plain arrays that it shares with no node."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import SimpleITK as sitk

_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0])


@dataclass(frozen=True)
class Snapshot:
    """A copy of a volume node as it was, which another thread may use.

    hu: voxels (K, J, I). ijk_to_ras: 4 x 4, of the node itself, without its parent transforms.
    instance_uids: those of the DICOM series that it was loaded from, parted by spaces; empty without DICOM.
    """

    name: str
    node_id: str
    hu: np.ndarray
    ijk_to_ras: np.ndarray
    instance_uids: str = ""

    def image(self) -> sitk.Image:
        """Give the same volume as the engine reads it, in LPS."""
        axes = _RAS_TO_LPS @ self.ijk_to_ras[:3, :3]
        spacing = np.linalg.norm(axes, axis=0)
        image = sitk.GetImageFromArray(self.hu)
        image.SetSpacing(spacing.tolist())
        image.SetOrigin((_RAS_TO_LPS @ self.ijk_to_ras[:3, 3]).tolist())
        image.SetDirection((axes / spacing).ravel().tolist())
        return image


@dataclass(frozen=True)
class EngineResult:
    """What the engine made: int16 HU (K, J, I) on the source's grid, and how, by key (``S2LDM_phase``...)."""

    hu: np.ndarray
    provenance: dict[str, str] = field(default_factory=dict)
