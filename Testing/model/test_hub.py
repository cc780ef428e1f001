"""Models are found, downloaded and uploaded with the real Hub client, against a Hub on the loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hub_repos import blob_id
from hub_samples import DENOISER, HUB, REPO, explains, files_of, make_network
from hub_server import HubServer
from huggingface_hub import constants
from S2LDMLib.errors import Cancelled, ModelError
from S2LDMLib.model import hub
from S2LDMLib.model.hub import BUNDLED, ModelSource, resolve_model
from S2LDMLib.model.layout import weights_digest
from S2LDMLib.model.upload import push_to_hub
from S2LDMLib.model.weights import load_weights

# The client's own upload passes an argument that its HTTP library is about to rename.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


# Download


def test_download_gives_the_folder_and_its_commit(server: HubServer, model: dict[str, bytes]) -> None:
    commit = server.repo(REPO, model)
    source = resolve_model(HUB)
    assert source == ModelSource(source.folder, REPO, commit)
    assert files_of(source.folder) == model


def test_only_the_files_of_a_model_are_requested(server: HubServer, model: dict[str, bytes]) -> None:
    server.repo(REPO, {**model, "pytorch_model.bin": b"x", "code.py": b"x", "denoiser/old.safetensors": b"x"})
    assert files_of(resolve_model(HUB).folder) == model
    assert not [path for path in server.requested() if path.endswith((".bin", ".py", "old.safetensors"))]


def test_a_model_without_readme_is_complete(server: HubServer, model: dict[str, bytes]) -> None:
    del (files := dict(model))["README.md"]
    server.repo(REPO, files)
    assert files_of(resolve_model(HUB).folder) == files


def test_nothing_about_this_machine_is_reported(server: HubServer, model: dict[str, bytes]) -> None:
    server.repo(REPO, model)
    resolve_model(HUB)
    assert not [request for request in server.log if "torch/" in request.headers["user-agent"]]
    assert {path.split("/")[1] for path in server.requested()} == {"api", "lab", "cdn"}
    assert [path for path in server.requested() if path.startswith("/api")] == [f"/api/models/{REPO}/revision/main"]


def test_progress_rises_to_one_and_names_each_file(server: HubServer, model: dict[str, bytes]) -> None:
    server.repo(REPO, model)
    reports: list[tuple[float, str]] = []
    resolve_model(HUB, on_progress=lambda fraction, file: reports.append((fraction, file)))
    fractions = [fraction for fraction, _ in reports]
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0.0, 1.0)
    assert {file for _, file in reports} == set(model)
    during = [fraction for fraction, file in reports if file == DENOISER]
    assert len(set(during)) > 1


def test_cancelling_in_the_callback_ends_the_download(server: HubServer, model: dict[str, bytes]) -> None:
    server.repo(REPO, model)

    def cancel(_fraction: float, file: str) -> None:
        if file == DENOISER:
            raise Cancelled("Stopped.")

    with pytest.raises(Cancelled):
        resolve_model(HUB, on_progress=cancel)
    assert files_of(resolve_model(HUB).folder) == model


def test_large_files_come_from_the_cdn_without_the_token(
    server: HubServer, model: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    server.repo(REPO, model, private=True)
    monkeypatch.setenv("HF_TOKEN", "hf_valid")
    resolve_model(HUB)
    served = [request for request in server.log if request.path.startswith("/cdn/") and request.method == "GET"]
    assert len(served) == 2
    assert not [request for request in served if "authorization" in request.headers]


def test_cut_download_goes_on_where_it_broke_off(server: HubServer, model: dict[str, bytes]) -> None:
    chunk = constants.DOWNLOAD_CHUNK_SIZE  # the client keeps whole chunks only
    large = model[DENOISER] + os.urandom(chunk) + bytes(chunk // 10)
    server.repo(REPO, {**model, DENOISER: large})
    path = f"/cdn/{blob_id(DENOISER, large)}"
    server.cut_once[blob_id(DENOISER, large)] = chunk + 1000
    reports: list[float] = []
    source = resolve_model(HUB, on_progress=lambda fraction, _file: reports.append(fraction))
    gets = [request for request in server.log if request.path == path and request.method == "GET"]
    assert [request.headers.get("range") for request in gets] == [None, f"bytes={chunk}-"]
    assert (source.folder / DENOISER).read_bytes() == large
    assert reports == sorted(reports)


# Cache and revisions


@pytest.mark.parametrize("way", ["commit", "commit in the name", "local_files_only", "HF_HUB_OFFLINE"])
def test_the_cache_alone_is_enough(
    server: HubServer, model: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    commit = server.repo(REPO, model)
    first = resolve_model(HUB)
    server.log.clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", way == "HF_HUB_OFFLINE")
    name = f"{HUB}@{commit}" if way == "commit in the name" else HUB
    again = resolve_model(name, commit if way == "commit" else None, local_files_only=way == "local_files_only")
    assert (again, server.log) == (first, [])


def test_cached_branch_is_not_downloaded_again(server: HubServer, model: dict[str, bytes]) -> None:
    server.repo(REPO, model)
    first = resolve_model(HUB)
    server.log.clear()
    assert resolve_model(HUB) == first
    assert not [path for path in server.requested("GET") if not path.startswith("/api/")]


def test_pinned_revision_stays_when_the_branch_moves(server: HubServer, model: dict[str, bytes]) -> None:
    old = server.repo(REPO, model)
    newer = json.dumps({"format_version": 1, "part": "newer"}).encode()
    new = server.repos[REPO].commit({"denoiser/config.json": newer})
    pinned, latest = resolve_model(f"{HUB}@{old}"), resolve_model(HUB)
    assert (pinned.revision, latest.revision) == (old, new)
    assert files_of(pinned.folder) == model
    assert (latest.folder / "denoiser/config.json").read_bytes() == newer
    assert len([path for path in server.requested("GET") if path.startswith("/cdn/")]) == 2


@pytest.mark.parametrize("trouble", ["no network", "outage"])
def test_cached_model_serves_while_the_hub_is_out_of_reach(
    server: HubServer, model: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    server.repo(REPO, model)
    first = resolve_model(HUB)
    if trouble == "outage":
        server.outage = 503
    else:
        monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:1")
    assert resolve_model(HUB) == first


def test_a_name_without_prefix_asks_the_hub_for_nothing(server: HubServer, model: dict[str, bytes]) -> None:
    server.repo(REPO, model)
    with explains(ModelError, f"give {HUB}"):
        resolve_model(REPO)
    assert server.requested() == []
    fetched = resolve_model(HUB)
    assert resolve_model(REPO) == resolve_model(REPO, local_files_only=True) == fetched


# Whole runs, configured by the environment alone


def run_client(server: HubServer, home: Path, model: str, **environment: str) -> subprocess.CompletedProcess[str]:
    script = f"""
