"""Volumes in single files: NIfTI, NRRD and MetaImage, in and out."""

from __future__ import annotations

import gzip
import math
import struct
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import SimpleITK as sitk

from ..atomic import atomic_write
from ..errors import InputError
from .grid import to_int16
from .quiet import quiet_itk

INPUT_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd")
OUTPUT_SUFFIXES = (".nii.gz", ".nrrd", ".mha")
DESCRIPTION = "description"  # the one metadata key that NIfTI can hold, in ``descrip``
_DESCRIP_BYTES = 79
_CHUNK = 1 << 20


def read_file(path: Path) -> sitk.Image:
    """Read a volume from one file of ``INPUT_SUFFIXES``.

    Returns:
        3D scalar image with the file's own geometry and voxel type. Whether its values are HU is for
        :func:`S2LDMLib.guard.input_checks.check_input` to judge.

    Raises:
        InputError: the file is damaged, truncated, of an unknown format, not 3D, or holds several values a voxel.
    """
    suffix = suffix_of(path, INPUT_SUFFIXES)
    if suffix is None:
        raise InputError(
            f"{path} is of an unknown format. Give a file ending with {', '.join(INPUT_SUFFIXES)} or a DICOM folder."
        )
    if suffix.startswith(".nii"):
        _check_nifti_complete(path)
    return _as_3d(_read_image(path), path)


def write_volume(
    image: sitk.Image, path: str | Path, overwrite: bool = False, metadata: Mapping[str, str] | None = None
) -> None:
    """Write a volume as compressed int16, all or nothing; the same volume gives the same bytes every time.

    Args:
        image: 3D scalar image in HU; rounded and clipped to int16.
        path: ends with one of ``OUTPUT_SUFFIXES``. Geometry is exact in NRRD and MetaImage; NIfTI stores it in
            single precision (measured: direction within 1e-7, position within 1e-4 mm).
        overwrite: whether an existing file is replaced.
        metadata: header entries, ASCII. NRRD and MetaImage hold all; NIfTI holds the first 79 characters of the entry
            ``description``. The image's own entries are not written: a source's patient data stay behind.

    Raises:
        InputError: see ``check_output_path``; or the disk refused, and then nothing is left behind.
    """
    path = Path(path)
    check_output_path(path, overwrite)
    labelled = _labelled(to_int16(image), path.name.lower().endswith(".nii.gz"), metadata or {})
    try:
        with atomic_write(path) as partial, quiet_itk():
            sitk.WriteImage(labelled, str(partial), useCompression=True)
    except (RuntimeError, OSError) as error:
        raise InputError(f"{path} could not be written. Check the disk's free space and permissions.") from error


def check_output_path(path: str | Path, overwrite: bool, suffixes: Sequence[str] = OUTPUT_SUFFIXES) -> None:
    """Refuse an output file now rather than after minutes of computing.

    Raises:
        InputError: the suffix is unknown, the file exists and there is no ``overwrite``, or its folder is missing or
            not writable.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path} is a folder. Give an output file ending with {' or '.join(suffixes)}.")
    if suffix_of(path, suffixes) is None:
        raise InputError(f"{path} has no known ending. Give an output file ending with {' or '.join(suffixes)}.")
    if path.exists() and not overwrite:
        raise InputError(f"{path} exists. Give another output file, or allow it with --overwrite.")
    if not path.parent.is_dir():
        raise InputError(f"The folder {path.parent} does not exist. Create it or give another output file.")
    try:
        tempfile.TemporaryFile(dir=path.parent).close()  # os.access does not know all reasons
    except OSError:
        raise InputError(f"The folder {path.parent} is not writable. Give an output file in another folder.") from None


def suffix_of(path: Path, suffixes: Sequence[str]) -> str | None:
    """The ending of a path that is among ``suffixes``, in lower case; None where none is."""
    return next((suffix for suffix in suffixes if path.name.lower().endswith(suffix)), None)


def _damaged(path: Path) -> str:
    return f"{path} is damaged, truncated or not what its ending says. Copy or export the file anew."


def _read_image(path: Path) -> sitk.Image:
    try:
        with quiet_itk():
            return sitk.ReadImage(str(path))
    except RuntimeError as error:
        if "orthonormal" in str(error):
            raise InputError(
                f"{path} has a sheared or non-perpendicular grid. Resample it in Slicer and give that volume."
            ) from error
        raise InputError(_damaged(path)) from error


def _as_3d(image: sitk.Image, path: Path) -> sitk.Image:
    if image.GetNumberOfComponentsPerPixel() != 1:
        raise InputError(
            f"{path} has {image.GetNumberOfComponentsPerPixel()} values a voxel. Give a CT with one value a voxel."
        )
    if image.GetDimension() == 4 and image.GetSize()[3] == 1:
        image = image[..., 0]
    if image.GetDimension() != 3:
        raise InputError(f"{path} has {image.GetDimension()} dimensions. Give one 3D volume.")
    return image


def _check_nifti_complete(path: Path) -> None:
    """ITK reads a truncated NIfTI in silence and leaves the rest of the volume as it was in memory."""
    try:
        with gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb") as file:
            needed = _nifti_bytes(file.read(348), path)
            file.seek(0)
            # To the end, so that gzip verifies its checksum.
            held = sum(iter(lambda: len(file.read(_CHUNK)), 0))
    except (OSError, EOFError, ValueError, zlib.error, struct.error) as error:
        raise InputError(_damaged(path)) from error
    if needed is None or held < needed:
        raise InputError(_damaged(path))


def _nifti_bytes(head: bytes, path: Path) -> int | None:
    """How many bytes a single-file NIfTI-1 needs by its header; None where the header is none of a NIfTI-1."""
    if head[4:7] == b"n+2":
        raise InputError(f"{path} is NIfTI-2, which ITK does not read. Save the volume as NIfTI-1 or .nrrd.")
    for order in "<>":
        if struct.unpack_from(order + "i", head)[0] == 348 and head[344:347] == b"n+1":
            rank, *shape = struct.unpack_from(order + "8h", head, 40)
            (bits,) = struct.unpack_from(order + "h", head, 72)
            (offset,) = struct.unpack_from(order + "f", head, 108)
            return int(offset) + math.prod(shape[:rank]) * bits // 8
    return None


def _labelled(image: sitk.Image, is_nifti: bool, metadata: Mapping[str, str]) -> sitk.Image:
    # A new image: sitk.Image(image) shares its entries with the original, and erasing one erases both.
    result = sitk.GetImageFromArray(sitk.GetArrayViewFromImage(image))
    result.CopyInformation(image)
    for key, value in metadata.items():
        line = " ".join(value.encode("ascii", "replace").decode().split())
        if not is_nifti:
            result.SetMetaData(key, line)
        elif key == DESCRIPTION:
            result.SetMetaData("ITK_FileNotes", line[:_DESCRIP_BYTES])
    return result
