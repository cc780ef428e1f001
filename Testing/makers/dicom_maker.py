"""Small made-up CT volumes and DICOM series for tests; nothing here comes from a patient."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import (
    UID,
    CTImageStorage,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    RLELossless,
    generate_uid,
)

_GDCM_NAMES = {JPEG2000Lossless: "JPEG2000", JPEGLosslessSV1: "JPEG"}
Edit = Callable[[int, FileDataset], "FileDataset | None"]


def ct_array(shape: tuple[int, int, int] = (12, 48, 64), seed: int = 0) -> np.ndarray:
    """int16 HU (z, y, x): an elliptical body of soft tissue with fat, lungs' worth of gas and a spine."""
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, size) for size in shape), indexing="ij")
    volume = np.full(shape, -1000.0)
    radius = np.hypot(x / 0.85, y / 0.85)
    volume[radius < 1] = -100
    volume[radius < 0.88] = 45
    volume[np.hypot((x - 0.3) / 0.2, (y + 0.2) / 0.2) < 1] = -850
    spine = np.hypot(x / 0.15, (y - 0.45) / 0.18)
    volume[spine < 1] = 500
    volume[spine < 0.7] = 180
    noise = np.random.default_rng(seed).normal(0, 8, shape)
    return np.round(volume + noise + 3 * z).astype(np.int16)


def image_of(values: np.ndarray, spacing: tuple[float, float, float] = (5, 5, 5)) -> sitk.Image:
    """An image of voxels (z, y, x); spacing is (x, y, z) in mm."""
    image = sitk.GetImageFromArray(values)
    image.SetSpacing(spacing)
    return image


def hu(image: sitk.Image) -> np.ndarray:
    """The voxels of an image (z, y, x), float64."""
    return sitk.GetArrayFromImage(image).astype(float)


def ct_image(shape: tuple[int, int, int] = (12, 48, 64), spacing: tuple[float, float, float] = (5, 5, 5)) -> sitk.Image:
    """``ct_array`` as an image; spacing is (x, y, z) in mm."""
    return image_of(ct_array(shape), spacing)


def write_series(folder: Path, voxels: np.ndarray, edit: Edit | None = None, **tags: object) -> list[Path]:
    """Writes one CT file a slice.

    Args:
        folder: made where missing.
        voxels: stored values (z, y, x), int16; HU are stored - 1024 unless ``edit`` changes the rescale.
        edit: called with the slice's number and dataset; returns the dataset to write, or None to leave it out.
        **tags: DICOM attributes for every slice.
    """
    folder.mkdir(parents=True, exist_ok=True)
    series, study = generate_uid(), generate_uid()
    written = []
    for index, plane in enumerate(voxels):
        slice_ = _slice(index, plane, series, study)
        for name, value in tags.items():
            setattr(slice_, name, value)
        slice_ = edit(index, slice_) if edit else slice_
        if slice_ is None:
            continue
        # Names against the order of positions: sorting must go by the header.
        path = folder / f"{series[-6:]}_{len(voxels) - index:03d}.dcm"
        slice_.save_as(path, enforce_file_format=True)
        written.append(path)
    return written


def _slice(index: int, plane: np.ndarray, series: str, study: str) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    result = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    result.SOPClassUID, result.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    result.SeriesInstanceUID, result.StudyInstanceUID = series, study
    result.PatientName, result.PatientID = "Made^Up", "none"
    result.Modality, result.SeriesDescription = "CT", "plain"
    result.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    result.InstanceNumber = index + 1
    result.Rows, result.Columns = plane.shape
    result.PixelSpacing = [2.0, 1.5]
    result.SliceThickness = 5
    result.ImagePositionPatient = [-40.0, -50.0, 100 + 5.0 * index]
    result.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    result.SamplesPerPixel, result.PhotometricInterpretation = 1, "MONOCHROME2"
    result.BitsAllocated, result.BitsStored, result.HighBit, result.PixelRepresentation = 16, 16, 15, 1
    result.RescaleIntercept, result.RescaleSlope = -1024, 1
    result.PixelData = np.ascontiguousarray(plane, np.int16).tobytes()
    return result


def write_enhanced(path: Path, voxels: np.ndarray, edit: Edit | None = None, **tags: object) -> Path:
    """Writes one enhanced multi-frame CT file with the geometry of :func:`write_series`, frames from head to feet.

    Args:
        voxels: stored values (z, y, x), int16.
        edit: called with the slice's number and its functional groups, to change them; what it returns is not used.
        **tags: DICOM attributes for the file.
    """
    result = _slice(0, voxels[0], generate_uid(), generate_uid())
    result.SOPClassUID = result.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    result.SeriesDescription, result.NumberOfFrames = "enhanced multi-frame", len(voxels)
    shared = _item(
        PixelMeasuresSequence={"PixelSpacing": result.PixelSpacing, "SliceThickness": 5},
        PlaneOrientationSequence={"ImageOrientationPatient": result.ImageOrientationPatient},
    )
    frames = []
    for index in range(len(voxels)):
        groups = _item(
            PlanePositionSequence={"ImagePositionPatient": [-40.0, -50.0, 100 + 5.0 * index]},
            PixelValueTransformationSequence={"RescaleIntercept": -1024, "RescaleSlope": 1, "RescaleType": "HU"},
            FrameContentSequence={"StackID": "1", "TemporalPositionIndex": 1, "InStackPositionNumber": index + 1},
        )
        if edit:
            edit(index, groups)
        frames.append(groups)
    result.SharedFunctionalGroupsSequence, result.PerFrameFunctionalGroupsSequence = [shared], frames[::-1]
    for keyword in ("PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient", "RescaleIntercept",
                    "RescaleSlope", "SliceThickness"):  # fmt: skip
        delattr(result, keyword)
    result.PixelData = np.ascontiguousarray(voxels[::-1], np.int16).tobytes()
    for name, value in tags.items():
        setattr(result, name, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    result.save_as(path, enforce_file_format=True)
    return path


def transcode(path: Path, syntax: UID) -> None:
    """Writes a CT file anew in another transfer syntax; JPEG and JPEG 2000 by GDCM, all others by pydicom."""
    dataset = dcmread(path)
    if syntax in _GDCM_NAMES:
        frames = np.atleast_3d(dataset.pixel_array.T).T
        parts = [_encoded(frame, _GDCM_NAMES[syntax], path.with_name("one_frame.dcm")) for frame in frames]
        dataset.PixelData = encapsulate(parts)
        dataset["PixelData"].VR = "OB"
    elif syntax == RLELossless:
        dataset.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    elif syntax == ExplicitVRBigEndian:
        dataset.PixelData = np.frombuffer(dataset.PixelData, "<i2").astype(">i2").tobytes()
    dataset.file_meta.TransferSyntaxUID = syntax
    for _ in dataset.iterall():  # decodes every value, so that it can be written with bytes in another order
        pass
    dcmwrite(path, dataset, enforce_file_format=True)


def _encoded(frame: np.ndarray, name: str, path: Path) -> bytes:
    writer = sitk.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.SetFileName(str(path))
    writer.UseCompressionOn()
    writer.SetCompressor(name)
    writer.Execute(sitk.GetImageFromArray(frame[None]))
    encoded = get_frame(dcmread(path).PixelData, 0, number_of_frames=1)
    path.unlink()
    return encoded


def _item(**sequences: dict[str, object]) -> Dataset:
    """A data set of sequences with one item each."""
    result = Dataset()
    for name, elements in sequences.items():
        item = Dataset()
        for keyword, value in elements.items():
            setattr(item, keyword, value)
        setattr(result, name, [item])
    return result
