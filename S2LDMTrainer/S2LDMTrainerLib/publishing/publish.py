"""Publish a trained model: check it, write its card, upload it to the Hugging Face Hub.

Nothing in the model folder is changed: the card is made for the upload alone.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import constants
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id
from S2LDMLib.errors import InputError
from S2LDMLib.model.hub import HUB_PREFIX
from S2LDMLib.model.layout import README_FILE, REQUIRED_FILES
from S2LDMLib.model.upload import check_upload, find_repository, push_to_hub

from .card_scores import read_scores
from .model_card import CardFacts, complete_card, front_matter, is_generated, write_card

_LICENCE = re.compile(r"[a-z0-9][a-z0-9.+-]*")
_MACHINE_PATH = re.compile(r"(?:^|[\s'\"=:(])(?:~?/[\w.-]+/|[A-Za-z]:\\)")  # absolute ones: they may name people


@dataclass(frozen=True)
class PublishRequest:
    """What the user asks for; see :class:`~S2LDMTrainerLib.publishing.model_card.CardFacts` for the fields of the card.

    Attributes:
        folder: the model folder.
        scores: the file that ``s2ldm-train evaluate --json`` wrote.
        private: whether a new repository is private.
        message: the commit's message; None for one that names the model.
        replace_card: whether the card is written anew even where somebody wrote or changed it.
    """

    folder: Path
    repo_id: str
    scores: Path | None = None
    private: bool = True
    message: str | None = None
    licence: str | None = None
    datasets: tuple[str, ...] = ()
    attribution: tuple[str, ...] = ()
    replace_card: bool = False


@dataclass(frozen=True)
class Draft:
    """A checked model with its card, ready to be uploaded.

    Attributes:
        card: the whole card.
        own_text: whether its text is the user's, from the model folder.
        message: the commit's message.
        size: the size of the model's files, bytes.
        notes: what the user should know about the card.
    """

    card: str
    own_text: bool
    message: str
    size: int
    notes: tuple[str, ...]


def draft(request: PublishRequest) -> Draft:
    """Check a model strictly and write its card; no network is used.

    Raises:
        InputError: an option, the scores, the recipe or the README cannot be used.
        ModelError: the folder is no complete, loadable model.
    """
    _check_request(request)
    check_upload(request.folder)
    recipe_file, recipe = _read_recipe(request.folder)

    from S2LDMLib.pipeline import S2LDMPipeline  # and torch, which takes seconds: what is wrong above is told at once

    pipeline = S2LDMPipeline.from_pretrained(request.folder, device="cpu")
    assert pipeline.source is not None  # as of every pipeline that was loaded
    revision, phases = pipeline.source.revision, pipeline.config.phases
    facts = CardFacts(
        repo_id=request.repo_id,
        licence=request.licence,
        datasets=request.datasets,
        attribution=request.attribution,
        recipe=recipe,
        scores=read_scores(request.scores, revision, phases) if request.scores else None,
    )
    notes = [f"The training recipe was read from {recipe_file}."] if recipe_file else []
    notes += _remarks(pipeline.config.provenance, facts)
    own = None if request.replace_card else _own_card(request.folder)
    if own is None:
        card = write_card(pipeline, facts)
        notes += _missing(pipeline.config.provenance, facts)
    else:
        card, changed = complete_card(own, front_matter(pipeline, facts), facts, str(request.folder / README_FILE))
        done = f"completed ({', '.join(changed)})" if changed else "complete already"
        notes.append(
            f"{README_FILE} of the model folder was written or changed by hand: its text goes up as it is, its front "
            f"matter is {done}. Check that its figures belong to these weights."
        )
    return Draft(
        card=card,
        own_text=own is not None,
        message=request.message or f"{pipeline.config.name}, weights {revision[:12]}",
        size=sum((request.folder / name).stat().st_size for name in REQUIRED_FILES),
        notes=tuple(notes),
    )


def upload(request: PublishRequest, made: Draft) -> str:
    """Upload a drafted model as one commit, making the repository if there is none.

    Returns:
        What was done, for the user: new or updated, visibility, address, and how to use it.

    Raises:
        InputError: the repository is public and the request private, or somebody edited its card.
        ModelError: the Hub does not take the card.
        DownloadError: the Hub, the network or a permission is in the way.
    """
    present = find_repository(request.repo_id)
    if present and request.private and not present.private:
        raise InputError(
            f"{request.repo_id} exists and is public, so the model would be. Give --public or the name of another one."
        )
    edited = present and present.card is not None and not is_generated(present.card)
    if edited and not made.own_text and not request.replace_card:
        raise InputError(
            f"The card of {request.repo_id} was written or changed by hand. "
            f"Save it as {README_FILE} in {request.folder} to keep its text, or give --replace-card."
        )
    commit = push_to_hub(request.folder, request.repo_id, request.private, made.message, card=made.card)
    private = present.private if present else request.private
    lines = [
        f"{'Updated' if present else 'Made'} {request.repo_id} ({'private' if private else 'public'}): "
        f"{constants.ENDPOINT}/{request.repo_id}/tree/{commit}",
        f"Use it with: s2ldm translate INPUT OUTPUT --phase PHASE --model {HUB_PREFIX}{request.repo_id}@{commit}",
    ]
    if private and not request.private:
        lines.insert(1, "It was private and stays so. Make it public in its settings on the Hub.")
    return "\n".join(lines)


def _check_request(request: PublishRequest) -> None:
    if not request.folder.is_dir():
        raise InputError(f"There is no model folder {request.folder}. Give the folder that holds config.json.")
    _check_name(request.repo_id, "repository")
    for name in request.datasets:
        _check_name(name, "data set")
    if request.licence is not None and not _LICENCE.fullmatch(request.licence):
        raise InputError(
            f"'{request.licence}' is no licence identifier of the Hub. Give one such as apache-2.0 or cc-by-nc-4.0."
        )
    if request.message is not None and not request.message.strip():
        raise InputError("The message is empty. Say in a few words what is published, or leave it out.")


def _check_name(name: str, kind: str) -> None:
    hint = "" if kind == "repository" else "; name other data with --data-attribution"
    try:
        validate_repo_id(name)
    except HFValidationError as error:
        reason = str(error).split(":")[0].rstrip(".")
        raise InputError(f"'{name}' is no {kind} on the Hub ({reason}). Give owner/name{hint}.") from None
    if kind == "repository" and "/" not in name:
        raise InputError(f"'{name}' does not say whose repository it is. Give owner/name.")


def _remarks(provenance: dict[str, str], facts: CardFacts) -> list[str]:
    remarks = []
    named = [key for key, text in provenance.items() if _MACHINE_PATH.search(text)]
    if named:
        fields = ", ".join(named)
        remarks.append(f"config.json names folders of a machine in its provenance ({fields}), and goes up so.")
    if facts.scores and facts.scores.trained_on:
        remarks.append("Some scored cases were there to train on: the card says so, and its model-index is left out.")
    return remarks


def _missing(provenance: dict[str, str], facts: CardFacts) -> list[str]:
    missing = []
    if not (facts.attribution or facts.datasets or provenance.get("data")):
        missing.append("The card does not say what the model was trained on. Give --data-attribution or --dataset.")
    if facts.scores is None:
        missing.append("The card has no scores. Give --scores.")
    return missing


def _own_card(folder: Path) -> str | None:
    """Return the README of the model folder if somebody wrote or changed it."""
    file = folder / README_FILE
    if not file.is_file():
        return None
    try:
        card = file.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read as UTF-8 ({error}). Save it as UTF-8 or remove it.") from None
    return None if is_generated(card) else card


def _read_recipe(folder: Path) -> tuple[Path | None, dict[str, str] | None]:
    """Return the recipe beside a trained model, flat, without empty fields and without paths of this machine."""
    file = folder.resolve().parent / "recipe.json"
    if not file.is_file():
        return None, None
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise InputError(f"The recipe {file} cannot be read ({error}). Correct it or move it away.") from None
    if not isinstance(content, dict):
        raise InputError(f"The recipe {file} is no JSON object. Correct it or move it away.")
    return file, dict(_flat(content, ""))


def _flat(value: Any, name: str) -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [pair for key, item in value.items() for pair in _flat(item, f"{name}.{key}" if name else str(key))]
    text = value if isinstance(value, str) else json.dumps(value)
    return [] if value is None or _MACHINE_PATH.search(text) else [(name, text)]
