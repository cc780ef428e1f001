"""A small model, and a test Hub that the real client talks to."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import huggingface_hub
import pytest
import torch
from hub_server import HubServer
from huggingface_hub import constants
from S2LDMLib.errors import ModelError
from S2LDMLib.model.layout import CONFIG_FILES, WEIGHT_FILES
from S2LDMLib.model.weights import save_weights

REPO = "lab/model"
HUB = f"hf://{REPO}"
DENOISER = "denoiser/model.safetensors"


def make_network(seed: int) -> torch.nn.Module:
    """Return a network of one layer with weights of its own."""
    torch.manual_seed(seed)
    return torch.nn.Conv3d(1, 8, 3)


def make_model(folder: Path) -> dict[str, bytes]:
    """Save a small model to an empty folder and return all its files by path."""
    for seed, name in enumerate(WEIGHT_FILES):
        save_weights(make_network(seed), folder / name)
    texts = {name: json.dumps({"format_version": 1, "part": name}) for name in CONFIG_FILES}
    texts["README.md"] = "---\nlicense: apache-2.0\n---\n# A model\n"
    write_files(folder, {name: text.encode() for name, text in texts.items()})
    return files_of(folder)


def write_files(folder: Path, files: dict[str, bytes]) -> Path:
    """Write files given by path and return the folder."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def files_of(folder: Path) -> dict[str, bytes]:
    """Return all files below a folder by path."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def message_of(error: pytest.ExceptionInfo[ModelError]) -> str:
    """Return the message after checking that it is one line of two sentences, as errors.py promises."""
    message = str(error.value)
    assert "\n" not in message
    assert re.search(r"\. [A-Z].*\.$", message)
    return message


@contextmanager
def explains(kind: type[ModelError], *words: str) -> Iterator[None]:
    """Expect an error of exactly this type, in one line of two sentences that hold every one of the words."""
    with pytest.raises(kind) as error:
        yield
    assert error.type is kind
    message = message_of(error)
    for word in words:
        assert word in message, message


@contextmanager
def hub_for_client(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    """Run a Hub that the client in this process talks to, with an empty cache and no stored token.

    The client reads its environment once, when it is imported, so the constants that it read are set instead;
    the client's code stays as it is. Proxies of the machine must not divert the loopback.
    """
    proxies = [name for name in os.environ if name.lower().endswith("_proxy")]
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", *proxies):
        monkeypatch.delenv(name, raising=False)
    with HubServer() as running:
        monkeypatch.setattr(constants, "ENDPOINT", running.endpoint)
        template = running.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        huggingface_hub.close_session()  # drops a connection pool made under other proxies
        yield running
        huggingface_hub.close_session()
