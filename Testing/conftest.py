"""Shared by the tests: a small phantom, the bundled model, and where the real data lies."""

from __future__ import annotations

import os
import signal
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import SimpleITK as sitk
import torch
from command_line import Cli, Ended
from hub_samples import hub_for_client, make_model, write_files
from hub_server import HubServer
from S2LDMLib.commands.cli import main
from S2LDMLib.inference.scheduler import LatentScheduler
from S2LDMLib.model.config import AutoencoderConfig, DenoiserConfig, ModelConfig, PreprocessConfig, SchedulerConfig
from S2LDMLib.networks.autoencoder import SyncreticAutoencoder
from S2LDMLib.networks.denoiser import LatentDenoiser
from S2LDMLib.phantom.scan import PhantomTriple, make_phantom
from S2LDMLib.pipeline import S2LDMPipeline
from shared_data import SHARED_DATA


def pytest_configure(config: pytest.Config) -> None:
    # The tests run in parallel processes: one thread each, which also makes sums independent of the machine.
    torch.set_num_threads(1)
    # The key of pseudonyms is made on first use: not in the home of whoever runs the tests.
    os.environ["XDG_DATA_HOME"] = tempfile.mkdtemp(prefix="s2ldm-tests-")


@pytest.fixture
def restored() -> Iterator[None]:
    """A command line owns its process: give back what it takes."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with warnings.catch_warnings():
        yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def cli(restored: None, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Runs ``s2ldm`` with some arguments within this process."""

    def run(*arguments: object) -> Ended:
        capsys.readouterr()
        return Ended(main(list(map(str, arguments))), *capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def phantom() -> PhantomTriple:
    return make_phantom(seed=3, size=(200, 168, 12), spacing=(2.0, 2.0, 5.0))


@pytest.fixture(scope="session")
def bundled() -> S2LDMPipeline:
    return S2LDMPipeline.from_pretrained("bundled", device="cpu", dtype="float32")


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder like the bundled one, but narrow and untrained: for what does not depend on weights."""
    torch.manual_seed(0)
    autoencoder = SyncreticAutoencoder(AutoencoderConfig((6, 8), ((1, 2, 2), (1, 2, 2)), 1, 1, 4, 0))
    denoiser = LatentDenoiser(DenoiserConfig(channels=(8, 12), context=3, embedding=8), 4, 2)
    torch.nn.init.normal_(denoiser.conv_out.weight, std=0.5)
    autoencoder.latent_std.fill_(0.1)
    preprocess = PreprocessConfig(window=700.0, level=150.0, range=(0.0, 1.0), spacing=(2.5, 2.5, 5.0))
    config = ModelConfig(name="small", preprocess=preprocess)
    pipeline = S2LDMPipeline(config, autoencoder, denoiser, LatentScheduler(SchedulerConfig()))
    return pipeline.save_pretrained(tmp_path_factory.mktemp("model") / "small")


@pytest.fixture(scope="session")
def small(small_model: Path) -> S2LDMPipeline:
    return S2LDMPipeline.from_pretrained(small_model, device="cpu", dtype="float32")


@pytest.fixture(scope="session")
def real_ncct() -> sitk.Image:
    file = SHARED_DATA / "pairs" / "HCC_005_19990123" / "ncct.nii.gz"
    if not file.exists():
        pytest.skip(f"real data is absent: {file}")
    return sitk.ReadImage(str(file))


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a folder that the Hub takes for a model."""
    return make_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def folder(model: dict[str, bytes], tmp_path: Path) -> Path:
    return write_files(tmp_path / "local", model)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    with hub_for_client(monkeypatch, tmp_path) as running:
        yield running
