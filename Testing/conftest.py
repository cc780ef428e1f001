"""Shared by the tests: a small phantom, the bundled model, and where the real data lies."""

from __future__ import annotations

from pathlib import Path

import pytest
import SimpleITK as sitk
import torch
from S2LDMLib.phantom import PhantomTriple, make_phantom
from S2LDMLib.pipeline import S2LDMPipeline

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_configure(config: pytest.Config) -> None:
    # The tests run in parallel processes: one thread each, which also makes sums independent of the machine.
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def phantom() -> PhantomTriple:
    return make_phantom(seed=3, size=(144, 120, 12), spacing=(2.8, 2.8, 5.0))


@pytest.fixture(scope="session")
def bundled() -> S2LDMPipeline:
    return S2LDMPipeline.from_pretrained("bundled", device="cpu", dtype="float32")


@pytest.fixture(scope="session")
def real_ncct() -> sitk.Image:
    file = SHARED_DATA / "pairs" / "HCC_005_19990123" / "ncct.nii.gz"
    if not file.exists():
        pytest.skip(f"real data is absent: {file}")
    return sitk.ReadImage(str(file))
