"""DICOM out: slice for slice on the source's own grid, and a series that says so on any other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_maker import ct_array, ct_image, write_enhanced
from dicom_out_samples import STORED, export, hostile, resampled, scanned
from pydicom import Dataset
from pydicom.uid import CTImageStorage
from S2LDMLib.dicom.reading.series import DicomSeries, find_series
from S2LDMLib.errors import InputError


@pytest.mark.parametrize("order", ["RAS", "LPI", "SPL", "AIR"])
def test_a_volume_with_its_axes_in_another_order_is_still_the_sources_grid(
    tmp_path: Path, source: DicomSeries, order: str
) -> None:
    made = export(tmp_path / "out", source, sitk.DICOMOrient(source.read(), order))
    for one, original, plane in zip(made, source.slices, ct_array(), strict=True):
        assert one.ImagePositionPatient == original.header.ImagePositionPatient
        assert np.array_equal(one.pixel_array, plane)
    assert "DerivationCodeSequence" not in made[0]


def test_nifti_on_the_sources_grid_keeps_the_sources_geometry(tmp_path: Path) -> None:
    """NIfTI holds an oblique grid in single precision: 1e-5 mm off is the same grid."""
    turn = sitk.Euler3DTransform((0, 0, 0), 0.2, -0.3, 0.1)
    axes = np.reshape(turn.GetMatrix(), (3, 3))

    def edit(index: int, slice_: Dataset) -> Dataset:
        slice_.ImageOrientationPatient = [f"{value:.12f}" for value in axes.T[:2].ravel()]
        position = np.array([-123.456789, 45.678, -999.123]) + 5 * index * axes[:, 2]
        slice_.ImagePositionPatient = [f"{value:.9f}" for value in position]
        return slice_

    source = scanned(tmp_path / "source", edit)
    sitk.WriteImage(source.read(), str(tmp_path / "made.nii.gz"))
    made = export(tmp_path / "out", source, sitk.ReadImage(str(tmp_path / "made.nii.gz")))
    assert "DerivationCodeSequence" not in made[0]
    for one, original in zip(made, source.slices, strict=True):
        assert one.ImagePositionPatient == original.header.ImagePositionPatient


def test_a_resampled_volume_has_its_own_geometry_and_says_so(tmp_path: Path, source: DicomSeries) -> None:
    image = resampled(source)
    made = export(tmp_path / "out", source, image)
    assert len(made) == 24
    for index, one in enumerate(made):
        assert one.DerivationCodeSequence[0].CodeValue == "113085" and "Resampled" in one.DerivationDescription
        assert one.FrameOfReferenceUID == "1.2.3.4.5" and one.StudyInstanceUID == made[0].StudyInstanceUID
        place = image.TransformIndexToPhysicalPoint((0, 0, index))
        assert np.allclose(np.array(one.ImagePositionPatient, float), place, atol=1e-9)
        assert np.array_equal(one.pixel_array, sitk.GetArrayViewFromImage(image)[index])
        uids = {reference.ReferencedSOPInstanceUID for reference in one.SourceImageSequence}
        near = {each.sop_instance_uid for each in source.slices if abs(each.position[2] - place[2]) < 5}
        assert uids == near and 1 <= len(uids) <= 2
        assert {reference.SpatialLocationsPreserved for reference in one.SourceImageSequence} == {"NO"}
        assert one.PixelSpacing == [1.8, 2.25] and one.SliceThickness == one.SpacingBetweenSlices == 2.5
    back = find_series(tmp_path / "out").read()
    assert np.array_equal(sitk.GetArrayFromImage(back), sitk.GetArrayFromImage(image))
    assert np.allclose(back.GetOrigin(), image.GetOrigin(), atol=1e-9)


def test_a_tilted_gantry_gives_a_straightened_series(tmp_path: Path) -> None:
    def tilt(index: int, slice_: Dataset) -> Dataset:
        hostile(index, slice_).ImagePositionPatient = [-40, -50 + 1.3 * index, 100 + 5.0 * index]
        return slice_

    source = scanned(tmp_path / "source", tilt)
    assert not source.regular
    made = export(tmp_path / "out", source)
    assert {one.DerivationCodeSequence[0].CodeValue for one in made} == {"113085"}
    back = find_series(tmp_path / "out")
    assert back.regular
    assert np.array_equal(sitk.GetArrayFromImage(back.read()), sitk.GetArrayFromImage(source.read()))
    assert back.read().GetOrigin() == pytest.approx(source.read().GetOrigin(), abs=1e-6)


def test_unevenly_spaced_slices_give_an_even_series_that_says_so(tmp_path: Path) -> None:
    """As many slices as the source, from the same first to the same last place, and yet not the source's own."""

    def shift(index: int, slice_: Dataset) -> Dataset:
        slice_.ImagePositionPatient = [-40, -50, 100 + 5.0 * index + (1.5 if index == 5 else 0)]
        return slice_

    source = scanned(tmp_path / "source", shift)
    made = export(tmp_path / "out", source)
    assert len(made) == len(source.slices)
    assert {one.DerivationCodeSequence[0].CodeValue for one in made} == {"113085"}
    assert float(made[5].ImagePositionPatient[2]) == 125


def test_a_volume_beside_the_source_is_refused(tmp_path: Path, source: DicomSeries) -> None:
    image = source.read()
    image.SetOrigin((-40, -50, 300))
    with pytest.raises(InputError, match=r"lies outside the source series.*--source"):
        export(tmp_path / "out", source, image)
    assert not (tmp_path / "out").exists()


def test_frames_of_an_enhanced_file_become_classic_slices(tmp_path: Path) -> None:
    file = write_enhanced(tmp_path / "source" / "enhanced.dcm", STORED, PatientID="P-0815", FrameOfReferenceUID="1.2.9")
    source = find_series(file)
    made = export(tmp_path / "out", source)
    assert len(made) == 12
    for one, original in zip(made, source.slices, strict=True):
        (reference,) = one.SourceImageSequence
        assert reference.ReferencedFrameNumber == original.frame + 1
        assert reference.ReferencedSOPClassUID == original.header.SOPClassUID
        assert np.allclose(np.array(one.ImagePositionPatient, float), original.position)
        assert one.PatientID == "P-0815" and one.FrameOfReferenceUID == "1.2.9"
        assert (one.SliceThickness, one.KVP) == (5, None) and one.SOPClassUID == CTImageStorage
    assert sorted(int(one.InstanceNumber) for one in made) == list(range(1, 13))
    back = find_series(tmp_path / "out").read()
    assert np.array_equal(sitk.GetArrayFromImage(back), ct_array())


def test_a_sagittal_volume_without_a_source_is_written_in_axial_slices(tmp_path: Path) -> None:
    sagittal = sitk.DICOMOrient(ct_image(), "PSL")
    made = export(tmp_path / "out", None, sagittal)
    assert len(made) == 12 and made[0].ImageOrientationPatient == [1, 0, 0, 0, 1, 0]
    assert np.array_equal(sitk.GetArrayFromImage(find_series(tmp_path / "out").read()), ct_array())
