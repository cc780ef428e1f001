"""What translating needs besides Slicer's own packages."""

from __future__ import annotations

from pathlib import Path

from .dependencies import Packages

PACKAGES = Packages(
    requirements=Path(__file__).resolve().parents[1] / "Resources" / "Requirements" / "S2LDMTranslate.txt",
    requester="S2LDM",
    work="translating",
    again="the button",
    size="0.05 GB",
)
