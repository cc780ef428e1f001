"""A scan as a file, for the tests of the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
import SimpleITK as sitk
from S2LDMLib.phantom.scan import PhantomTriple


@pytest.fixture(scope="session")
def ncct(phantom: PhantomTriple, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("input") / "ncct.nii.gz"
    sitk.WriteImage(phantom.ncct, str(file))
    return file
