"""Translating a part of the scan: the same values there, the input's own elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_maker import hu
from S2LDMLib.errors import InputError
from S2LDMLib.phantom.scan import PhantomTriple
from S2LDMLib.pipeline import S2LDMPipeline
from S2LDMLib.volume.region import Region


def around(image: sitk.Image, index: tuple[int, int, int], half_mm: tuple[float, float, float]) -> Region:
    centre = image.TransformIndexToPhysicalPoint(index)
    return Region.of_bounds([c + sign * h for c, h in zip(centre, half_mm, strict=True) for sign in (-1, 1)])


@pytest.mark.parametrize("orientation", ["LPS", "RAI"])
@pytest.mark.parametrize("detail", ["native", "model"])
def test_a_region_gets_what_the_whole_volume_gets_there_and_nothing_changes_elsewhere(
    small: S2LDMPipeline, phantom: PhantomTriple, detail: str, orientation: str
) -> None:
    image = sitk.DICOMOrient(phantom.ncct, orientation)
    region = around(image, (90, 80, 6), (30, 24, 11))
    whole, part = (hu(small(image, "arterial", detail=detail, region=where)) for where in (None, region))
    before = hu(image)
    inside = np.zeros(before.shape, bool)
    inside[4:9, 68:93, 75:106] = True
    assert np.array_equal(part[inside], whole[inside]) and (part[inside] != before[inside]).mean() > 0.5
    assert np.array_equal(part[~inside], before[~inside]) and (whole[~inside] != before[~inside]).any()


def test_an_oblique_volume_is_translated_in_the_box_around_the_region(
    small: S2LDMPipeline, phantom: PhantomTriple
) -> None:
    image = sitk.Image(phantom.ncct)
    image.SetDirection(sitk.VersorTransform((0.0, 0.0, 1.0), 0.3).GetMatrix())
    region = around(image, (90, 80, 6), (30, 24, 11))
    changed = np.argwhere(hu(small(image, "venous", region=region)) != hu(image))
    whole = hu(small(image, "venous"))
    z, y, x = region.box(image)
    low, high = changed.min(axis=0), changed.max(axis=0) + 1
    assert (low >= [z.start, y.start, x.start]).all() and (high <= [z.stop, y.stop, x.stop]).all()
    assert np.array_equal(hu(small(image, "venous", region=region))[z, y, x], whole[z, y, x])


def test_the_region_is_part_of_the_provenance(small: S2LDMPipeline, phantom: PhantomTriple) -> None:
    region = around(phantom.ncct, (90, 80, 6), (30, 24, 11))
    assert small(phantom.ncct, "venous", region=region).GetMetaData("S2LDM_region") == str(region)
    assert not small(phantom.ncct, "venous").HasMetaDataKey("S2LDM_region")


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ([0, 5, 0, 50, 0, 50], "too small: 5 x 50 x 50 mm"),
        ([50, 0, 0, 50, 0, 50], "too small"),
        ([float("nan"), 5, 0, 50, 0, 50], "not finite"),
        ([1000, 1100, 0, 50, 0, 20], "lies outside the volume"),
        ([-199, -189, -167, -157, -20, 20], "no patient in the region"),
    ],
)
def test_a_region_that_cannot_be_translated_is_refused(
    small: S2LDMPipeline, phantom: PhantomTriple, bounds: list[float], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        small(phantom.ncct, "venous", region=Region.of_bounds(bounds))
