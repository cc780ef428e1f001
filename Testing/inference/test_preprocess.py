"""From the input's grid to the working grid and back."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from S2LDMLib.errors import InputError
from S2LDMLib.inference.postprocess import postprocess
from S2LDMLib.inference.preprocess import Prepared, denormalise, normalise, preprocess
from S2LDMLib.model.config import PreprocessConfig
from S2LDMLib.phantom.scan import PhantomTriple
from S2LDMLib.volume.grid import Grid

CONFIG = PreprocessConfig(window=700.0, level=150.0, range=(0.0, 1.0), spacing=(1.5, 1.5, 5.0))
MULTIPLE = (1, 32, 32)


def finished(value: float, prepared: Prepared, image: sitk.Image, detail: str = "native") -> sitk.Image:
    """What becomes of an input when the network's output is one value everywhere."""
    output = np.full(prepared.grid.size[::-1], value, np.float32)
    return postprocess(output, prepared, CONFIG, detail, image)


def spaced(image: sitk.Image, spacing: tuple[float, float, float]) -> sitk.Image:
    result = sitk.Image(image)
    result.SetSpacing(spacing)
    return result


def rotated(image: sitk.Image) -> sitk.Image:
    """The same voxels with an oblique direction."""
    turn = sitk.Euler3DTransform((0.0, 0.0, 0.0), 0.31, -0.17, 0.4)
    result = sitk.Image(image)
    result.SetDirection(turn.GetMatrix())
    return result


def test_normalising_is_undone_within_the_window() -> None:
    hu = torch.tensor([-1000.0, -200.0, 0.0, 300.0, 500.0, 2000.0])
    assert normalise(hu, CONFIG).tolist() == pytest.approx([0, 0, 2 / 7, 5 / 7, 1, 1])
    assert torch.allclose(denormalise(normalise(hu, CONFIG), CONFIG), hu.clamp(-200, 500), atol=1e-3)
    assert normalise(torch.tensor([-200.0, 200.0]), PreprocessConfig()).tolist() == [-1, 1]  # the paper's window


def test_sizes_are_multiples_and_the_borders_are_air(phantom: PhantomTriple) -> None:
    prepared = preprocess(phantom.ncct, CONFIG, MULTIPLE)
    assert prepared.grid.size == tuple(prepared.ncct.shape[:1:-1])
    assert all(n % m == 0 for n, m in zip(prepared.ncct.shape[2:], MULTIPLE, strict=True))
    for border in (np.s_[..., :8, :], np.s_[..., -8:, :], np.s_[..., :8], np.s_[..., -8:]):
        assert prepared.ncct[border].mean() < 0.01  # air, but for the table
    assert prepared.grid.size[2] == 12


@pytest.mark.parametrize("spacing", [(2.8, 2.8, 5.0), (1.64, 1.64, 2.5), (0.7, 0.8, 1.25), (2.0, 2.0, 3.0)])
@pytest.mark.parametrize("cut", [1, 2, 5])
def test_the_grid_stays_where_it_is_when_the_scan_is_cut(
    phantom: PhantomTriple, spacing: tuple[float, float, float], cut: int
) -> None:
    """Voxels of the shorter scan's working grid are voxels of the longer one's, at the same place of the lattice."""
    image = spaced(phantom.ncct, spacing)
    whole, less = (preprocess(scan, CONFIG, MULTIPLE) for scan in (image, image[40:, 30:, cut:]))
    offset = np.subtract(less.grid.origin, whole.grid.origin) / whole.grid.spacing
    assert np.allclose(offset, np.rint(offset), atol=1e-4)
    assert all(round(n) % 32 == 0 for n in offset[:2])
    assert less.grid.spacing == pytest.approx(whole.grid.spacing)


def test_air_around_the_patient_changes_nothing(phantom: PhantomTriple) -> None:
    plain = preprocess(phantom.ncct, CONFIG, MULTIPLE)
    for lower, upper in (([13, 7, 3], [5, 22, 2]), ([1, 2, 1], [0, 0, 0]), ([64, 31, 0], [3, 9, 5])):
        more = preprocess(sitk.ConstantPad(phantom.ncct, lower, upper, -1024), CONFIG, MULTIPLE)
        assert torch.equal(plain.ncct, more.ncct)
        assert plain.grid.origin == pytest.approx(more.grid.origin, abs=1e-6)


