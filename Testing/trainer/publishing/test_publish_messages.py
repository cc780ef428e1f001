"""Whatever keeps a model from being published reaches the user as one line that says what and what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hub_samples import DENOISER, REPO, message_of
from hub_server import HubServer
from huggingface_hub import constants
from publish_samples import publish, statistics, write_scores
from S2LDMLib.errors import DownloadError, InputError, ModelError
from S2LDMLib.model.layout import README_FILE
from S2LDMLib.model.upload import HubRepository, find_repository

# The client's own upload passes an argument that its HTTP library is about to rename.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


# What the Hub refuses


@pytest.mark.parametrize(
    ("given", "repo_id", "expected"),
    [
        (None, REPO, "valid access token"),
        ("hf_expired", REPO, "valid access token"),
        ("hf_read", REPO, f"no right to this on {REPO}"),
        ("hf_valid", "others/model", "no right to this on others/model"),
    ],
)
def test_a_token_without_the_right_is_explained(
    server: HubServer, trained: Path, monkeypatch: pytest.MonkeyPatch, given: str | None, repo_id: str, expected: str
) -> None:
    if given:
        monkeypatch.setenv("HF_TOKEN", given)
    with pytest.raises(DownloadError, match=expected) as error:
        publish(trained, repo_id)
    assert message_of(error)
    assert server.repos == {}


def test_only_who_has_a_token_learns_that_there_is_no_repository(
    server: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DownloadError, match="valid access token"):
        find_repository(REPO)
    monkeypatch.setenv("HF_TOKEN", "hf_valid")
    assert find_repository(REPO) is None
    server.repo(REPO, {README_FILE: b"# Mine\n"}, private=True)
    assert find_repository(REPO) == HubRepository(private=True, card="# Mine\n")


@pytest.mark.parametrize(("endpoint", "expected"), [("http://127.0.0.1:1", r"Cannot reach .*:1 "), (None, "error 503")])
def test_a_hub_out_of_reach_is_explained(
    hub: HubServer, trained: Path, monkeypatch: pytest.MonkeyPatch, endpoint: str | None, expected: str
) -> None:
    hub.outage = 503
    if endpoint:
        monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    with pytest.raises(DownloadError, match=expected) as error:
        publish(trained)
    assert message_of(error)


def test_a_card_that_the_hub_does_not_take_leaves_no_empty_repository(hub: HubServer, trained: Path) -> None:
    with pytest.raises(ModelError, match='"license" must be one of') as error:
        publish(trained, licence="my-own-1.0")
    assert message_of(error)
    assert hub.repos == {}


# Bad input, before any request


def refused(server: HubServer, folder: Path, expected: str, **options: Any) -> None:
    """Publish in vain: one line that holds these words, and nothing was sent."""
    with pytest.raises(InputError, match=expected) as error:
        publish(folder, **options)
    assert message_of(error)
    assert server.log == []


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"repo_id": "model"}, "whose repository"),
        ({"repo_id": "lab/a--b"}, "'lab/a--b' is no repository"),
        ({"repo_id": "a/b/c"}, "'a/b/c' is no repository"),
        ({"datasets": ("TCIA HCC-TACE-Seg",)}, "--data-attribution"),
        ({"licence": "Apache 2.0"}, "'Apache 2.0' is no licence"),
        ({"message": " "}, "message is empty"),
        ({"scores": Path("none.json")}, r"none\.json do not exist"),
    ],
)
def test_bad_options_are_explained(server: HubServer, trained: Path, options: dict[str, Any], expected: str) -> None:
    refused(server, trained, expected, **options)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"version": 2}, "version 1"),
        ({"model": {"revision": "0" * 64, "detail": "native", "steps": 1}}, r"other weights \(000000000000\)"),
        ({"model": None}, "lack or garble"),
        ({"phases": {}}, "no scores of the model"),
        (
            {"phases": {"arterial": {"summary": {"identity": {"body_psnr": statistics(18.0)}}}}},
            "no scores of the model",
        ),
        ({"phases": {"delayed": {"summary": {"model": {"body_psnr": statistics(18.0)}}}}}, "phase 'delayed'"),
        ({"phases": {"arterial": {"summary": {"model": {"body_psnr": 18.0}}}}}, "lack or garble"),
        ({"phases": {"arterial": {"summary": {"model": {"body_psnr": statistics("a")}}}}}, "lack or garble"),
    ],
)
def test_scores_that_are_not_of_this_model_are_refused(
    server: HubServer, trained: Path, changes: dict[str, Any], expected: str
) -> None:
    refused(server, trained, expected, scores=write_scores(trained, **changes))


BAD_CARDS = (
    "---\nlicense: [mit\n---\nx",
    "---\n- a\n---\nx",
    "---\nmodel-index:\n- nam: x\n---\n",
    "---\ntags: 3\n---\n",
)


@pytest.mark.parametrize("card", [*(card.encode() for card in BAD_CARDS), b"\xff"])
def test_an_unreadable_card_of_ones_own_is_explained(server: HubServer, trained: Path, card: bytes) -> None:
    (trained / README_FILE).write_bytes(card)
    refused(server, trained, README_FILE)


@pytest.mark.parametrize("content", ["{", "[1]"])
def test_an_unreadable_recipe_is_explained(server: HubServer, trained: Path, content: str) -> None:
    (trained.parent / "recipe.json").write_text(content)
    refused(server, trained, r"The recipe .*recipe\.json (cannot be read|is no JSON object)")


def test_a_model_that_does_not_load_is_refused(server: HubServer, trained: Path) -> None:
    (trained / "old.ckpt").touch()
    with pytest.raises(ModelError, match=r"pickles \(old\.ckpt\)"):
        publish(trained)
    (trained / "old.ckpt").unlink()
    (trained / DENOISER).write_bytes((trained / DENOISER).read_bytes()[:100])
    with pytest.raises(ModelError, match="truncated or corrupt"):
        publish(trained)
    (trained / DENOISER).unlink()
    with pytest.raises(ModelError, match=f"lacks {DENOISER}"):
        publish(trained)
    assert server.log == []
