"""What the user decides about an exported series."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ExportOptions:
    """How a synthetic series is written.

    overwrite: replace a series that this program wrote into the same folder.
    burn_in: write SYNTHETIC and the phase into the pixels of the upper left corner.
    anonymize: nothing that identifies the patient travels (PS3.15 Annex E, Basic Profile).
    anonymize_key: file of the key that pseudonyms are made with; None for the user's own.
    patient_name, patient_id, study_description: what a new study says, where the source is not DICOM, or the pseudonym
        of an anonymised one; None for what says SYNTHETIC.
    """

    overwrite: bool = False
    burn_in: bool = False
    anonymize: bool = False
    anonymize_key: Path | None = None
    patient_name: str | None = None
    patient_id: str | None = None
    study_description: str | None = None
