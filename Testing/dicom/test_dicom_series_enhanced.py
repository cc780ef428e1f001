"""Enhanced multi-frame CT: the frames of one file are slices like any others."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_maker import ct_array, write_enhanced
from pydicom import Dataset
from pydicom.uid import generate_uid
from refusals import refused
from S2LDMLib.dicom.reading.series import find_series
from S2LDMLib.reading import read_volume

STORED = ct_array() + 1024


def test_frames_are_sorted_by_position_with_the_geometry_of_their_groups(tmp_path):
    path = write_enhanced(tmp_path / "frames.dcm", STORED)
    for source in (tmp_path, path):
        image = read_volume(source)
        assert np.array_equal(sitk.GetArrayFromImage(image), ct_array())
        assert image.GetSpacing() == (1.5, 2.0, 5.0) and image.GetOrigin() == (-40.0, -50.0, 100.0)
    series = find_series(tmp_path)
    assert series.regular and [one.frame for one in series.slices] == list(range(12))[::-1]
    assert {one.path for one in series.slices} == {path}
    assert [one.position[2] for one in series.slices] == [100 + 5.0 * index for index in range(12)]


def test_rescale_of_each_frame_is_applied(tmp_path):
    def edit(index: int, groups: Dataset) -> None:
        groups.PixelValueTransformationSequence[0].RescaleIntercept = -1024 - 10 * index

    write_enhanced(tmp_path / "frames.dcm", STORED, edit)
    expected = ct_array() - 10 * np.arange(12)[:, None, None]
    assert np.array_equal(sitk.GetArrayFromImage(read_volume(tmp_path)), expected)


def test_a_series_may_be_split_over_files(tmp_path):
    series = generate_uid()

    def later(index: int, groups: Dataset) -> None:
        groups.PlanePositionSequence[0].ImagePositionPatient = [-40.0, -50.0, 100 + 5.0 * (index + 7)]

    one = {"SeriesInstanceUID": series, "StudyInstanceUID": generate_uid()}
    write_enhanced(tmp_path / "b.dcm", STORED[:7], **one)
    write_enhanced(tmp_path / "a.dcm", STORED[7:], later, **one)
    assert np.array_equal(sitk.GetArrayFromImage(read_volume(tmp_path)), ct_array())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda i, g: setattr(g.FrameContentSequence[0], "StackID", str(i // 6)), ("2 stacks", "series of its own")),
        (lambda i, g: setattr(g.FrameContentSequence[0], "TemporalPositionIndex", i // 6), ("2 points in time",)),
        (lambda i, g: setattr(g.PlanePositionSequence[0], "ImagePositionPatient", [0, 0, 5.0 * (i % 6)]),
         ("different slices lie in one place", "several: 6", "two phases")),
        (lambda i, g: delattr(g, "PlanePositionSequence"), ("frame 1", "position")),
        (lambda i, g: delattr(g, "PixelValueTransformationSequence"), ("frame 1", "no rescale")),
        (lambda i, g: i > 6 and setattr(g.PlanePositionSequence[0], "ImagePositionPatient", [-40, -50, 140 + 5 * i]),
         ("8 slices are missing", "frames.dcm frame 6 and frames.dcm frame 5")),
    ],
    ids=["stacks", "time", "places", "no position", "no rescale", "gap"],
)  # fmt: skip
def test_files_that_are_not_one_stack_in_hu_are_refused(tmp_path, change, words):
    write_enhanced(tmp_path / "frames.dcm", STORED, change)
    refused(tmp_path, "frames.dcm", *words)


def test_frames_without_groups_and_groups_without_frames_are_refused(tmp_path):
    path = write_enhanced(tmp_path / "frames.dcm", STORED, NumberOfFrames=11)
    refused(path, str(path), "11 frames and describes 12")
    write_enhanced(path, STORED, PerFrameFunctionalGroupsSequence=[])
    refused(path, str(path), "describes 0")


def test_one_frame_is_no_volume(tmp_path):
    path = write_enhanced(tmp_path / "frames.dcm", STORED[:1])
    refused(path, "single DICOM file", str(tmp_path))
