"""Whose a DICOM series is and which frame of reference it lies in, without keeping who the patient is."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from S2LDMLib.dicom.reading.files import deeper_files, direct_files
from S2LDMLib.dicom.reading.headers import read_header
from S2LDMLib.errors import InputError


@dataclass(frozen=True)
class DicomIdentity:
    """``patient``: pseudonym made from the PatientID; ``frame_of_reference``: its UID. None where the header has none.

    The pseudonym is a hash: equal for equal IDs, and not the ID; yet whoever knows an ID can compute it.
    """

    patient: str | None
    frame_of_reference: str | None


def dicom_identity(path: Path) -> DicomIdentity | None:
    """From the first DICOM image of a folder; None for a file and for a folder without one.

    Raises:
        InputError: the folder cannot be listed.
    """
    if not path.is_dir():
        return None
    for file in (*direct_files(path), *deeper_files(path)):
        try:
            header = read_header(file)
        except InputError:  # damaged: read_volume says so in its own words
            continue
        if header.has_pixels:
            patient = header.text("PatientID")
            return DicomIdentity(_pseudonym(patient) if patient else None, header.text("FrameOfReferenceUID") or None)
    return None


def _pseudonym(patient_id: str) -> str:
    return "patient_" + hashlib.sha256(f"S2LDM patient {patient_id}".encode()).hexdigest()[:16]
