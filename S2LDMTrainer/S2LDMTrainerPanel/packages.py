"""What training needs besides Slicer's own packages."""

from __future__ import annotations

from pathlib import Path

from S2LDMSlicerLib.dependencies import DependencyError as DependencyError
from S2LDMSlicerLib.dependencies import Packages

PACKAGES = Packages(
    requirements=Path(__file__).resolve().parents[1] / "Resources" / "Requirements" / "S2LDMTrainer.txt",
    requester="S2LDM Trainer",
    work="training",
    again="Start",
    size="0.1 GB",
)
