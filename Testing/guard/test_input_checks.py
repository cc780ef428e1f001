"""What the input checks refuse and warn of, on made-up volumes and on real scans; and where they see the patient."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_maker import ct_array, ct_image, image_of
from real_scans import ENHANCED, NON_CONTRAST
from S2LDMLib.errors import InputError
from S2LDMLib.guard.contrast import ENHANCED_LENGTH_MM, already_enhanced, enhanced_vessel_length
from S2LDMLib.guard.input_checks import check_input
from S2LDMLib.volume.body import body_box, body_mask
from shared_data import real

MIN_SIZE = (32, 32, 8)
LONGEST_WITHOUT_CONTRAST_MM = 50.0


def refused(image: sitk.Image, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        check_input(image, MIN_SIZE)
    assert "\n" not in str(caught.value)


def with_value(value: float) -> np.ndarray:
    volume = ct_array().astype(np.float32)
    volume[5, 20, 30] = value
    return volume


# Refusals ----------------------------------------------------------------------------------------------------------


def test_usual_ct_passes_without_warning():
    for dtype in (np.int16, np.float32):
        values = ct_array((24, 96, 128)).astype(dtype)
        assert check_input(image_of(values, (2, 2, 5)), MIN_SIZE).warnings == ()


@pytest.mark.parametrize("padding", [-2000, -3024])
def test_padding_outside_the_reconstruction_circle_is_fine(padding):
    values = ct_array()
    values[:, :3] = padding
    check_input(image_of(values), MIN_SIZE)


def table_alone() -> np.ndarray:
    values = np.full((12, 100, 100), -1000, np.int16)
    values[:, 80:82, 10:90] = 300
    return values


@pytest.mark.parametrize(
    ("values", "words"),
    [
        pytest.param(with_value(np.nan), "NaN", id="NaN"),
        pytest.param(with_value(np.inf), "infinite", id="infinite"),
        pytest.param(with_value(2e5), "not in HU.* 200000", id="huge"),
        pytest.param(with_value(-2e5), "not in HU.*-200000", id="hugely negative"),
        pytest.param(np.full((12, 48, 64), -1024, np.int16), "constant.*-1024", id="constant"),
        pytest.param(np.full((12, 48, 64), -3024, np.int16), "constant.*-3024", id="constant padding"),
        pytest.param(np.clip(ct_array() / 4 + 100, 0, 255).astype(np.uint8), "8-bit", id="8-bit"),
        pytest.param((ct_array() + 1024).clip(0).astype(np.uint16), r"HU \+ 1024.*Subtract", id="HU + 1024"),
        pytest.param(
            np.where(ct_array() < -990, -2000, ct_array() + 1024).astype(np.int16), r"HU \+ 1024", id="padded"
        ),
        pytest.param(np.abs(ct_array() + 1000).clip(0, 700), "not in HU.*MR", id="MR"),
        pytest.param(ct_array().astype(np.float32) / 400, "not in HU.*MR", id="z-score"),
        pytest.param(ct_array().clip(-1000, 1000).astype(np.float32) / 2000 + 0.5, "normalised", id="0 to 1"),
        pytest.param(ct_array().clip(-200, 500), "clipped at -200", id="clipped"),
        pytest.param(np.random.default_rng(0).normal(-1000, 20, (12, 48, 64)).astype("i2"), "No body", id="air"),
        pytest.param(table_alone(), "No body", id="table"),
        pytest.param(ct_array((12, 20, 64)), "too small.*64 x 20 x 12.*32 x 32 x 8", id="too small"),
    ],
)
def test_what_is_no_ct_in_hu_is_refused(values, words):
    refused(image_of(values), words)


def test_images_that_are_not_3d_and_scalar_are_refused():
    refused(sitk.GetImageFromArray(ct_array()[0]), "2 dimensions.*3D")
    refused(sitk.Image([40, 40, 12, 2], sitk.sitkInt16), "4 dimensions")
    refused(sitk.Image([40, 40, 12], sitk.sitkVectorInt16, 2), "several values")
    refused(sitk.Image([0, 0, 0], sitk.sitkInt16), "empty")


@pytest.mark.parametrize("spacing", [(0.05, 1, 5), (1, 1, 25), (6, 6, 5), (1, 1, 0.01)])
def test_absurd_spacing_is_refused(spacing):
    refused(image_of(ct_array(), spacing), "cannot be right.*spacing")


# Warnings ----------------------------------------------------------------------------------------------------------


def test_wide_slices_coarse_pixels_and_a_cut_body_are_warned_of():
    def warnings(values, spacing):
        return " ".join(check_input(image_of(values, spacing), MIN_SIZE).warnings)

    values = ct_array((24, 96, 128))
    assert "12.0 mm apart" in warnings(values, (2, 2, 12))
    assert "3.0 mm wide" in warnings(values, (3, 3, 5))
    assert "cut off" in warnings(values[:, :, :70], (2, 2, 5))


@pytest.mark.parametrize("name", NON_CONTRAST)
def test_real_non_contrast_scans_raise_no_alarm(name):
    assert enhanced_vessel_length(real(name)) <= LONGEST_WITHOUT_CONTRAST_MM


@pytest.mark.parametrize("name", ENHANCED)
def test_real_enhanced_scans_are_recognised(name):
    assert enhanced_vessel_length(real(name)) >= 1.5 * ENHANCED_LENGTH_MM


def test_enhanced_scan_is_warned_of_in_words():
    (warning,) = check_input(real("pairs/HCC_007_19980314/venous"), MIN_SIZE).warnings
    assert "contrast-enhanced already" in warning


def phantom_with_tube(hu: float, radius_mm: float, length_mm: float) -> np.ndarray:
    """(40, 96, 128) at 2.5 x 2.5 x 5 mm with a vertical tube in front of the spine."""
    values = ct_array((40, 96, 128))
    _, y, x = np.ogrid[:40, :96, :128]
    tube = np.hypot(x - 64, y - 55) * 2.5 < radius_mm
    values[: int(length_mm / 5)][np.broadcast_to(tube, values.shape)[: int(length_mm / 5)]] = hu
    return values


@pytest.mark.parametrize(
    ("hu", "radius_mm", "length_mm", "expected"),
    [(300, 12, 200, True), (150, 12, 200, True), (45, 12, 200, False), (300, 12, 50, False), (300, 45, 200, False),
     (1500, 12, 200, False)],
    ids=["arterial", "venous", "blood", "short bowel", "stomach", "metal"],
)  # fmt: skip
def test_only_a_long_bright_tube_of_vessel_size_counts(hu, radius_mm, length_mm, expected):
    image = image_of(phantom_with_tube(hu, radius_mm, length_mm), (2.5, 2.5, 5))
    assert already_enhanced(image) is expected


def test_guard_follows_the_patient_axis_whatever_the_axis_order():
    image = image_of(phantom_with_tube(300, 12, 200), (2.5, 2.5, 5))
    assert enhanced_vessel_length(image) == 200
    assert enhanced_vessel_length(sitk.PermuteAxes(image, [2, 0, 1])) == 200


def test_a_full_resolution_scan_passes_without_warning():
    assert check_input(real("native/HCC_005_19990123/ncct"), MIN_SIZE).warnings == ()


# Body --------------------------------------------------------------------------------------------------------------


def with_table(shape: tuple[int, int, int] = (12, 110, 128)) -> np.ndarray:
    """``ct_array`` with a foam-filled table shell 12 mm below the body, at 2 mm pixels."""
    values = np.full(shape, -1000, np.int16)
    values[:, :96] = ct_array((shape[0], 96, shape[2]))
    values[:, 97:107, 8:120] = -900
    values[:, [97, 106], 8:120] = 100
    return values


def test_box_holds_the_body_and_not_the_table():
    box = body_box(image_of(with_table(), (2, 2, 5)))
    inside = np.argwhere(ct_array((12, 96, 128)) > -300)
    assert box == tuple(slice(a, b + 1) for a, b in zip(inside.min(0), inside.max(0), strict=True))


def moved(box: tuple[slice, ...], by: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(slice(part.start + n, part.stop + n) for part, n in zip(box, by, strict=True))


@pytest.mark.parametrize("fill", [-1024, -1000, -3024])
@pytest.mark.parametrize(("low", "high"), [((7, 3, 2), (5, 11, 1)), ((1, 0, 0), (0, 0, 3))])
def test_box_and_mask_do_not_depend_on_the_air_around(fill, low, high):
    image = image_of(with_table()[:, 5:, 9:], (1.7, 1.7, 3.1))
    padded = sitk.ConstantPad(image, low, high, fill)
    assert body_box(padded) == moved(body_box(image), low[::-1])
    cropped = sitk.Crop(body_mask(padded), low, high)
    assert np.array_equal(sitk.GetArrayFromImage(cropped), sitk.GetArrayFromImage(body_mask(image)))


@pytest.mark.parametrize("name", ["pairs/HCC_007_19980314/ncct", "labelled/lidc_0001_arterial_ct"])
def test_real_box_does_not_depend_on_the_air_around(name):
    image = real(name)
    padded = sitk.ConstantPad(image, [30, 17, 3], [2, 9, 0], -1000)
    assert body_box(padded) == moved(body_box(image), (3, 17, 30))


def test_mask_is_filled_and_keeps_the_geometry():
    image = image_of(with_table(), (2, 2, 5))
    image.SetOrigin((1, 2, 3))
    image.SetDirection((0, 1, 0, 1, 0, 0, 0, 0, -1))
    mask = body_mask(image)
    values = sitk.GetArrayFromImage(mask)
    assert mask.GetPixelID() == sitk.sitkUInt8
    assert (mask.GetOrigin(), mask.GetSpacing()) == (image.GetOrigin(), image.GetSpacing())
    assert mask.GetDirection() == image.GetDirection()
    assert values[6, 38, 83] == 1, "gas inside the body"
    assert not values[:, 97:].any(), "table"
    assert values[:, 48, 64].all()


def test_flipped_volume_gives_the_flipped_mask_but_for_the_grid():
    values = with_table()
    mask = sitk.GetArrayFromImage(body_mask(image_of(values, (2, 2, 5))))
    flipped = sitk.GetArrayFromImage(body_mask(image_of(values[:, ::-1, ::-1].copy(), (2, 2, 5))))
    assert (mask != flipped[:, ::-1, ::-1]).mean() < 0.002


def test_no_body_gives_no_box_and_an_empty_mask():
    air = image_of(np.full((12, 48, 64), -1000, np.int16))
    assert body_box(air) is None
    assert not sitk.GetArrayFromImage(body_mask(air)).any()


def test_both_legs_are_body():
    values = np.full((10, 80, 120), -1000, np.int16)
    _, y, x = np.ogrid[:10, :80, :120]
    for centre in (30, 90):
        values[np.broadcast_to(np.hypot(x - centre, y - 40) < 20, values.shape)] = 40
    box = body_box(image_of(values, (2, 2, 5)))
    assert (box[2].start, box[2].stop) == (11, 110)


def test_single_pixel_deep_and_thin_slice_volumes_work():
    image = ct_image((30, 40, 50), (5, 5, 0.6))
    assert body_box(image)[0] == slice(0, 30)
