"""Where slices lie: what is missing is named, what is doubled, uneven or sheared is put right or refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_maker import ct_array, write_series
from pydicom import dcmread
from pydicom.uid import generate_uid
from refusals import refused
from S2LDMLib.dicom.reading.series import DicomSeries, find_series
from S2LDMLib.errors import S2LDMWarning
from S2LDMLib.reading import read_volume

STORED = ct_array() + 1024
SPACING, SHAPE = np.array([1.5, 2.0]), (48, 64)  # of the plane: columns, rows; rows, columns
BALLS = np.array([[5.0, -5.0, 30.0], [20.0, 10.0, 60.0], [-15.0, 5.0, 85.0], [0.0, -20.0, 45.0]])  # centres, mm
WIDTH = 8.0  # mm, standard deviation of a ball


def scene(points: np.ndarray) -> np.ndarray:
    """HU of smooth balls in a uniform body at points (..., 3), LPS mm."""
    distances = ((points[..., None, :] - BALLS) ** 2).sum(axis=-1)
    return 40 + 400 * np.exp(-distances / (2 * WIDTH**2)).sum(axis=-1)


def plane_points(position: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """(rows, columns, 3) where the pixels of a slice lie."""
    rows, columns = np.meshgrid(*map(np.arange, SHAPE), indexing="ij")
    return position + (columns * SPACING[0])[..., None] * direction[:3] + (rows * SPACING[1])[..., None] * direction[3:]


def scan(folder: Path, positions: Sequence[np.ndarray], direction: Sequence[float] = (1, 0, 0, 0, 1, 0)) -> list[Path]:
    """A series of ``scene`` with slices at positions."""
    direction = np.array(direction, float)
    planes = [scene(plane_points(position, direction)) for position in positions]

    def edit(index, slice_):
        slice_.ImagePositionPatient = [f"{value:.6f}" for value in positions[index]]
        slice_.ImageOrientationPatient = [f"{value:.8f}" for value in direction]
        slice_.PixelSpacing = SPACING[::-1].tolist()
        return slice_

    return write_series(folder, np.round(np.array(planes) + 1024).astype(np.int16), edit)


def scanned(
    folder: Path, positions: Sequence[np.ndarray], direction: Sequence[float] = (1, 0, 0, 0, 1, 0)
) -> DicomSeries:
    scan(folder, positions, direction)
    return find_series(folder)


def places(*steps: float) -> list[np.ndarray]:
    """Positions of slices with these distances."""
    return [np.array([-48.0, -48.0, z]) for z in np.cumsum([0.0, *steps])]


def ball_errors(image: sitk.Image) -> np.ndarray:
    """(balls, 3) how far each ball lies from its place, in voxels, by its centre of mass."""
    image = sitk.DICOMOrient(image, "LPS")
    size, step, origin = (np.array(each) for each in (image.GetSize(), image.GetSpacing(), image.GetOrigin()))
    assert np.allclose(image.GetDirection(), np.eye(3).ravel())
    z, y, x = np.meshgrid(*(np.arange(count) for count in size[::-1]), indexing="ij")
    points = origin + step * np.stack([x, y, z], axis=-1)
    weights = sitk.GetArrayFromImage(image) - 40.0
    errors = []
    for number, centre in enumerate(BALLS):
        others = 400 * np.exp(-((points[..., None, :] - np.delete(BALLS, number, 0)) ** 2).sum(-1) / (2 * WIDTH**2))
        near = ((points - centre) ** 2).sum(axis=-1) < (2 * WIDTH) ** 2
        alone = np.where(near, weights - others.sum(axis=-1), 0)
        errors.append(((alone[..., None] * points).sum(axis=(0, 1, 2)) / alone.sum() - centre) / step)
    return np.array(errors)


def inside(series: DicomSeries, image: sitk.Image) -> np.ndarray:
    """Difference to ``scene`` in HU wherever the image is no air."""
    values = sitk.GetArrayFromImage(image).astype(float)
    index = np.argwhere(values > -500)
    matrix = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    return values[tuple(index.T)] - scene(np.array(image.GetOrigin()) + index[:, ::-1] @ matrix.T)


# Even stacks -------------------------------------------------------------------------------------------------------


def test_the_scene_itself_lies_right_to_a_twentieth_of_a_voxel(tmp_path):
    series = scanned(tmp_path, places(*[5.0] * 23))
    assert series.regular and np.abs(ball_errors(series.read())).max() < 0.05


def test_tilted_but_even_stack_along_its_own_normal_is_accepted(tmp_path):
    turn = np.radians(15)
    normal = np.array([0, -np.sin(turn), np.cos(turn)])
    positions = [5 * index * normal for index in range(12)]
    series = scanned(tmp_path, positions, [1, 0, 0, 0, np.cos(turn), np.sin(turn)])
    image = series.read()
    assert series.regular and series.warnings == () and image.GetSpacing()[2] == pytest.approx(5)
    assert np.abs(inside(series, image)).max() <= 0.51


def test_positions_rounded_to_a_tenth_are_even(tmp_path):
    series = scanned(tmp_path, [np.array([-48.0, -48.0, round(1.25 * index, 1)]) for index in range(20)])
    assert series.regular and series.read().GetSpacing()[2] == pytest.approx(1.25, abs=0.01)


# Missing and doubled slices ----------------------------------------------------------------------------------------


def test_missing_slices_are_named(tmp_path):
    paths = write_series(tmp_path, STORED, lambda index, slice_: None if index in (5, 6) else slice_)
    refused(tmp_path, "2 slices are missing", paths[4].name, paths[5].name, "120.0 to 135.0 mm")


@pytest.mark.parametrize(
    ("steps", "missing"),
    [([5] * 3 + [10] + [5] * 3, 1), ([5] * 3 + [10, 10] + [5] * 3, 2), ([5, 10, 5, 5, 15, 5, 5], 3),
     ([5] * 4 + [37.2] + [5] * 4, 6), ([4.9, 5.1, 5, 10.1, 5], 1)],
    ids=["one", "two apart", "several", "a part of the body", "rounded"],
)  # fmt: skip
def test_gaps_are_missing_slices(tmp_path, steps, missing):
    scan(tmp_path, places(*steps))
    refused(tmp_path, "1 slice is missing" if missing == 1 else f"{missing} slices are missing")


def test_a_copy_of_a_slice_is_taken_once_with_a_warning(tmp_path):
    paths = write_series(tmp_path, STORED)
    (tmp_path / "copy.dcm").write_bytes(paths[2].read_bytes())
    other = dcmread(paths[7])
    other.SOPInstanceUID = other.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    other.save_as(tmp_path / "sent_again.dcm")
    with pytest.warns(S2LDMWarning, match=r"Copies of slices are left out: 2, such as"):
        image = read_volume(tmp_path)
    assert np.array_equal(sitk.GetArrayFromImage(image), ct_array())


@pytest.mark.parametrize(
    "change",
    [
        lambda slice_: setattr(slice_, "PixelData", slice_.PixelData[:-2] + b"\1\1"),
        lambda slice_: setattr(slice_, "RescaleIntercept", -1000),
        lambda slice_: setattr(slice_, "ImagePositionPatient", [0, 0, slice_.ImagePositionPatient[2]]),
    ],
    ids=["pixels", "rescale", "beside"],
)
def test_different_slices_in_one_place_are_refused(tmp_path, change):
    for path in write_series(tmp_path, STORED)[:3]:
        other = dcmread(path)
        other.SOPInstanceUID = other.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        change(other)
        other.save_as(tmp_path / f"other_{path.name}")
    refused(tmp_path, "different slices lie in one place", "100.0 mm; places with several: 3")


# Uneven and sheared stacks -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "step"),
    [([2.5] * 16 + [5] * 14, 2.5), ([5] * 8 + [2.5] * 16 + [5] * 6, 2.5), ([5] * 6 + [6.2] + [5] * 13, 5),
     ([4.0, 5.0, 4.4, 5.6, 4.8] * 5, 4.8)],
    ids=["two distances", "finer in the middle", "one longer step", "no two alike"],
)  # fmt: skip
def test_uneven_slices_are_interpolated_with_a_warning(tmp_path, steps, step):
    series = scanned(tmp_path, places(*steps))
    image = series.read()
    assert not series.regular and len(series.slices) == len(steps) + 1
    assert len(series.warnings) == 1 and "unevenly spaced" in series.warnings[0]
    assert f"interpolated to {step:.2f} mm" in series.warnings[0]
    assert image.GetSpacing() == pytest.approx((*SPACING, step))
    assert image.GetOrigin() == (-48.0, -48.0, 0.0) and image.GetPixelID() == sitk.sitkInt16
    last = image.TransformIndexToPhysicalPoint((0, 0, image.GetSize()[2] - 1))[2]
    assert sum(steps) - step < last <= sum(steps) + 0.1
    assert np.abs(ball_errors(image)).max() < 0.1
    assert np.abs(inside(series, image)).max() < 40  # of 400: linear interpolation cuts off tops


def test_slices_that_lie_on_the_even_grid_keep_their_values(tmp_path):
    series = scanned(tmp_path, places(*[2.5] * 4, *[5.0] * 4))
    image = series.read()
    for one in series.slices:
        index = round(one.position[2] / 2.5)
        expected = np.round(scene(plane_points(one.position, one.direction)))
        assert np.array_equal(sitk.GetArrayFromImage(image)[index], expected)


@pytest.mark.parametrize("degrees", [-25.0, 6.0, 20.0])
@pytest.mark.parametrize("axis", [0, 1], ids=["swivel", "tilt"])
def test_gantry_tilt_is_straightened_to_a_tenth_of_a_voxel(tmp_path, degrees, axis):
    aside = np.eye(3)[axis] * np.tan(np.radians(degrees))
    middle = np.array([-48.0, -48.0, 0.0]) - 57.5 * aside
    series = scanned(tmp_path, [middle + 5 * index * np.add(aside, (0, 0, 1)) for index in range(24)])
    image = series.read()
    assert not series.regular
    assert len(series.warnings) == 1 and f"sheared by {abs(degrees):.1f} degrees" in series.warnings[0]
    assert image.GetSpacing() == pytest.approx((*SPACING, 5.0)) and image.GetPixelID() == sitk.sitkInt16
    assert np.abs(ball_errors(image)).max() < 0.1
    assert np.abs(inside(series, image)).max() < 10
    held = np.count_nonzero(sitk.GetArrayFromImage(image) > -500)
    assert held >= 24 * (SHAPE[0] - 1) * (SHAPE[1] - 1)  # nothing is cut off


def test_tilt_with_uneven_slices_is_put_right_too(tmp_path):
    direction = np.array([np.cos(0.1), np.sin(0.1), 0, -np.sin(0.1), np.cos(0.1), 0])
    ways = np.cumsum([0.0, *[2.5] * 14, *[5.0] * 15])
    series = scanned(tmp_path, [np.array([-40, -40 - 0.2 * (z - 50), z]) for z in ways], direction)
    assert [word in " ".join(series.warnings) for word in ("unevenly", "11.3 degrees")] == [True, True]
    assert np.abs(inside(series, series.read())).max() < 40


def test_slices_reconstructed_beside_one_another_are_aligned(tmp_path):
    positions = places(*[5.0] * 23)
    for position in positions[12:]:
        position += [9.3, -4.1, 0]
    series = scanned(tmp_path, positions)
    image = series.read()
    assert not series.regular and "by 10.2 mm" in series.warnings[0]
    assert np.abs(ball_errors(image)).max() < 0.1
    assert np.abs(inside(series, image)).max() < 10


def test_a_shift_below_a_fifth_of_a_pixel_is_no_shear(tmp_path):
    shifted = [np.add(place, (0.25 * (index % 2), 0, 0)) for index, place in enumerate(places(*[5.0] * 9))]
    assert scanned(tmp_path, shifted).regular


def test_fractional_hu_stay_fractional_when_interpolated(tmp_path):
    scan(tmp_path, places(*[2.5] * 4, *[5.0] * 4))
    for path in tmp_path.iterdir():
        dataset = dcmread(path)
        dataset.RescaleSlope, dataset.RescaleIntercept = 0.5, -512
        dataset.save_as(path)
    image = find_series(tmp_path).read()
    assert image.GetPixelID() == sitk.sitkFloat32
