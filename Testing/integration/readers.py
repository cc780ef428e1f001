"""Four readers of a DICOM series that share no code of ours: each gives an image in HU, in LPS."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
import slicer_standin
from tools import files, run


def read_with_gdcm(folder: Path) -> sitk.Image:
    """SimpleITK, and GDCM in it."""
    reader = sitk.ImageSeriesReader()
    (series,) = reader.GetGDCMSeriesIDs(str(folder))
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder), series))
    return reader.Execute()


def read_with_pydicom(folder: Path) -> sitk.Image:
    """pydicom and numpy, by the formulas of the standard (PS3.3 C.7.6.2.1.1 and C.11.1.1.2)."""
    slices = [pydicom.dcmread(file) for file in files(folder)]
    columns, rows = np.reshape(np.array(slices[0].ImageOrientationPatient, float), (2, 3))
    normal = np.cross(columns, rows)
    slices.sort(key=lambda one: float(normal @ np.array(one.ImagePositionPatient, float)))
    first, last = (np.array(one.ImagePositionPatient, float) for one in (slices[0], slices[-1]))
    planes = [one.pixel_array * float(one.RescaleSlope) + float(one.RescaleIntercept) for one in slices]
    image = sitk.GetImageFromArray(np.stack(planes))
    between = float(np.linalg.norm(last - first)) / max(1, len(slices) - 1)
    image.SetSpacing((float(slices[0].PixelSpacing[1]), float(slices[0].PixelSpacing[0]), between))
    image.SetOrigin(first.tolist())
    image.SetDirection(np.column_stack([columns, rows, normal]).ravel().tolist())
    return image


def read_with_slicer(folder: Path) -> sitk.Image:
    """Slicer's own archetype reader, as its DICOM plugin for scalar volumes uses it."""
    slicer = slicer_standin.start()
    import vtk

    storage = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLVolumeArchetypeStorageNode")
    storage.SetSingleFile(False)
    ordered = sorted(files(folder), key=_place)
    storage.SetFileName(str(ordered[0]))
    for file in ordered:
        storage.AddFileName(str(file))
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    assert storage.ReadData(node), f"Slicer's reader refuses {folder}"
    try:
        matrix = vtk.vtkMatrix4x4()
        node.GetIJKToRASMatrix(matrix)
        axes = np.diag([-1.0, -1.0, 1.0, 1.0]) @ slicer.util.arrayFromVTKMatrix(matrix)
        image = sitk.GetImageFromArray(slicer.util.arrayFromVolume(node).copy())
        spacing = np.linalg.norm(axes[:3, :3], axis=0)
        image.SetSpacing(spacing.tolist())
        image.SetOrigin(axes[:3, 3].tolist())
        image.SetDirection((axes[:3, :3] / spacing).ravel().tolist())
        return image
    finally:
        slicer.mrmlScene.Clear(0)


def read_with_dcm2niix(folder: Path, made: Path) -> sitk.Image:
    """dcm2niix, which must make one volume of it, in the empty folder ``made``."""
    run("dcm2niix", "-b", "n", "-z", "n", "-f", "read", "-o", made, folder)
    (file,) = made.glob("*.nii")
    return sitk.ReadImage(str(file))


def difference(one: sitk.Image, other: sitk.Image) -> tuple[float, float]:
    """The farthest that two images' corners lie apart in mm, and the largest difference in HU; axes may be flipped."""
    one, other = (sitk.DICOMOrient(sitk.Cast(image, sitk.sitkFloat64), "LPS") for image in (one, other))
    assert one.GetSize() == other.GetSize(), f"{one.GetSize()} and {other.GetSize()}"
    corners = [[0, 0, 0], [size - 1 for size in one.GetSize()], [one.GetWidth() - 1, 0, 0], [0, one.GetHeight() - 1, 0]]
    places = [np.array([image.TransformIndexToPhysicalPoint(corner) for corner in corners]) for image in (one, other)]
    hu = np.abs(sitk.GetArrayViewFromImage(one) - sitk.GetArrayViewFromImage(other)).max()
    return float(np.linalg.norm(places[0] - places[1], axis=1).max()), float(hu)


def _place(file: Path) -> float:
    header = pydicom.dcmread(file, stop_before_pixels=True)
    columns, rows = np.reshape(np.array(header.ImageOrientationPatient, float), (2, 3))
    return float(np.cross(columns, rows) @ np.array(header.ImagePositionPatient, float))
