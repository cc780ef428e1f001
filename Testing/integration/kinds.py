"""Every kind of input that is exported: where it comes from, what was made of it, and with which options."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from dicom_maker import ct_array, ct_image, transcode, write_enhanced, write_series
from pydicom.dataset import FileDataset
from pydicom.uid import JPEG2000Lossless
from S2LDMLib.reading import read_volume
from S2LDMLib.volume.files import write_volume

PROVENANCE = {
    "description": "SYNTHETIC arterial CECT by S2LDM 0.1.0; not a real scan", "S2LDM_phase": "arterial",
    "S2LDM_version": "0.1.0", "S2LDM_model": "bundled", "S2LDM_revision": "06e9c48d10de7f66e8580a0d5d1e9096dc2ed64c",
    "S2LDM_steps": "1", "S2LDM_seed": "0", "S2LDM_detail": "native",
}  # fmt: skip
STORED = ct_array((10, 48, 64)) + np.int16(1024)
TILT_MM = 0.8  # that each slice lies further to the back: a gantry tilt of 9 degrees


@dataclass(frozen=True)
class Kind:
    """``make`` writes a source into a folder and returns what the command line is given: a DICOM folder, or None."""

    make: Callable[[Path], Path | None]
    alter: Callable[[sitk.Image], sitk.Image] = lambda image: image
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Exported:
    """source: DICOM folder, None where there was none. folder: the synthetic series. image: what was exported, HU."""

    source: Path | None
    folder: Path
    image: sitk.Image


def export(kind: Kind, place: Path) -> Exported:
    """Make a source, a result of it that is HU by HU another one, and a DICOM series of that by ``s2ldm to-dicom``."""
    source = kind.make(place / "source")
    image = kind.alter(read_volume(source) if source else ct_image((10, 48, 64)))
    image = sitk.Cast(image, sitk.sitkInt16) + sitk.Cast(image > 0, sitk.sitkInt16) * 37
    write_volume(image, place / "result.nrrd", True, PROVENANCE)
    words = ["to-dicom", str(place / "result.nrrd"), str(place / "synthetic"), "--progress", "none", *kind.options]
    words += ["--source", str(source)] if source else []
    done = subprocess.run([sys.executable, "-m", "S2LDMLib", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return Exported(source, place / "synthetic", image)


def _plain(folder: Path) -> Path:
    write_series(folder, STORED, _of_a_hospital)
    return folder


def _bare(folder: Path) -> Path:
    write_series(folder, STORED)
    return folder


def _enhanced(folder: Path) -> Path:
    write_enhanced(folder / "frames.dcm", STORED, PatientID="P-1", StudyDate="20260102")
    return folder


def _tilted(folder: Path) -> Path:
    def shift(index: int, slice_: FileDataset) -> FileDataset:
        slice_ = _of_a_hospital(index, slice_)
        slice_.ImagePositionPatient = [-40.0, -50.0 + TILT_MM * index, 100 + 5.0 * index]
        return slice_

    write_series(folder, STORED, shift)
    return folder


def _jpeg2000(folder: Path) -> Path:
    for file in write_series(folder, STORED, _of_a_hospital):
        transcode(file, JPEG2000Lossless)
    return folder


def _of_a_hospital(index: int, slice_: FileDataset) -> FileDataset:
    """What a scanner and a PACS fill in, contrast agent and private elements too."""
    values = {
        "SpecificCharacterSet": "ISO_IR 100", "PatientName": "Müller^Jörg", "PatientID": "P-0815",
        "PatientBirthDate": "19570312", "PatientSex": "M", "PatientAge": "069Y", "StudyDate": "20260102",
        "StudyTime": "101112", "StudyID": "S1", "StudyDescription": "Abdomen", "AccessionNumber": "A-77",
        "ReferringPhysicianName": "Arzt^Anna", "BodyPartExamined": "ABDOMEN", "PatientPosition": "HFS",
        "FrameOfReferenceUID": "1.2.3.4.5", "PositionReferenceIndicator": "XY", "AcquisitionDate": "20260102",
        "AcquisitionTime": "101530", "AcquisitionNumber": 2, "KVP": 120, "SeriesNumber": 3, "Manufacturer": "GE",
        "ManufacturerModelName": "LightSpeed", "InstitutionName": "Klinikum", "ContrastBolusAgent": "OMNIPAQUE",
        "ConvolutionKernel": "STANDARD", "XRayTubeCurrent": 200, "GantryDetectorTilt": 0,
    }  # fmt: skip
    for name, value in values.items():
        setattr(slice_, name, value)
    slice_.private_block(0x0009, "MAKER", create=True).add_new(0x01, "LO", "a private word")
    return slice_


def _resampled(image: sitk.Image) -> sitk.Image:
    """On a finer, smaller and turned grid."""
    grid = sitk.Image(40, 30, 16, sitk.sitkInt16)
    grid.SetSpacing((1.9, 1.9, 2.5))
    angle = np.deg2rad(4)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    grid.SetDirection(turn.ravel().tolist())
    grid.SetOrigin((-30.0, -35.0, 104.0))
    return sitk.Resample(image, grid, sitk.Transform(), sitk.sitkLinear, -1000)


KINDS = {
    "plain": Kind(_plain),
    "bare": Kind(_bare),
    "enhanced": Kind(_enhanced),
    "tilted": Kind(_tilted),
    "jpeg2000": Kind(_jpeg2000),
    "resampled": Kind(_plain, _resampled),
    "nifti": Kind(lambda folder: None),
    "anonymized": Kind(_plain, options=("--anonymize",)),
    "burnt": Kind(_plain, options=("--burn-in",)),
}
