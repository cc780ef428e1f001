"""Volumes in single files: NIfTI, NRRD and MetaImage, in and out."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import SimpleITK as sitk

from ..atomic import atomic_write
from ..errors import InputError, S2LDMWarning
from .grid import to_int16
from .nifti import check_nifti, damaged, keep_geometry
from .orientation import check_metaimage_orientation, check_nrrd_orientation
from .quiet import quiet_itk
from .streams import DamagedStreamError, check_metaimage, check_nrrd

INPUT_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd")
OUTPUT_SUFFIXES = (".nii.gz", ".nrrd", ".mha")
DESCRIPTION = "description"  # the one metadata key that NIfTI can hold, in ``descrip``
_DESCRIP_BYTES = 79


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
        check_nifti(path)
        return _as_3d(_read_image(path), path)
    is_nrrd = suffix in (".nrrd", ".nhdr")
    try:
        (check_nrrd if is_nrrd else check_metaimage)(path)
        image = _as_3d(_read_image(path), path)
        (check_nrrd_orientation if is_nrrd else check_metaimage_orientation)(path)
    except (DamagedStreamError, OSError, ValueError, LookupError, TypeError) as error:  # a header may say anything
        raise InputError(damaged(path)) from error
    return image


def write_volume(
    image: sitk.Image, path: str | Path, overwrite: bool = False, metadata: Mapping[str, str] | None = None,
    like: Path | None = None,
) -> None:  # fmt: skip
    """Write a volume as compressed int16, all or nothing; the same volume gives the same bytes every time.

    Args:
        image: 3D scalar image in HU; rounded and clipped to int16.
        path: ends with one of ``OUTPUT_SUFFIXES``. Geometry is exact in NRRD and MetaImage; NIfTI stores it in
            single precision (measured: direction within 1e-7, position within 1e-4 mm).
        overwrite: whether an existing file is replaced.
        metadata: header entries, ASCII. NRRD and MetaImage hold all; NIfTI holds the first 79 characters of the entry
            ``description``. The image's own entries are not written: a source's patient data stay behind.
        like: the file that the image was made from, on the same grid. Where both are NIfTI, the new file gets its
            transforms and codes, so that both lie alike in every reader, whichever of them it goes by.

    Raises:
        InputError: see ``check_output_path``; or the disk refused, and then nothing is left behind.
    """
    path = Path(path)
    check_output_path(path, overwrite)
    is_nifti = path.name.lower().endswith(".nii.gz")
    labelled = _labelled(to_int16(image), is_nifti, metadata or {})
    try:
        with atomic_write(path) as partial, quiet_itk():
            sitk.WriteImage(labelled, _for_itk(partial), useCompression=True)
            if is_nifti and like is not None and suffix_of(like, (".nii", ".nii.gz")):
                keep_geometry(partial, like)
    except (RuntimeError, OSError) as error:
        raise InputError(f"{path} could not be written. Check the disk's free space and permissions.") from error


def check_output_path(path: str | Path, overwrite: bool, suffixes: Sequence[str] = OUTPUT_SUFFIXES) -> None:
    """Refuse an output file now rather than after minutes of computing.

    Raises:
        InputError: the suffix is unknown, the file exists and there is no ``overwrite``, or its folder is missing or
            not writable.
    """
    path = Path(path)
    _for_itk(path)
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


def _for_itk(path: Path) -> str:
    """Raises InputError for a path that is no UTF-8, on which ITK would end the whole process."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise InputError(f"The path {path} is not in UTF-8. Rename the file or folder.") from None
    return str(path)


def _read_image(path: Path) -> sitk.Image:
    try:
        with quiet_itk() as said:
            image = sitk.ReadImage(_for_itk(path))
    except RuntimeError as error:
        if "orthonormal" in str(error):
            raise InputError(
                f"{path} has a sheared or non-perpendicular grid. Resample it in Slicer and give that volume."
            ) from error
        raise InputError(damaged(path)) from error
    for words in said:
        warnings.warn(f"Reading {path.name}, ITK says: {words}. Make sure that it lies as it should.", S2LDMWarning, 4)
    return image


def _as_3d(image: sitk.Image, path: Path) -> sitk.Image:
    """The scalar volume that an image is, also where it has an axis of one value or of one point in time more."""
    if image.GetNumberOfComponentsPerPixel() != 1:
        raise InputError(
            f"{path} has {image.GetNumberOfComponentsPerPixel()} values a voxel. Give a CT with one value a voxel."
        )
    if "vector" in image.GetPixelIDTypeAsString():
        image = sitk.VectorIndexSelectionCast(image, 0)
    while image.GetDimension() > 3 and image.GetSize()[-1] == 1:
        image = image[..., 0]
    if image.GetDimension() != 3:
        raise InputError(f"{path} has {image.GetDimension()} dimensions. Give one 3D volume.")
    return image


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