from S2LDMLib.model.hub import resolve_model
from S2LDMLib.errors import S2LDMError
try:
    print(resolve_model({model!r}).folder)
except S2LDMError as error:
    print(type(error).__name__, error)
"""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    settings = {"HF_ENDPOINT": server.endpoint, "HF_HOME": str(home), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", script]
    return subprocess.run(command, capture_output=True, text=True, env=clean | settings | environment, timeout=60)


def test_environment_alone_sets_endpoint_home_and_offline_mode(
    server: HubServer, model: dict[str, bytes], tmp_path: Path
) -> None:
    server.repo(REPO, model)
    home = tmp_path / "home"
    online = run_client(server, home, HUB)
    assert files_of(Path(online.stdout.strip())) == model, online.stderr
    assert home in Path(online.stdout.strip()).parents
    server.log.clear()
    assert run_client(server, home, REPO, HF_HUB_OFFLINE="1").stdout == online.stdout
    other = run_client(server, home, "lab/other", HF_HUB_OFFLINE="1")
    assert other.stdout.startswith("DownloadError Offline mode is on")
    assert "Traceback" not in other.stderr
    assert server.log == []


# Local models


def test_folder_is_its_own_source(folder: Path) -> None:
    expected = ModelSource(folder, str(folder), weights_digest(folder))
    assert resolve_model(folder) == resolve_model(str(folder)) == expected
    assert resolve_model(folder, revision=expected.revision) == expected


def test_folder_wins_over_a_repository_of_its_name(
    folder: Path, server: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder.parent / "lab").mkdir()
    folder.rename(folder.parent / REPO)
    monkeypatch.chdir(folder.parent)
    assert resolve_model(REPO).folder == Path(REPO)
    assert server.log == []


def test_bundled_model_is_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "_BUNDLED_FOLDERS", (folder.parent / "none", folder))
    assert resolve_model(BUNDLED) == ModelSource(folder, BUNDLED, weights_digest(folder))


# Upload


def test_pushed_model_comes_back_the_same(server: HubServer, folder: Path, model: dict[str, bytes]) -> None:
    (folder / "notes.txt").write_text("not of the model")
    commit = push_to_hub(folder, REPO, commit_message="First", token="hf_valid")
    assert server.repos[REPO].private
    assert server.repos[REPO].commits == {commit: model}
    server.repos[REPO].private = False
    source = resolve_model(f"{HUB}@{commit}")
    network = make_network(seed=7)
    load_weights(network, source.folder / DENOISER)
    assert torch.equal(network.weight, make_network(seed=1).weight)


def test_second_push_adds_a_commit_and_keeps_the_visibility(server: HubServer, folder: Path) -> None:
    first = push_to_hub(folder, REPO, private=False, token="hf_valid")
    (folder / "README.md").write_text("# Better\n")
    second = push_to_hub(folder, REPO, private=True, token="hf_valid")
    assert list(server.repos[REPO].commits) == [first, second]
    assert not server.repos[REPO].private


def test_push_takes_the_token_of_the_environment(
    server: HubServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_valid")
    assert push_to_hub(folder, REPO) in server.repos[REPO].commits