def test_the_working_spacing_is_reached_and_near_ones_are_left_alone(phantom: PhantomTriple) -> None:
    own, near, fine = (2.0, 2.0, 5.0), (1.64, 1.4, 4.6), (0.82, 0.75, 1.25)
    native = dataclasses.replace(CONFIG, spacing=None)
    for spacing, config, reached in [
        (own, CONFIG, (1.5, 1.5, 5.0)), (near, CONFIG, near), (fine, CONFIG, (1.64, 1.5, 5.0)), (fine, native, fine)
    ]:  # fmt: skip
        grid = preprocess(spaced(phantom.ncct, spacing), config, MULTIPLE).grid
        assert grid.spacing == pytest.approx(reached)


def test_the_working_grid_lies_where_the_patient_is() -> None:
    """A ball keeps its centre in mm through averaging, interpolation and orientation."""
    size = (120, 100, 40)
    grid = np.indices(size[::-1]).astype(float)
    ball = np.where(sum((grid[a] - c) ** 2 * s for a, c, s in ((0, 21, 9), (1, 55, 1), (2, 48, 1))) < 900, 400, 40)
    body = np.where(((grid[1] - 50) / 45) ** 2 + ((grid[2] - 60) / 55) ** 2 < 1, ball, -1000)
    image = sitk.GetImageFromArray(body.astype(np.int16))
    image.SetSpacing((0.9, 0.8, 2.4))
    image.SetOrigin((11, -5, 70))
    image = rotated(sitk.Flip(image, [True, False, True]))
    prepared = preprocess(image, CONFIG, MULTIPLE)
    volume = prepared.grid.image((prepared.ncct[0, 0].numpy() > 0.6).astype(np.uint8))
    original = sitk.BinaryThreshold(image, 300, 1000)
    shape, truth = sitk.LabelShapeStatisticsImageFilter(), sitk.LabelShapeStatisticsImageFilter()
    shape.Execute(volume)
    truth.Execute(original)
    assert np.linalg.norm(np.subtract(shape.GetCentroid(1), truth.GetCentroid(1))) < 0.6


@pytest.mark.parametrize("orientation", ["LPS", "RAS", "LPI", "PSR", "SAL", "IRP"])
def test_nothing_to_add_gives_the_input_back_exactly(phantom: PhantomTriple, orientation: str) -> None:
    image = rotated(sitk.DICOMOrient(phantom.ncct, orientation))
    result = finished(0, preprocess(image, CONFIG, MULTIPLE), image)
    assert np.array_equal(sitk.GetArrayFromImage(result), sitk.GetArrayFromImage(image))
    assert Grid.of(result) == Grid.of(image)


def test_voxels_beyond_the_window_are_those_of_the_input(phantom: PhantomTriple) -> None:
    prepared = preprocess(phantom.ncct, CONFIG, MULTIPLE)
    before = sitk.GetArrayFromImage(phantom.ncct)
    beyond = (before <= -200) | (before >= 500)
    assert 0 < beyond.mean() < 1
    for detail in ("native", "model"):
        after = sitk.GetArrayFromImage(finished(123, prepared, phantom.ncct, detail))
        assert np.array_equal(after[beyond], before[beyond])
        centre = (slice(None), slice(70, 98), slice(84, 118))
        # Fat takes up nothing, soft tissue all of it, a voxel between them its share.
        share = np.clip((before[centre] + 120) / 60, 0, 1)
        expected = np.rint(before[centre] + 123 * share) if detail == "native" else np.full_like(before[centre], 123)
        assert np.array_equal(after[centre][~beyond[centre]], expected[~beyond[centre]])


def test_nothing_outside_the_patient_is_touched(phantom: PhantomTriple) -> None:
    """A bright thing on the table, far from the patient, is not the patient's enhancement."""
    wide = sitk.ConstantPad(phantom.ncct, [0, 0, 0], [0, 40, 0], -1024)
    wide[60:80, 200:203, :] = 40
    after = sitk.GetArrayFromImage(finished(200, preprocess(wide, CONFIG, MULTIPLE), wide))
    assert (after[:, 200:203, 60:80] == 40).all()


def test_a_float_volume_is_rounded_and_the_input_is_kept(phantom: PhantomTriple) -> None:
    image = sitk.Cast(phantom.ncct, sitk.sitkFloat32) + 0.4
    copy = sitk.GetArrayFromImage(image)
    prepared = preprocess(image, CONFIG, MULTIPLE)
    assert prepared.source.GetPixelID() == sitk.sitkInt16
    assert np.array_equal(sitk.GetArrayFromImage(image), copy)
    assert np.array_equal(sitk.GetArrayFromImage(prepared.source), sitk.GetArrayFromImage(phantom.ncct))


def test_an_empty_room_is_refused() -> None:
    with pytest.raises(InputError, match="No patient"):
        preprocess(sitk.Image(64, 64, 10, sitk.sitkInt16) - 1000, CONFIG, MULTIPLE)
