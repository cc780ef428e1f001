"""What translating needs besides Slicer's own packages, and what only an anonymous export needs."""

from __future__ import annotations

from pathlib import Path

from S2LDMSlicerLib.dependencies import Packages

_REQUIREMENTS = Path(__file__).resolve().parents[2] / "Resources" / "Requirements"

PACKAGES = Packages(
    requirements=_REQUIREMENTS / "S2LDMTranslate.txt",
    requester="S2LDM",
    work="translating",
    again="the button",
    size="0.05 GB",
)

ANONYMIZER = Packages(
    requirements=_REQUIREMENTS / "Anonymize.txt",
    requester="S2LDM",
    work="removing what identifies the patient",
    again="the button",
    size="0.01 GB",
)
