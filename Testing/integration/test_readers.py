"""Four readers that are not ours see one geometry and one set of HU: those that were exported."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import slicer_standin
from kinds import KINDS, Exported
from readers import difference, read_with_dcm2niix, read_with_gdcm, read_with_pydicom, read_with_slicer

TOLERANCE_MM = 0.01
LABEL = ("burnt",)  # whose voxels were changed on purpose


def check(image: sitk.Image, exported: Exported, kind: str) -> None:
    expected = exported.image
    if kind in LABEL:
        expected = read_with_pydicom(exported.folder)
        changed = sitk.GetArrayFromImage(expected) != sitk.GetArrayFromImage(exported.image)
        assert 0 < changed.mean() < 0.5
    distance, hu = difference(image, expected)
    assert distance < TOLERANCE_MM and hu == 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("read", [read_with_gdcm, read_with_pydicom], ids=["SimpleITK", "pydicom"])
def test_a_reader_sees_what_was_exported(
    exported: Callable[[str], Exported], kind: str, read: Callable[[Path], sitk.Image]
) -> None:
    check(read(exported(kind).folder), exported(kind), kind)


@pytest.mark.parametrize("kind", KINDS)
def test_slicer_sees_what_was_exported(exported: Callable[[str], Exported], kind: str) -> None:
    if reason := slicer_standin.why_unavailable():
        pytest.skip(reason)
    check(read_with_slicer(exported(kind).folder), exported(kind), kind)


@pytest.mark.parametrize("kind", KINDS)
def test_dcm2niix_sees_what_was_exported(exported: Callable[[str], Exported], kind: str, tmp_path: Path) -> None:
    check(read_with_dcm2niix(exported(kind).folder, tmp_path), exported(kind), kind)


def test_a_difference_is_seen(exported: Callable[[str], Exported]) -> None:
    image = exported("plain").image
    moved = sitk.Image(image)
    moved.SetOrigin((np.array(image.GetOrigin()) + 0.02).tolist())
    assert difference(image, moved)[0] > TOLERANCE_MM and difference(image, image + 1)[1] == 1
