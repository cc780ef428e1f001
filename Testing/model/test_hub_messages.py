"""Whatever is wrong with a model or the Hub reaches the user as one line that says what and what to do."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hub_samples import DENOISER, HUB, REPO, explains
from hub_server import HubServer
from huggingface_hub import constants
from S2LDMLib.errors import DownloadError, ModelError
from S2LDMLib.model import hub
from S2LDMLib.model.hub import BUNDLED, resolve_model
from S2LDMLib.model.layout import check_format, weights_digest
from S2LDMLib.model.upload import push_to_hub

# Out of reach


@pytest.mark.parametrize("way", ["argument", "HF_HUB_OFFLINE"])
def test_offline_with_nothing_cached_is_explained(server: HubServer, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", way == "HF_HUB_OFFLINE")
    with explains(DownloadError, "Offline mode is on", constants.HF_HUB_CACHE, f"lacks {REPO} (main)"):
        resolve_model(HUB, local_files_only=way == "argument")
    assert server.log == []


def test_offline_with_a_part_cached_is_explained(server: HubServer, model: dict[str, bytes]) -> None:
    server.repo(REPO, model)
    (resolve_model(HUB).folder / DENOISER).unlink()
    with explains(DownloadError, "Offline mode is on"):
        resolve_model(HUB, local_files_only=True)


def test_no_network_with_nothing_cached_is_explained(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:1")
    with explains(DownloadError, "Cannot reach http://127.0.0.1:1", f"download of {REPO}"):
        resolve_model(HUB)


def can_mount() -> bool:
    command = ["unshare", "-Urm", "true"]
    return shutil.which("unshare") is not None and subprocess.run(command, capture_output=True).returncode == 0


@pytest.mark.skipif(not can_mount(), reason="needs unprivileged mounts")
def test_full_disk_of_the_cache_is_explained(server: HubServer, model: dict[str, bytes], tmp_path: Path) -> None:
    server.repo(REPO, {**model, DENOISER: model[DENOISER] + bytes(1 << 20)})
    script = f"""
mount -t tmpfs -o size=256k tmpfs {tmp_path / "cache"} || exit 77
exec "$0" -c 'from S2LDMLib.model.hub import resolve_model; resolve_model("{HUB}")'
"""
    (tmp_path / "cache").mkdir()
    environment = {
        **os.environ,
        "HF_ENDPOINT": server.endpoint,
        "HF_HUB_CACHE": str(tmp_path / "cache"),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    command = ["unshare", "-Urm", "sh", "-c", script, sys.executable]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    if done.returncode == 77:
        pytest.skip("tmpfs cannot be mounted here")
    assert done.stderr.splitlines()[-1].startswith("S2LDMLib.errors.DownloadError: The disk of the cache")
