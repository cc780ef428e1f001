"""What training needs besides Slicer's own packages."""

from __future__ import annotations

from S2LDMSlicerLib.dependencies import DependencyError as DependencyError
from S2LDMSlicerLib.dependencies import Packages

PACKAGES = Packages(
    requirements=("Translate.txt", "Paper.txt", "Train.txt"),
    requester="S2LDM Trainer",
    work="training",
    again="Start",
    size="0.1 GB",
)
