"""Whatever keeps a model from being published reaches the user as one line that says what and what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hub_samples import DENOISER, REPO, message_of
from hub_server import HubServer
from huggingface_hub import constants
from publish_samples import figures, finished_run, publish, write_scores
from S2LDMLib.errors import DownloadError, InputError, ModelError
from S2LDMLib.model.layout import README_FILE
from S2LDMLib.model.upload import HubRepository, find_repository

# The client's own upload passes an argument that its HTTP library is about to rename.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


@pytest.fixture
def trained(small_model: Path, tmp_path: Path) -> Path:
    return finished_run(small_model, tmp_path)


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch, server: HubServer) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_valid")


# What the Hub refuses


@pytest.mark.parametrize(
    ("given", "repo_id", "expected"),
    [
        (None, REPO, "asks for a valid access token"),
        ("hf_expired", REPO, "asks for a valid access token"),
        ("hf_read", REPO, f"gives no right to this on {REPO}"),
        ("hf_valid", "others/model", "gives no right to this on others/model"),
    ],
)
def test_a_token_without_the_right_is_explained(
    server: HubServer, trained: Path, monkeypatch: pytest.MonkeyPatch, given: str | None, repo_id: str, expected: str
) -> None:
    if given:
        monkeypatch.setenv("HF_TOKEN", given)
    with pytest.raises(DownloadError) as error:
        publish(trained, repo_id)
    assert expected in message_of(error)
    assert server.repos == {}


def test_only_who_has_a_token_learns_that_there_is_no_repository(
    server: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DownloadError, match="asks for a valid access token"):
        find_repository(REPO)
    monkeypatch.setenv("HF_TOKEN", "hf_valid")
    assert find_repository(REPO) is None
    server.repo(REPO, {README_FILE: b"# Mine\n"}, private=True)
    assert find_repository(REPO) == HubRepository(private=True, card="# Mine\n")


@pytest.mark.usefixtures("token")
@pytest.mark.parametrize("trouble", ["no network", "outage"])
def test_a_hub_out_of_reach_is_explained(
    server: HubServer, trained: Path, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    server.outage = 503
    if trouble == "no network":
        monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(DownloadError) as error:
        publish(trained)
    expected = "Cannot reach http://127.0.0.1:1 for the upload" if trouble == "no network" else "error 503"
    assert expected in message_of(error)


@pytest.mark.usefixtures("token")
def test_a_card_that_the_hub_does_not_take_leaves_no_empty_repository(server: HubServer, trained: Path) -> None:
    with pytest.raises(ModelError) as error:
        publish(trained, licence="my-own-1.0")
    assert '"license" must be one of [apache-2.0' in message_of(error)
    assert server.repos == {}


# Bad input, before any request


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"repo_id": "model"}, "does not say whose repository it is"),
        ({"repo_id": "lab/a--b"}, "'lab/a--b' is no repository on the Hub"),
        ({"repo_id": "a/b/c"}, "'a/b/c' is no repository on the Hub"),
        ({"datasets": ("TCIA HCC-TACE-Seg",)}, "name other data with --data-attribution"),
        ({"licence": "Apache 2.0"}, "'Apache 2.0' is no licence identifier"),
        ({"message": " "}, "The message is empty"),
        ({"scores": Path("none.json")}, "The scores none.json do not exist"),
    ],
)
def test_bad_options_are_explained(server: HubServer, trained: Path, options: dict[str, Any], expected: str) -> None:
    with pytest.raises(InputError) as error:
        publish(trained, **options)
    assert expected in message_of(error)
    assert server.log == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"version": 2}, "no scores of version 1"),
        ({"model": {"revision": "0" * 64, "detail": "native", "steps": 1}}, "scores other weights (000000000000)"),
        ({"model": None}, "lack or garble a field"),
        ({"phases": {}}, "no scores of the model itself"),
        ({"phases": {"arterial": {"summary": {"identity": {"body_psnr": figures(18.0)}}}}}, "no scores of the model"),
        ({"phases": {"delayed": {"summary": {"model": {"body_psnr": figures(18.0)}}}}}, "the phase 'delayed'"),
        ({"phases": {"arterial": {"summary": {"model": {"body_psnr": 18.0}}}}}, "lack or garble a field"),
        ({"phases": {"arterial": {"summary": {"model": {"body_psnr": figures("a")}}}}}, "lack or garble a field"),
    ],
)
def test_scores_that_are_not_of_this_model_are_refused(
    server: HubServer, trained: Path, changes: dict[str, Any], expected: str
) -> None:
    with pytest.raises(InputError) as error:
        publish(trained, scores=write_scores(trained, **changes))
    assert expected in message_of(error)
    assert server.log == []


@pytest.mark.parametrize(
    "card",
    [
        b"---\nlicense: [mit\n---\nx",
        b"---\n- a\n---\nx",
        b"---\nmodel-index:\n- nam: x\n---\n",
        b"---\ntags: 3\n---\n",
        b"\xff",
    ],
)
def test_an_unreadable_card_of_ones_own_is_explained(server: HubServer, trained: Path, card: bytes) -> None:
    (trained / README_FILE).write_bytes(card)
    with pytest.raises(InputError) as error:
        publish(trained)
    assert README_FILE in message_of(error)
    assert server.log == []


@pytest.mark.parametrize("name", ["recipe.json", "model/training.json"])
@pytest.mark.parametrize("content", ["{", "[1]"])
def test_an_unreadable_recipe_is_explained(server: HubServer, trained: Path, name: str, content: str) -> None:
    (trained.parent / name).write_text(content)
    with pytest.raises(InputError, match=r"The recipe .*\.json (cannot be read|is no JSON object)"):
        publish(trained)
    assert server.log == []


def test_a_model_that_does_not_load_is_refused(server: HubServer, trained: Path) -> None:
    (trained / "old.ckpt").touch()
    with pytest.raises(ModelError, match=r"holds pickles \(old\.ckpt\)"):
        publish(trained)
    (trained / "old.ckpt").unlink()
    (trained / DENOISER).write_bytes((trained / DENOISER).read_bytes()[:100])
    with pytest.raises(ModelError, match="is truncated or corrupt"):
        publish(trained)
    (trained / DENOISER).unlink()
    with pytest.raises(ModelError, match=f"lacks {DENOISER}"):
        publish(trained)
    assert server.log == []
