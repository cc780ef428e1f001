"""Whose a DICOM series is and which frame of reference it lies in, without keeping who the patient is."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk
from S2LDMLib.quiet import quiet_itk

_PATIENT_ID, _FRAME_OF_REFERENCE = "0010|0020", "0020|0052"
_PREAMBLE = 132


@dataclass(frozen=True)
class DicomIdentity:
    """``patient``: pseudonym made from the PatientID; ``frame_of_reference``: its UID. None where the header has none.

    The pseudonym is a hash: equal for equal IDs, and not the ID; yet whoever knows an ID can compute it.
    """

    patient: str | None
    frame_of_reference: str | None


def dicom_identity(path: Path) -> DicomIdentity | None:
    """From the first DICOM image of a folder; None for a file and for a folder without one."""
    if not path.is_dir():
        return None
    for file in _dicom_files(path):
        reader = sitk.ImageFileReader()
        reader.SetImageIO("GDCMImageIO")
        reader.SetFileName(str(file))
        try:
            with quiet_itk():
                reader.ReadImageInformation()
        except RuntimeError:  # a report, or damaged: read_volume says so in its own words
            continue
        patient = _text(reader, _PATIENT_ID)
        return DicomIdentity(_pseudonym(patient) if patient else None, _text(reader, _FRAME_OF_REFERENCE) or None)
    return None


def _dicom_files(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            with (Path(root) / name).open("rb") as file:
                if file.read(_PREAMBLE)[-4:] == b"DICM" or name.lower().endswith((".dcm", ".ima")):
                    yield Path(root) / name


def _text(reader: sitk.ImageFileReader, tag: str) -> str:
    value = reader.GetMetaData(tag) if reader.HasMetaDataKey(tag) else ""
    return value.encode("utf-8", "replace").decode().strip(" \0")


def _pseudonym(patient_id: str) -> str:
    return "patient_" + hashlib.sha256(f"S2LDM patient {patient_id}".encode()).hexdigest()[:16]
