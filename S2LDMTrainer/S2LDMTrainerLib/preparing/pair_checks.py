"""Can this case be prepared? Asked of the files alone, before the minutes of registration."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from S2LDMLib.errors import InputError
from S2LDMLib.guard.contrast import already_enhanced
from S2LDMLib.guard.input_checks import check_input
from S2LDMLib.reading import read_volume
from S2LDMLib.volume.body import body_box

from .dicom_identity import dicom_identity
from .sources import Source
from .volumes import average_to, labels_on, read_labels

SMALLEST = (32, 32, 8)  # voxels x, y, z: below it the registration has nothing to hold on to
SHARED_LENGTH = 0.25  # of the NCCT's length: below it too little is left to train on
SHARED_WIDTH = 0.5  # of the narrower body; 0.9 and more in all real pairs at hand


@dataclass(frozen=True)
class CheckFindings:
    """Why a case that can be prepared may be of no use; ``flag`` keeps it out of training."""

    flag: str | None = None
    warnings: tuple[str, ...] = ()


def check_files(source: Source) -> CheckFindings:
    """Check the files of a pair, or of a CECT alone.

    Raises:
        InputError: damaged, not a CT in HU, too small, one scan given twice, different patients, no overlap, NCCT and
            CECT swapped, labels that do not fit.
    """
    if "cect" in source.files:
        _read("cect", source.files["cect"])
        return CheckFindings()
    frames_differ = _check_identities(source)
    images, warnings = {}, {}
    for role in ("ncct", *source.phases):
        images[role], warnings[role] = _read(role, source.files[role])
    _check_distinct(images)
    boxes = {role: _body_corners(role, image) for role, image in images.items()}
    for phase in source.phases:
        _check_overlap(phase, boxes["ncct"], boxes[phase])
    enhanced = [role for role, image in images.items() if already_enhanced(image)]
    if "ncct" in enhanced and len(enhanced) < len(images):
        plain = ", ".join(role for role in images if role not in enhanced)
        raise InputError(
            f"The ncct is contrast-enhanced and {plain} is not: they look swapped. Give each file its own name."
        )
    if "labels" in source.files:
        _check_labels(source.files["labels"], images["ncct"])
    doubts = []
    if "ncct" in enhanced:
        doubts.append("the ncct is contrast-enhanced already")
    if frames_differ:
        doubts.append("the scans lie in different frames of reference")
    return CheckFindings("; ".join(doubts) or None, warnings["ncct"])


def read_ct(role: str, path: Path) -> sitk.Image:
    """Read a volume; an InputError names its role."""
    try:
        return read_volume(path)
    except InputError as error:
        raise InputError(f"{role}: {error}") from error


def _read(role: str, path: Path) -> tuple[sitk.Image, tuple[str, ...]]:
    """Read a volume that is a CT in HU, and tell what is unusual about it."""
    image = read_ct(role, path)
    try:
        return image, check_input(image, SMALLEST).warnings
    except InputError as error:
        raise InputError(f"{role}: {error}") from error


def _check_identities(source: Source) -> bool:
    """Refuse different patients by InputError; tell whether the frames of reference differ."""
    scans = {role: dicom_identity(source.files[role]) for role in ("ncct", *source.phases)}
    known = {role: scan for role, scan in scans.items() if scan is not None}
    for (one, first), (other, second) in combinations(known.items(), 2):
        if first.patient and second.patient and first.patient != second.patient:
            raise InputError(f"{one} and {other} are of different patients (PatientID). Give scans of one session.")
    return len({scan.frame_of_reference for scan in known.values() if scan.frame_of_reference}) > 1


def _check_distinct(images: Mapping[str, sitk.Image]) -> None:
    digests = {
        role: hashlib.sha256(sitk.GetArrayViewFromImage(image).data).hexdigest() for role, image in images.items()
    }
    for one, other in combinations(images, 2):
        if digests[one] == digests[other]:
            raise InputError(f"{one} and {other} are the same scan. Give each phase its own.")


def _body_corners(role: str, image: sitk.Image) -> np.ndarray:
    """Find the lowest and highest patient coordinates of the body, mm, LPS, shape (2, 3)."""
    box = body_box(image)
    if box is None:
        raise InputError(f"{role}: no body was found. Give a CT of a patient, in HU.")
    ranges = [(part.start - 0.5, part.stop - 0.5) for part in reversed(box)]
    corners = [(x, y, z) for x in ranges[0] for y in ranges[1] for z in ranges[2]]
    points = np.array([image.TransformContinuousIndexToPhysicalPoint(corner) for corner in corners])
    return np.stack([points.min(axis=0), points.max(axis=0)])


def _check_overlap(phase: str, ncct: np.ndarray, cect: np.ndarray) -> None:
    shared = np.maximum(0, np.minimum(ncct[1], cect[1]) - np.maximum(ncct[0], cect[0]))
    first, second = ncct[1] - ncct[0], cect[1] - cect[0]
    narrower = np.minimum(first, second)
    if shared[2] >= SHARED_LENGTH * first[2] and (shared[:2] >= SHARED_WIDTH * narrower[:2]).all():
        return
    raise InputError(
        f"ncct and {phase} share only {_times(shared)} mm (the body is {_times(first)} mm in the ncct, "
        f"{_times(second)} mm in {phase}). Give scans of the same region in the same patient coordinates."
    )


def _check_labels(path: Path, ncct: sitk.Image) -> None:
    coarse = average_to(ncct, (4.0, 4.0, 4.0))
    if not labels_on(coarse, read_labels(path)).any():
        raise InputError("labels do not cover the ncct. Give labels that were made on it, or leave them out.")


def _times(lengths: np.ndarray) -> str:
    return " x ".join(f"{length:.0f}" for length in lengths)
