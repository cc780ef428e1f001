"""From the stored pixels of a slice, however compressed, to HU."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import suppress

import numpy as np
import pydicom.uid as syntaxes
import SimpleITK as sitk
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels import get_decoder

from ...errors import InputError, S2LDMWarning
from ...volume.grid import AIR_HU
from ...volume.quiet import quiet_itk
from .codestream import is_sound
from .headers import number, quiet_pydicom
from .scratch import readable_by_path
from .slices import DicomSlice

_BY_PYDICOM = (
    syntaxes.ImplicitVRLittleEndian,
    syntaxes.ExplicitVRLittleEndian,
    syntaxes.DeflatedExplicitVRLittleEndian,
    syntaxes.ExplicitVRBigEndian,
    syntaxes.RLELossless,
)
_BY_GDCM = (
    syntaxes.JPEGBaseline8Bit,
    syntaxes.JPEGExtended12Bit,
    syntaxes.JPEGLossless,
    syntaxes.JPEGLosslessSV1,
    syntaxes.JPEGLSLossless,
    syntaxes.JPEGLSNearLossless,
    syntaxes.JPEG2000Lossless,
    syntaxes.JPEG2000,
)
_TISSUE_HU = (-200, 3000)  # fat to metal


def check_compression(slices: Iterable[DicomSlice]) -> None:
    """Raises InputError where no decoder is at hand."""
    for one in slices:
        syntax = one.header.file_meta.TransferSyntaxUID
        if syntax not in (*_BY_PYDICOM, *_BY_GDCM):
            raise InputError(
                f"{one.path} is compressed in a way that cannot be read here ({syntax.name}). Export the series "
                "without compression."
            )


def hu_planes(slices: Iterable[DicomSlice]) -> Iterator[np.ndarray]:
    """Yields each slice (rows, columns) in HU: int32, or float32 where the rescale is no whole number.

    What a slice calls padding becomes air; tissue of the same value stays, and a ``S2LDMWarning`` tells of the first.

    Raises:
        InputError: a file cannot be read or decoded.
    """
    path, dataset, is_told = None, Dataset(), False
    for one in slices:
        if one.path != path:  # the frames of a file usually follow one another
            path, dataset = one.path, _whole(one)
        stored = _stored(dataset, one)
        padding, doubted = _padding(stored, one)
        if doubted and not is_told:
            is_told = True
            value = one.header.PixelPaddingValue
            told = f"PixelPaddingValue {value} also lies inside the patient, first in {one.name} ({doubted} voxels)"
            warnings.warn(f"{told}: there it is taken for tissue.", S2LDMWarning, stacklevel=2)
        yield _to_hu(stored, padding, one)


def _whole(one: DicomSlice) -> Dataset:
    try:
        with quiet_pydicom():
            dataset = dcmread(one.path, force=True)
    except Exception as error:  # whatever pydicom meets in a file that changed since its header was read
        raise _undecodable(one) from error
    dataset.file_meta = one.header.file_meta
    return dataset


def _stored(dataset: Dataset, one: DicomSlice) -> np.ndarray:
    """The stored values of a slice (rows, columns)."""
    index = one.frame or 0
    try:
        with quiet_pydicom():
            if dataset.file_meta.TransferSyntaxUID in _BY_PYDICOM:
                decoder = get_decoder(dataset.file_meta.TransferSyntaxUID)
                # Annotated as if each option were a dictionary of all.
                pixels, _ = decoder.as_array(dataset, index=index, raw=True, correct_unused_bits=False)  # type: ignore[arg-type]
            else:
                pixels = _decoded_by_gdcm(dataset, index)
    except InputError:  # nothing is wrong with the pixels
        raise
    except Exception as error:  # decoders raise anything on damaged pixels
        raise _undecodable(one) from error
    if pixels.shape != one.size[::-1]:
        raise _undecodable(one)
    return pixels


def _decoded_by_gdcm(dataset: Dataset, index: int) -> np.ndarray:
    """Decode one frame. SimpleITK reads only files and rescales them, so the frame goes into one without a rescale."""
    frames = int(number(dataset, "NumberOfFrames") or 1)
    single = Dataset()
    for keyword in ("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"):
        setattr(single, keyword, dataset[keyword].value)
    single.SamplesPerPixel, single.PhotometricInterpretation = 1, "MONOCHROME2"
    single.SOPClassUID, single.SOPInstanceUID = syntaxes.SecondaryCaptureImageStorage, syntaxes.generate_uid()
    encoded = get_frame(dataset.PixelData, index, number_of_frames=frames)
    if not is_sound(encoded, single.Rows, single.Columns, single.BitsAllocated):
        raise ValueError("the compressed frame is not what the header says")
    single.PixelData = encapsulate([encoded])
    single["PixelData"].VR = "OB"
    single.file_meta = FileMetaDataset()
    single.file_meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
    with readable_by_path(lambda stream: single.save_as(stream, enforce_file_format=True)) as path, quiet_itk():
        return sitk.GetArrayFromImage(sitk.ReadImage(path, imageIO="GDCMImageIO"))[0]


def _to_hu(stored: np.ndarray, padding: np.ndarray, one: DicomSlice) -> np.ndarray:
    values = _used_bits(stored, one.header)
    if one.in_whole_hu and stored.dtype.itemsize <= 2:
        hu = values * np.int32(one.slope) + np.int32(one.intercept)
    else:
        hu = (values * one.slope + one.intercept).astype(np.float32)
    hu[padding] = AIR_HU
    return hu


def _padding(stored: np.ndarray, one: DicomSlice) -> tuple[np.ndarray, int]:
    """Where the pixels lie outside the reconstruction circle, by PixelPaddingValue and its range limit.

    A value that tissue may have, such as 0 in signed HU, counts only in areas that reach a corner of the slice, where
    what lies outside a circle does; how many pixels have it elsewhere is returned too.
    """
    first = _stored_number(stored, one.header, "PixelPaddingValue")
    if first is None:
        return np.zeros(stored.shape, bool), 0
    last = _stored_number(stored, one.header, "PixelPaddingRangeLimit")
    low, high = sorted((first, first if last is None else last))
    padding = (stored >= low) & (stored <= high)
    darkest, brightest = sorted((low * one.slope + one.intercept, high * one.slope + one.intercept))
    if brightest < _TISSUE_HU[0] or darkest > _TISSUE_HU[1] or not padding.any():
        return padding, 0
    outside = _reaching_a_corner(padding)
    return outside, int(padding.sum() - outside.sum())


def _reaching_a_corner(mask: np.ndarray) -> np.ndarray:
    """The areas of a mask (rows, columns) that hold one of its four corners."""
    corners = np.zeros(mask.shape, np.uint8)
    corners[:: max(1, mask.shape[0] - 1), :: max(1, mask.shape[1] - 1)] = 1
    marker, within = (sitk.GetImageFromArray(each.astype(np.uint8)) for each in (corners & mask, mask))
    return sitk.GetArrayFromImage(sitk.BinaryReconstructionByDilation(marker, within, 0.0, 1.0)) == 1


def _stored_number(stored: np.ndarray, header: Dataset, keyword: str) -> int | None:
    """The value of an element in the pixels' own type; many files hold a negative value as an unsigned one."""
    value = number(header, keyword)
    if value is None:
        return None
    with suppress(OverflowError):
        return int(np.array(int(value), np.int64).astype(stored.dtype))
    return None


def _used_bits(stored: np.ndarray, header: Dataset) -> np.ndarray:
    """The stored values as int32, without the bits beyond BitsStored (old overlays) and with their sign extended."""
    allocated = 8 * stored.dtype.itemsize
    used = int(number(header, "BitsStored") or allocated)
    high = int(number(header, "HighBit") or used - 1)
    if used >= allocated or high >= allocated or header.file_meta.TransferSyntaxUID in _BY_GDCM:
        return stored.astype(np.int32)
    # To the top of the type and back down: what is above falls off, and the shift back extends the sign.
    return (stored << (allocated - 1 - high) >> (allocated - used)).astype(np.int32)


def _undecodable(one: DicomSlice) -> InputError:
    syntax = one.header.file_meta.TransferSyntaxUID
    return InputError(f"{one.path}: the pixels are damaged ({syntax.name}). Copy or export the file anew.")
