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


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), ("disk of the cache", "is full", "HF_HOME")),
        (RuntimeError(f"I/O error (os error {errno.ENOSPC})"), ("disk of the cache", "is full", "HF_HOME")),
        (RuntimeError("Something odd.\nDetails that do not fit."), (f"download of {REPO} failed (Something odd)",)),
    ],
)
def test_what_ends_a_download_is_explained(
    server: HubServer, model: dict[str, bytes], reason: Exception, words: tuple[str, ...]
) -> None:
    server.repo(REPO, model)

    def fail(_fraction: float, file: str) -> None:
        if file == DENOISER:
            raise reason

    with explains(DownloadError, *words):
        resolve_model(HUB, on_progress=fail)


def test_unusable_cache_is_explained(server: HubServer, model: dict[str, bytes], tmp_path: Path) -> None:
    server.repo(REPO, model)
    (tmp_path / "cache").touch()
    with explains(DownloadError, "Cannot write to the cache", "permissions"):
        resolve_model(HUB)


def test_missing_client_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with explains(DownloadError, "pip install 'huggingface_hub>=2'"):
        resolve_model(HUB)


# What the Hub refuses


@pytest.mark.parametrize("private", [True, False])
def test_private_or_unknown_repository_without_token_is_explained(
    server: HubServer, model: dict[str, bytes], private: bool
) -> None:
    if private:
        server.repo(REPO, model, private=True)
    with explains(DownloadError, f"{REPO} is private or does not exist on {server.endpoint}", "HF_TOKEN"):
        resolve_model(HUB)


def test_unknown_repository_is_explained(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_valid")
    with explains(ModelError, f"neither a folder nor a model {REPO} on {server.endpoint}"):
        resolve_model(HUB)


def test_gated_repository_is_explained(server: HubServer, model: dict[str, bytes]) -> None:
    server.repo(REPO, model, gated=True)
    with explains(DownloadError, "gated", f"terms at {server.endpoint}/{REPO}"):
        resolve_model(HUB)


@pytest.mark.parametrize("cached", [False, True])
def test_refused_token_is_explained_whether_or_not_the_model_is_cached(
    server: HubServer, model: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, cached: bool
) -> None:
    server.repo(REPO, model)
    if cached:
        resolve_model(HUB)
    monkeypatch.setenv("HF_TOKEN", "hf_expired")
    with explains(DownloadError, "asks for a valid access token"):
        resolve_model(HUB)


@pytest.mark.parametrize("revision", ["v9", "refs/pr/7", "0" * 40])
def test_unknown_revision_is_explained(server: HubServer, model: dict[str, bytes], revision: str) -> None:
    server.repo(REPO, model)
    with explains(ModelError, f"{REPO} has no revision '{revision}'"):
        resolve_model(HUB, revision=revision)


def test_outage_is_explained(server: HubServer) -> None:
    server.outage = 503
    with explains(DownloadError, f"{server.endpoint} answered with error 503"):
        resolve_model(HUB)


@pytest.mark.parametrize("prefix", ["", "hf://"])
def test_name_that_the_hub_forbids_is_explained(server: HubServer, prefix: str) -> None:
    with explains(ModelError, "'lab/a--b' is not a valid repository name"):
        resolve_model(f"{prefix}lab/a--b")


# What lies on the Hub and is no model of ours


def test_missing_file_is_named_before_any_download(server: HubServer, model: dict[str, bytes]) -> None:
    del (files := dict(model))[DENOISER]
    server.repo(REPO, files)
    with explains(ModelError, f"{REPO} at main lacks {DENOISER}."):
        resolve_model(HUB)
    assert not [path for path in server.requested() if "/resolve/" in path]


def test_repository_of_pickles_is_refused_unread(server: HubServer) -> None:
    server.repo(REPO, {"config.json": b"{}", "pytorch_model.bin": b"x", "unet.ckpt": b"x"})
    with explains(ModelError, f"{REPO} at main holds only pickled weights (pytorch_model.bin, unet.ckpt)"):
        resolve_model(HUB)
    assert not [path for path in server.requested() if "/resolve/" in path]


def test_newer_format_is_refused_before_its_weights_are_fetched(server: HubServer, model: dict[str, bytes]) -> None:
    server.repo(REPO, {**model, "config.json": b'{"format_version": 3}'})
    with explains(ModelError, "has format 3", "Update S2LDM"):
        resolve_model(HUB)
    assert not [path for path in server.requested() if path.startswith("/cdn/") or path.endswith(".safetensors")]


# Upload


@pytest.mark.parametrize(
    ("token", "expected"),
    [(None, "asks for a valid access token"), ("hf_read", f"gives no right to this on {REPO}")],
)
def test_push_without_permission_is_explained(
    server: HubServer, folder: Path, token: str | None, expected: str
) -> None:
    with explains(DownloadError, expected):
        push_to_hub(folder, REPO, token=token)
    assert server.repos == {}


def test_push_refuses_pickles_and_incomplete_folders(server: HubServer, folder: Path) -> None:
    (folder / "old.ckpt").touch()
    with explains(ModelError, "holds pickles (old.ckpt)"):
        push_to_hub(folder, REPO, token="hf_valid")
    (folder / DENOISER).unlink()
    with explains(ModelError, f"lacks {DENOISER}"):
        push_to_hub(folder, REPO, token="hf_valid")
    assert server.log == []


# Local models


def test_missing_bundled_model_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "_BUNDLED_FOLDERS", ())
    with explains(ModelError, "no bundled model"):
        resolve_model(BUNDLED)


