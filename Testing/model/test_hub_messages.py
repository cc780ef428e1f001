"""Whatever is wrong with a model or the Hub reaches the user as one line that says what and what to do."""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hub_samples import DENOISER, HUB, REPO, message_of
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
    with pytest.raises(DownloadError) as error:
        resolve_model(HUB, local_files_only=way == "argument")
    assert re.match(r"Offline mode is on and the cache .* lacks lab/model \(main\)", message_of(error))
    assert server.log == []


def test_offline_with_a_part_cached_is_explained(server: HubServer, model: dict[str, bytes]) -> None:
    server.repo(REPO, model)
    (resolve_model(HUB).folder / DENOISER).unlink()
    with pytest.raises(DownloadError, match="Offline mode is on"):
        resolve_model(HUB, local_files_only=True)


def test_no_network_with_nothing_cached_is_explained(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(DownloadError) as error:
        resolve_model(HUB)
    assert "Cannot reach http://127.0.0.1:1 for the download of lab/model" in message_of(error)


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


# What the Hub refuses


@pytest.mark.parametrize("private", [True, False])
def test_private_or_unknown_repository_without_token_is_explained(
    server: HubServer, model: dict[str, bytes], private: bool
) -> None:
    if private:
        server.repo(REPO, model, private=True)
    with pytest.raises(DownloadError) as error:
        resolve_model(HUB)
    message = message_of(error)
    assert f"{REPO} is private or does not exist on {server.endpoint}" in message
    assert "set HF_TOKEN or run 'hf auth login'" in message


def test_unknown_repository_is_explained(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_valid")
    with pytest.raises(ModelError) as error:
        resolve_model(HUB)
    assert not isinstance(error.value, DownloadError)
    assert f"There is neither a folder nor a model {REPO} on {server.endpoint}" in message_of(error)


def test_gated_repository_is_explained(server: HubServer, model: dict[str, bytes]) -> None:
    server.repo(REPO, model, gated=True)
    with pytest.raises(DownloadError) as error:
        resolve_model(HUB)
    assert f"{REPO} is gated. Accept its terms at {server.endpoint}/{REPO}" in message_of(error)


def test_refused_token_is_explained(
    server: HubServer, model: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    server.repo(REPO, model)
    monkeypatch.setenv("HF_TOKEN", "hf_expired")
    with pytest.raises(DownloadError) as error:
        resolve_model(HUB)
    assert "asks for a valid access token" in message_of(error)


@pytest.mark.parametrize("revision", ["v9", "refs/pr/7", "0" * 40])
def test_unknown_revision_is_explained(server: HubServer, model: dict[str, bytes], revision: str) -> None:
    server.repo(REPO, model)
    with pytest.raises(ModelError) as error:
        resolve_model(HUB, revision=revision)
    assert f"{REPO} has no revision '{revision}'" in message_of(error)


def test_outage_is_explained(server: HubServer) -> None:
    server.outage = 503
    with pytest.raises(DownloadError) as error:
        resolve_model(HUB)
    assert f"{server.endpoint} answered with error 503" in message_of(error)


def test_missing_file_is_named_before_any_download(server: HubServer, model: dict[str, bytes]) -> None:
    del (files := dict(model))[DENOISER]
    server.repo(REPO, files)
    with pytest.raises(ModelError) as error:
        resolve_model(HUB)
    assert f"{REPO} at main lacks {DENOISER}." in message_of(error)
    assert not [path for path in server.requested() if "/resolve/" in path]


def test_repository_of_pickles_is_refused_unread(server: HubServer) -> None:
    server.repo(REPO, {"config.json": b"{}", "pytorch_model.bin": b"x", "unet.ckpt": b"x"})
    with pytest.raises(ModelError) as error:
        resolve_model(HUB)
    assert f"{REPO} at main holds only pickled weights (pytorch_model.bin, unet.ckpt)" in message_of(error)
    assert not [path for path in server.requested() if "/resolve/" in path]


def test_newer_format_is_refused_before_its_weights_are_fetched(server: HubServer, model: dict[str, bytes]) -> None:
    server.repo(REPO, {**model, "config.json": b'{"format_version": 3}'})
    with pytest.raises(ModelError) as error:
        resolve_model(HUB)
    assert "has format 3, but this S2LDM reads formats up to 2. Update S2LDM." in message_of(error)
    assert not [path for path in server.requested() if path.startswith("/cdn/")]


@pytest.mark.parametrize(
    "reason",
    [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), RuntimeError(f"I/O error (os error {errno.ENOSPC})")],
)
def test_full_disk_is_explained(server: HubServer, model: dict[str, bytes], reason: Exception) -> None:
    server.repo(REPO, model)

    def fail(_fraction: float, file: str) -> None:
        if file == DENOISER:
            raise reason

    with pytest.raises(DownloadError) as error:
        resolve_model(HUB, on_progress=fail)
    assert re.match(r"The disk of the cache .* is full\. Free some space or point HF_HOME", message_of(error))


def test_unusable_cache_is_explained(server: HubServer, model: dict[str, bytes], tmp_path: Path) -> None:
    server.repo(REPO, model)
    (tmp_path / "cache").touch()
    with pytest.raises(DownloadError) as error:
        resolve_model(HUB)
    assert re.match(r"Cannot write to the cache .*\. Check its permissions or point", message_of(error))


def test_any_other_failure_keeps_its_reason(server: HubServer, model: dict[str, bytes]) -> None:
    server.repo(REPO, model)

    def fail(_fraction: float, _file: str) -> None:
        raise RuntimeError("Something odd.\nDetails that do not fit.")

    with pytest.raises(DownloadError) as error:
        resolve_model(HUB, on_progress=fail)
    assert message_of(error) == f"The download of {REPO} failed (Something odd). Try again."


def test_missing_client_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(DownloadError) as error:
        resolve_model(HUB)
    assert "pip install 'huggingface_hub>=2'" in message_of(error)


def test_name_that_the_hub_forbids_is_explained(server: HubServer) -> None:
    with pytest.raises(ModelError) as error:
        resolve_model("hf://lab/a--b")
    assert "'lab/a--b' is not a valid repository name" in message_of(error)


@pytest.mark.parametrize(
    ("token", "expected"),
    [(None, "asks for a valid access token"), ("hf_read", "gives no right to this on lab/model")],
)
def test_push_without_permission_is_explained(
    server: HubServer, folder: Path, token: str | None, expected: str
) -> None:
    with pytest.raises(DownloadError) as error:
        push_to_hub(folder, REPO, token=token)
    assert expected in message_of(error)
    assert server.repos == {}


def test_push_refuses_pickles_and_incomplete_folders(server: HubServer, folder: Path) -> None:
    (folder / "old.ckpt").touch()
    with pytest.raises(ModelError, match=r"holds pickles \(old\.ckpt\)\. Remove them first\."):
        push_to_hub(folder, REPO, token="hf_valid")
    (folder / DENOISER).unlink()
    with pytest.raises(ModelError, match=rf"lacks {DENOISER}"):
        push_to_hub(folder, REPO, token="hf_valid")
    assert server.log == []


# Local models


def test_missing_bundled_model_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "_BUNDLED_FOLDERS", ())
    with pytest.raises(ModelError) as error:
        resolve_model(BUNDLED)
    assert "This installation has no bundled model" in message_of(error)


@pytest.mark.parametrize("name", ["/no/such/folder", "./model", "model", "a/b/c", Path("lab/model"), "C:\\m\\x"])
def test_path_that_does_not_exist_is_no_repository(name: str | Path) -> None:
    with pytest.raises(ModelError) as error:
        resolve_model(name)
    assert "There is no model folder" in message_of(error)


def test_file_is_no_model_folder(folder: Path) -> None:
    with pytest.raises(ModelError) as error:
        resolve_model(folder / "config.json")
    assert "is a file and not a model folder" in message_of(error)


def test_folder_of_another_revision_is_refused(folder: Path) -> None:
    with pytest.raises(ModelError) as error:
        resolve_model(folder, revision="0" * 64)
    assert f"has revision {weights_digest(folder)} and not 000" in message_of(error)


def test_two_revisions_are_refused() -> None:
    with pytest.raises(ModelError) as error:
        resolve_model(f"{HUB}@v1", revision="v2")
    assert "Two revisions of lab/model are given, v1 and v2" in message_of(error)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "has no config.json"),
        ("{", "is not valid JSON"),
        ("\xff", "is not valid JSON"),
        ("[1]", "is not a JSON object"),
        ("{}", "has no valid format_version"),
        ('{"format_version": "1"}', "has no valid format_version"),
        ('{"format_version": 0}', "has no valid format_version"),
        ('{"format_version": 3}', "has format 3"),
    ],
)
def test_unusable_config_is_explained(folder: Path, content: str | None, expected: str) -> None:
    if content is None:
        (folder / "config.json").unlink()
    else:
        (folder / "config.json").write_text(content, encoding="latin-1")
    with pytest.raises(ModelError) as error:
        check_format(folder)
    assert expected in message_of(error)


def test_broken_config_of_a_component_is_explained(folder: Path) -> None:
    (folder / "scheduler/config.json").write_text("{")
    with pytest.raises(ModelError, match=r"scheduler.config\.json is not valid JSON"):
        check_format(folder)


def test_folder_of_pickles_is_refused(folder: Path) -> None:
    for path in folder.rglob("*.safetensors"):
        path.rename(path.with_suffix(".bin"))
    with pytest.raises(ModelError) as error:
        check_format(folder)
    assert "holds only pickled weights (autoencoder/model.bin, denoiser/model.bin)" in message_of(error)
