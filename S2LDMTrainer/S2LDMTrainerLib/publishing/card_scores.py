"""The scores of a model card: read from what ``s2ldm-train evaluate`` wrote, for its tables and its model-index."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult
from S2LDMLib.errors import InputError

from ..scoring.catalogue import METHODS, METRICS, MODEL

VERSION = 1  # of the JSON that is read
ON_CARD = {name: metric.card for name, metric in METRICS.items() if metric.card}


@dataclass(frozen=True)
class MeanSd:
    """Mean and standard deviation of a metric over ``count`` cases; ``sd`` is None for a single case."""

    mean: float
    sd: float | None
    count: int

    def __str__(self) -> str:
        digits = 1 if abs(self.mean) >= 100 else 2 if abs(self.mean) >= 2 else 3
        sd = "" if self.sd is None else f" ± {self.sd:.{digits}f}"
        return f"{self.mean:.{digits}f}{sd} (n = {self.count})"


Methods = dict[str, dict[str, MeanSd]]  # by method and metric


@dataclass(frozen=True)
class EvaluationSummary:
    """What a model card tells of an evaluation.

    Attributes:
        data: name of the data's folder, without the path to it.
        split: the cases that were scored: ``validation``, ``train`` or ``all``.
        detail, steps: how the model was run.
        phases: means and SDs by phase, method and metric.
        patients: number of patients; None where the file does not say.
        trained_on: number of scored cases that lie in the training split.
        note: the remark of who evaluated.
    """

    data: str
    split: str
    detail: str
    steps: int
    phases: dict[str, Methods]
    patients: int | None = None
    trained_on: int = 0
    note: str | None = None


def read_scores(file: Path, revision: str, phases: tuple[str, ...]) -> EvaluationSummary:
    """Read an evaluation of the very weights that are to be published.

    Args:
        file: the JSON file that ``s2ldm-train evaluate --json`` wrote.
        revision: ``weights_digest`` of the model.
        phases: the phases that the model has.

    Raises:
        InputError: the file cannot be read, is of another format, or scores other weights or other phases.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise InputError(f"The scores {file} do not exist. Write them with 's2ldm-train evaluate --json'.") from None
    except (OSError, ValueError) as error:
        raise InputError(f"The scores {file} cannot be read ({error}). Run 's2ldm-train evaluate' again.") from None
    if not isinstance(content, dict) or content.get("version") != VERSION:
        raise InputError(f"{file} holds no scores of version {VERSION}. Run this version's 's2ldm-train evaluate'.")
    try:
        scored = content["model"]
        scores = EvaluationSummary(
            data=Path(str(content["data"]).replace("\\", "/")).name,
            split=str(content["split"]),
            detail=str(scored["detail"]),
            steps=int(scored["steps"]),
            phases={phase: _read_summary(found["summary"]) for phase, found in content["phases"].items()},
            patients=content.get("patients"),
            trained_on=len(content.get("training_cases", ())),
            note=content.get("note"),
        )
        scored_revision = scored["revision"]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"The scores {file} lack or garble a field ({type(error).__name__}: {error}). "
            "Run 's2ldm-train evaluate' again."
        ) from None
    if scored_revision != revision:
        raise InputError(
            f"{file} scores other weights ({str(scored_revision)[:12]}) than those to be published ({revision[:12]}). "
            "Run 's2ldm-train evaluate' on this model."
        )
    _check_phases(scores, phases, file)
    return scores


def shown_methods(methods: Iterable[str]) -> list[str]:
    """Return methods in the order of a card: the model, its baselines, then the others as they come."""
    every = dict.fromkeys(methods)
    return [name for name in METHODS if name in every] + [name for name in every if name not in METHODS]


def score_rows(methods: Methods, main: bool) -> list[list[str]]:
    """Return the rows of a table: the title of a metric, then its figures, one for each of the ``shown_methods``.

    Args:
        main: for the main metrics of a card; otherwise for the others, without discs and the cores of organs, which
            are left to the evaluation's own report.
    """
    every = dict.fromkeys(name for found in methods.values() for name in found)
    others = [name for name in every if name not in ON_CARD and not re.search(r"^roi/|/core_", name)]
    return [
        [_title(name), *(str(methods[method].get(name, "")) for method in shown_methods(methods))]
        for name in ([name for name in ON_CARD if name in every] if main else others)
    ]


def eval_results(scores: EvaluationSummary) -> list[EvalResult]:
    """Return the model's own main scores for the ``model-index`` of the front matter, finite ones only.

    There are none where the model may have been trained on cases: the Hub would show them without saying so.
    """
    if scores.trained_on:
        return []
    return [
        EvalResult(
            task_type="image-to-image",
            task_name=f"non-contrast to {phase} CT",
            dataset_type=re.sub(r"[^\w.-]+", "-", scores.data),
            dataset_name=scores.data,
            dataset_config=phase,
            dataset_split=scores.split,
            metric_type=identifier,
            metric_name=title,
            metric_value=round(methods[MODEL][name].mean, 4),
        )
        for phase, methods in scores.phases.items()
        for name, (title, identifier) in ON_CARD.items()
        if name in methods[MODEL] and math.isfinite(methods[MODEL][name].mean)
    ]


def _title(name: str) -> str:
    """Return the title of a metric, e.g. ``liver, mae (HU)`` of ``organ/liver/mae_hu``."""
    if name in ON_CARD:
        return ON_CARD[name][0]
    words = name.removeprefix("organ/").replace("/", ", ").replace("_", " ")
    return f"{words.removesuffix(' hu')} (HU)" if words.endswith(" hu") else words


def _read_summary(summary: dict[str, Any]) -> Methods:
    """Read one phase; what has no mean, because no case had that organ, say, is left out."""
    return {
        method: {
            metric: MeanSd(float(found["mean"]), None if found["sd"] is None else float(found["sd"]), int(found["n"]))
            for metric, found in metrics.items()
            if found["mean"] is not None
        }
        for method, metrics in summary.items()
    }


def _check_phases(scores: EvaluationSummary, phases: tuple[str, ...], file: Path) -> None:
    unknown = sorted(set(scores.phases) - set(phases))
    if unknown:
        raise InputError(
            f"{file} scores the phase {unknown[0]!r}, which the model does not have. Give the scores of this model."
        )
    empty = [phase for phase, methods in scores.phases.items() if not methods.get(MODEL)]
    if empty or not scores.phases:
        raise InputError(f"{file} has no scores of the model itself. Run 's2ldm-train evaluate' on this model.")
