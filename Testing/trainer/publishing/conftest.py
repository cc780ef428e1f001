"""A trained model to publish, and a Hub on the loopback that takes it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hub_server import HubServer
from publish_samples import finished_run


@pytest.fixture
def trained(small_model: Path, tmp_path: Path) -> Path:
    return finished_run(small_model, tmp_path)


@pytest.fixture
def hub(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> HubServer:
    """The Hub for a client that may write to it."""
    monkeypatch.setenv("HF_TOKEN", "hf_valid")
    return server
