"""What a NIfTI-1 header says of size and geometry, checked before ITK reads the file, and kept in a result's file.

ITK reads a truncated file in silence, takes one of two contradictory transforms without a word, and guesses where there
is none. Other readers choose otherwise, so that the same file lies elsewhere in them.

Source: nifti1.h of the NIfTI Data Format Working Group.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..errors import InputError
from .orientation import check_square

_HEADER = 348
_CHUNK = 1 << 20
_GEOMETRY = (slice(76, 92), slice(252, 328))  # pixdim[0..3]; qform_code ... srow_z
_BITS = {2: 8, 4: 16, 8: 32, 16: 32, 64: 64, 256: 8, 512: 16, 768: 32, 1024: 64, 1280: 64}  # of a voxel, by datatype
_FARTHEST_VOXELS = 0.5  # between the corners that two transforms give


@dataclass(frozen=True)
class NiftiHeader:
    """The first 348 bytes of a NIfTI-1 file; transforms are (4, 4), voxel index to mm in RAS."""

    raw: bytes
    order: str
    size: tuple[int, ...]
    spacing: tuple[float, float, float]
    bytes_needed: int
    qform: np.ndarray | None
    sform: np.ndarray | None


def open_nifti(path: Path) -> BinaryIO | gzip.GzipFile:
    """The file's content, expanded where it is compressed."""
    return gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb")


def check_nifti(path: Path) -> None:
    """Check that a NIfTI file is whole and says one thing of where its voxels lie.

    Raises:
        InputError: truncated, damaged, NIfTI-2, without a usable spacing or orientation, or with two that differ.
    """
    try:
        with open_nifti(path) as file, np.errstate(all="ignore"):
            header = parse_nifti(file.read(_HEADER), path)
            held = _HEADER + sum(iter(lambda: len(file.read(_CHUNK)), 0))  # to the end, where gzip has its checksum
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(damaged(path)) from error
    if held < header.bytes_needed:
        raise InputError(damaged(path))
    with np.errstate(all="ignore"):  # what is no number is refused
        _check_geometry(header, path)


def damaged(path: Path) -> str:
    """The message for a file that cannot be read to its end."""
    return f"{path} is damaged, truncated or not what its ending says. Copy or export the file anew."


def parse_nifti(raw: bytes, path: Path) -> NiftiHeader:
    """Read the fields of a header.

    Raises:
        InputError: it is none of a single-file NIfTI-1.
    """
    if raw[4:7] == b"n+2":
        raise InputError(f"{path} is NIfTI-2, which ITK does not read. Save the volume as NIfTI-1 or .nrrd.")
    order = next((o for o in "<>" if len(raw) == _HEADER and struct.unpack_from(o + "i", raw)[0] == _HEADER), None)
    if order is None or raw[344:347] != b"n+1":
        raise InputError(damaged(path))
    rank, *dims = struct.unpack_from(order + "8h", raw, 40)
    kind, bits = struct.unpack_from(order + "2h", raw, 70)
    (offset,) = struct.unpack_from(order + "f", raw, 108)
    is_sound = 1 <= rank <= 7 and min(dims[:rank]) >= 1 and math.isfinite(offset) and _BITS.get(kind, bits) == bits
    if not is_sound:
        raise InputError(damaged(path))
    qfac, *steps = struct.unpack_from(order + "4f", raw, 76)
    q_code, s_code = struct.unpack_from(order + "2h", raw, 252)
    spacing = (float(steps[0]), float(steps[1]), float(steps[2]))
    sform = np.vstack([np.reshape(struct.unpack_from(order + "12f", raw, 280), (3, 4)), [0, 0, 0, 1]])
    qform = _quaternion_transform(struct.unpack_from(order + "6f", raw, 256), spacing, -1 if qfac < 0 else 1)
    return NiftiHeader(
        raw, order, tuple(dims[:rank]), spacing, max(int(offset), _HEADER + 4) + math.prod(dims[:rank]) * bits // 8,
        qform if q_code > 0 else None, sform if s_code > 0 else None,
    )  # fmt: skip


