"""The model card: the README of a model repository, with the front matter that the Hub reads.

A generated card ends with a mark that holds its own hash. A card without it, or changed since, is somebody's own work
and is never replaced in silence.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from huggingface_hub import ModelCard, ModelCardData
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from S2LDMLib.about import __version__
from S2LDMLib.errors import InputError

from ..scoring.catalogue import METHODS
from .card_scores import EvaluationSummary, eval_results, score_rows, shown_methods

if TYPE_CHECKING:
    from S2LDMLib.pipeline import S2LDMPipeline

LICENCE = "apache-2.0"
TEMPLATE = "model_card.md.jinja"

_MARK = re.compile(r"(?P<card>.*)<!-- Written by s2ldm-train publish: (?P<hash>[0-9a-f]{16}) -->\s*", re.DOTALL)
_TAGS = ("medical", "ct", "computed-tomography", "contrast-enhancement", "latent-diffusion", "3d-slicer")


@dataclass(frozen=True)
class CardFacts:
    """What only the publisher knows.

    Attributes:
        repo_id: the repository that the card is for, "owner/name".
        licence: an identifier of the Hub's list of licences; None for Apache-2.0 or what a card says already.
        datasets: repositories on the Hub that the model was trained on.
        attribution: sources of the training data with their licences, one a line.
        recipe: how the model was trained, by field.
        scores: the evaluation of these weights, if there is one.
    """

    repo_id: str
    licence: str | None = None
    datasets: tuple[str, ...] = ()
    attribution: tuple[str, ...] = ()
    recipe: dict[str, str] | None = None
    scores: EvaluationSummary | None = None


def front_matter(pipeline: S2LDMPipeline, facts: CardFacts) -> ModelCardData:
    """Return the metadata of a card, which the Hub lists, filters and ranks by."""
    results = eval_results(facts.scores) if facts.scores else []
    return ModelCardData(
        license=facts.licence or LICENCE,
        library_name="s2ldm",
        pipeline_tag="image-to-image",
        tags=[*_TAGS, *pipeline.config.phases],
        datasets=list(facts.datasets) or None,
        metrics=list(dict.fromkeys(result.metric_type for result in results)) or None,
        model_name=pipeline.config.name if results else None,
        eval_results=results or None,
    )


def write_card(pipeline: S2LDMPipeline, facts: CardFacts) -> str:
    """Write the whole card of a model, mark included.

    Args:
        pipeline: the model that is published.
        facts: what the publisher says about it.
    """
    scored = [method for methods in facts.scores.phases.values() for method in methods] if facts.scores else []
    text = _environment().get_template(TEMPLATE).render(
        name=pipeline.config.name,
        phases=pipeline.config.phases,
        latent=bool(pipeline.autoencoder.config.channels),
        facts=facts,
        sources=_sources(pipeline, facts),
        training=_training(pipeline, facts.recipe),
        scores=facts.scores,
        legend=[(method, METHODS[method].card) for method in shown_methods(scored) if method in METHODS],
    )  # fmt: skip
    card = f"---\n{front_matter(pipeline, facts).to_yaml()}\n---\n\n{text}"
    return f"{card}<!-- Written by s2ldm-train publish: {_hash(card)} -->\n"


def is_generated(card: str) -> bool:
    """Tell whether a card is one of :func:`write_card` that nobody has changed since."""
    mark = _MARK.fullmatch(card.replace("\r\n", "\n"))
    return mark is not None and _hash(mark["card"]) == mark["hash"]


def complete_card(card: str, data: ModelCardData, facts: CardFacts, where: str) -> tuple[str, list[str]]:
    """Keep the text of somebody's own card and complete its front matter.

    What the front matter says stays; missing fields are added and lists get the missing entries. The licence is
    replaced where one is asked for by name, and the ``model-index`` where there are scores, for these belong to the
    weights.

    Args:
        card: the card as it is.
        data: what :func:`front_matter` gives for the model.
        facts: what the publisher says.
        where: name of the card in errors.

    Returns:
        The new card, and the names of the fields that were added or changed.

    Raises:
        InputError: the front matter is no valid YAML, or its model-index is malformed.
    """
    has_front_matter = re.match(r"\s*---\s*\n", card) is not None
    try:
        kept = ModelCard(card if has_front_matter else f"---\n\n---\n{card}")
    except Exception as error:  # whatever the client's YAML parser and its checks of the fields raise
        reason = " ".join(str(error).split())
        raise InputError(f"The front matter of {where} cannot be read ({reason}). Correct or remove it.") from None
    before = kept.data.to_dict()
    for name, value in vars(data).items():
        present = kept.data.get(name)
        if name in ("eval_results", "model_name"):
            replaced = facts.scores is not None
        else:
            replaced = not present or (name == "license" and facts.licence is not None)
        if replaced:
            kept.data[name] = value
        elif isinstance(value, list) and name in ("tags", "datasets", "metrics"):
            own = present if isinstance(present, list) else [present]
            kept.data[name] = list(dict.fromkeys([*own, *value]))
    after = kept.data.to_dict()
    return kept.content, [name for name in after if after[name] != before.get(name)]


def _hash(card: str) -> str:
    return hashlib.sha256(card.encode()).hexdigest()[:16]


def _environment() -> Environment:
    environment = Environment(  # Markdown, so nothing is escaped
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=False, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters["one_line"] = lambda text: " ".join(text.split())
    environment.globals.update(shown_methods=shown_methods, score_rows=score_rows)
    return environment


def _sources(pipeline: S2LDMPipeline, facts: CardFacts) -> list[str]:
    """Return what the model was trained on, as far as the model folder or the publisher says so."""
    recorded = pipeline.config.provenance.get("data")
    hosted = (f"[{name}](https://huggingface.co/datasets/{name})" for name in facts.datasets)
    return [*([recorded] if recorded else []), *facts.attribution, *hosted]


def _training(pipeline: S2LDMPipeline, recipe: dict[str, str] | None) -> dict[str, str]:
    """Return what the model is and how it was trained, by field."""
    preprocess, codes = pipeline.config.preprocess, pipeline.autoencoder.config.num_embeddings
    low, high = (preprocess.level + sign * preprocess.window / 2 for sign in (-1, 1))
    stride = " x ".join(str(step) for step in reversed(pipeline.autoencoder.stride))
    spacing = " x ".join(f"{step:g}" for step in preprocess.spacing or ())
    weights = sum(p.numel() for part in (pipeline.autoencoder, pipeline.denoiser) for p in part.parameters())
    return {
        **({"preset": f"`{recipe['preset']}`"} if recipe and "preset" in recipe else {}),
        "denoiser": f"{pipeline.denoiser.config.kind}, {pipeline.scheduler.config.prediction} prediction, "
        f"{pipeline.scheduler.config.steps} sampling step(s) by default",
        "autoencoder": f"stride {stride} (x, y, z), {f'{codes} codes' if codes else 'no codebook'}",
        "parameters": f"{weights / 1e6:.1f} million",
        "window": f"{low:g} to {high:g} HU",
        "working spacing": f"{spacing} mm (x, y, z)" if spacing else "the input's own",
        "published with": f"S2LDM {__version__}",
        **{key: value for key, value in pipeline.config.provenance.items() if key != "data"},
    }
