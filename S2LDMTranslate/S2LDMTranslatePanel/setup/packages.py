"""What translating needs besides Slicer's own packages, and what only some models or an anonymous export need."""

from __future__ import annotations

from S2LDMLib.model.config import PAPER
from S2LDMSlicerLib.dependencies import Packages

PACKAGES = Packages(
    requirements=("Translate.txt",),
    requester="S2LDM",
    work="translating",
    again="the button",
    size="0.05 GB",
)

PAPER_PACKAGES = Packages(
    requirements=("Translate.txt", "Paper.txt"),
    requester="S2LDM",
    work="translating with this model",
    again="the button",
    size="0.05 GB",
)

ANONYMIZER = Packages(
    requirements=("Anonymize.txt",),
    requester="S2LDM",
    work="removing what identifies the patient",
    again="the button",
    size="0.01 GB",
)


def packages_of(kind: str) -> Packages:
    """What a model needs whose denoiser is of this kind."""
    return PAPER_PACKAGES if kind == PAPER else PACKAGES