@pytest.mark.parametrize("name", ["/no/such/folder", "./model", "model", "a/b/c", Path("lab/model"), "C:\\m\\x"])
def test_path_that_does_not_exist_is_no_repository(name: str | Path) -> None:
    with explains(ModelError, "There is no model folder", str(name).removeprefix("./")):
        resolve_model(name)


def test_file_is_no_model_folder(folder: Path) -> None:
    with explains(ModelError, "is a file and not a model folder"):
        resolve_model(folder / "config.json")


def test_folder_of_another_revision_is_refused(folder: Path) -> None:
    with explains(ModelError, f"has revision {weights_digest(folder)} and not 000"):
        resolve_model(folder, revision="0" * 64)


def test_two_revisions_are_refused() -> None:
    with explains(ModelError, f"Two revisions of {REPO} are given, v1 and v2"):
        resolve_model(f"{HUB}@v1", revision="v2")


@pytest.mark.parametrize(
    ("file", "content", "expected"),
    [
        ("config.json", None, "has no config.json"),
        ("config.json", "{", "is not valid JSON"),
        ("config.json", "\xff", "is not valid JSON"),
        ("config.json", "[1]", "is not a JSON object"),
        ("config.json", "{}", "has no valid format_version"),
        ("config.json", '{"format_version": "1"}', "has no valid format_version"),
        ("config.json", '{"format_version": 0}', "has no valid format_version"),
        ("config.json", '{"format_version": 3}', "has format 3"),
        ("scheduler/config.json", None, "lacks scheduler/config.json"),
        ("scheduler/config.json", "{", "is not valid JSON"),
    ],
)
def test_unusable_config_is_explained(folder: Path, file: str, content: str | None, expected: str) -> None:
    if content is None:
        (folder / file).unlink()
    else:
        (folder / file).write_text(content, encoding="latin-1")
    with explains(ModelError, expected, str(folder) if content is None else str(folder / file)):
        check_format(folder)


def test_folder_of_pickles_is_refused(folder: Path) -> None:
    for path in folder.rglob("*.safetensors"):
        path.rename(path.with_suffix(".bin"))
    with explains(ModelError, "holds only pickled weights (autoencoder/model.bin, denoiser/model.bin)"):
        check_format(folder)
