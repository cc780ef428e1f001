"""From the stored pixels of a slice, however compressed, to HU."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress

import numpy as np
import pydicom.uid as syntaxes
import SimpleITK as sitk
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels import get_decoder

from ...errors import InputError
from ...volume.grid import AIR_HU
from ...volume.quiet import quiet_itk
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

    Raises:
        InputError: a file cannot be read or decoded.
    """
    path, dataset = None, Dataset()
    for one in slices:
        if one.path != path:  # the frames of a file usually follow one another
            path, dataset = one.path, _whole(one)
        yield _to_hu(_stored(dataset, one), one)


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
    single.PixelData = encapsulate([get_frame(dataset.PixelData, index, number_of_frames=frames)])
    single["PixelData"].VR = "OB"
    single.file_meta = FileMetaDataset()
    single.file_meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
    with readable_by_path(lambda stream: single.save_as(stream, enforce_file_format=True)) as path, quiet_itk():
        return sitk.GetArrayFromImage(sitk.ReadImage(path, imageIO="GDCMImageIO"))[0]


def _to_hu(stored: np.ndarray, one: DicomSlice) -> np.ndarray:
    padding = _padding(stored, one.header)
    values = _used_bits(stored, one.header)
    if one.in_whole_hu:
        hu = values * np.int32(one.slope) + np.int32(one.intercept)
    else:
        hu = (values * one.slope + one.intercept).astype(np.float32)
    hu[padding] = AIR_HU
    return hu


def _padding(stored: np.ndarray, header: Dataset) -> np.ndarray:
    """Where the pixels lie outside the reconstruction circle, by PixelPaddingValue and its range limit."""
    first = _stored_number(stored, header, "PixelPaddingValue")
    if first is None:
        return np.zeros(stored.shape, bool)
    last = _stored_number(stored, header, "PixelPaddingRangeLimit")
    low, high = sorted((first, first if last is None else last))
    return (stored >= low) & (stored <= high)


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