def keep_geometry(result: Path, source: Path) -> None:
    """Write the transforms and codes of the source into the ``.nii.gz``, so that both lie alike in every reader.

    The voxels of both lie in the same order; nothing else of the file changes.
    """
    with open_nifti(source) as file:
        header = parse_nifti(file.read(_HEADER), source)
    content = bytearray(gzip.decompress(result.read_bytes()))
    order = parse_nifti(bytes(content[:_HEADER]), result).order
    for part in _GEOMETRY:
        content[part] = header.raw[part] if order == header.order else _swapped(header.raw[part], part)
    result.write_bytes(gzip.compress(bytes(content), mtime=0))


def _swapped(raw: bytes, part: slice) -> bytes:
    """The same values in the other byte order: two shorts before the floats of the second part."""
    shorts = 2 if part == _GEOMETRY[1] else 0
    count = (len(raw) - 2 * shorts) // 4
    return struct.pack(f"<{shorts}h{count}f", *struct.unpack(f">{shorts}h{count}f", raw)) if raw else raw


def _check_geometry(header: NiftiHeader, path: Path) -> None:
    if not all(math.isfinite(step) and step > 0 for step in header.spacing[: min(3, len(header.size))]):
        steps = " x ".join(f"{step:g}" for step in header.spacing)
        raise InputError(f"{path} has voxels of {steps} mm, which cannot be right. Correct its header.")
    transforms = [each for each in (header.qform, header.sform) if each is not None]
    if not transforms:
        raise InputError(
            f"{path} does not say how the patient lies (qform_code and sform_code are 0), and left could be taken for "
            "right. Convert the DICOM anew, or set the orientation in the header."
        )
    if not all(np.isfinite(each).all() for each in transforms):
        raise InputError(f"{path} has a position or orientation that is no number. Correct its header.")
    check_square(path, transforms[-1][:3, :3].T)
    steps = np.linalg.norm(transforms[-1][:3, :3], axis=0)
    if not np.allclose(steps, header.spacing, rtol=0.01):
        raise InputError(
            f"{path} has two spacings, {_mm(header.spacing)} mm in pixdim and {_mm(tuple(steps))} mm in its sform. "
            "Correct its header, or convert the DICOM anew."
        )
    if len(transforms) == 2 and (apart := _farthest_mm(header)) > _FARTHEST_VOXELS * min(header.spacing):
        raise InputError(
            f"{path} lies in two places: its qform and its sform are up to {apart:.1f} mm apart, and programs "
            "differ in which they take. Correct its header, or convert the DICOM anew."
        )


def _farthest_mm(header: NiftiHeader) -> float:
    """Largest distance between the corners by the qform and by the sform."""
    assert header.qform is not None and header.sform is not None
    ends = [(0, n - 1) for n in (*header.size, 1, 1, 1)[:3]]
    corners = np.stack([*np.reshape(np.meshgrid(*ends), (3, -1)), np.ones(8)])
    return float(np.linalg.norm(((header.qform - header.sform) @ corners)[:3], axis=0).max())


def _quaternion_transform(values: tuple[float, ...], spacing: tuple[float, float, float], qfac: int) -> np.ndarray:
    b, c, d, *origin = values
    a = math.sqrt(max(0.0, 1 - b * b - c * c - d * d)) if math.isfinite(b + c + d) else math.nan
    rotation = np.array([
        [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
        [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
        [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - c * c - b * b],
    ])  # fmt: skip
    result = np.eye(4)
    result[:3, :3] = rotation * (spacing[0], spacing[1], spacing[2] * qfac)
    result[:3, 3] = origin
    return result


def _mm(values: tuple[float, ...]) -> str:
    return " x ".join(f"{value:.3g}" for value in values)
