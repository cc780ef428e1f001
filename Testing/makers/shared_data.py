"""Where real CT data may lie, beside the repository; tests that need it skip where it is absent."""

from __future__ import annotations

from pathlib import Path

import pytest
import SimpleITK as sitk

SHARED_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def real(name: str) -> sitk.Image:
    """A volume by its name, such as ``pairs/HCC_005_19990123/ncct``; skips the test where it is absent."""
    path = SHARED_DATA / f"{name}.nii.gz"
    if not path.exists():
        pytest.skip(f"shared data absent: {path}")
    return sitk.ReadImage(str(path))
