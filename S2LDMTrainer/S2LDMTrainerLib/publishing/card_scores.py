"""The scores of a model card: read from what ``s2ldm-train evaluate`` wrote, shown as tables and as a model-index."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult
from S2LDMLib.errors import InputError

VERSION = 1
MODEL = "model"

# Metric: what the tables call it, and its identifier among the Hub's metrics.
METRICS = {
    "body_psnr": ("PSNR, body (dB)", "psnr"),
    "body_ssim": ("SSIM, body", "ssim"),
    "body_nmae": ("NMAE, body", "nmae"),
    "body_nmse": ("NMSE, body", "nmse"),
    "body_mae_hu": ("MAE, body (HU)", "mae"),
    "soft_core_psnr": ("PSNR, soft tissue core (dB)", "psnr"),
    "enhancement_mae_hu": ("enhancement error, MAE (HU)", "mae"),
    "unchanged_mae_hu": ("change where none belongs, MAE (HU)", "mae"),
}
# Method: what its column shows. Others follow under their own names.
METHODS = {
    MODEL: "the published model",
    "identity": "the NCCT itself, taken for the CECT",
    "autoencoder_only": "D(E(NCCT)): the autoencoder without the diffusion model",
    "ceiling": "D(E(CECT)): what the autoencoder could reach at best; it has seen the answer",
    "pixel_unet": "a U-Net that regresses voxels",
}


@dataclass(frozen=True)
class Figure:
    """Mean and standard deviation over ``count`` cases; ``spread`` is None where one case has none."""

    mean: float
    spread: float | None
    count: int

    def __str__(self) -> str:
        digits = 1 if abs(self.mean) >= 100 else 2 if abs(self.mean) >= 2 else 3
        spread = "" if self.spread is None else f" ± {self.spread:.{digits}f}"
        return f"{self.mean:.{digits}f}{spread} (n = {self.count})"


@dataclass(frozen=True)
class Scores:
    """An evaluation.

    data: name of the data's folder, without where it lies.
    phases: phase, method, metric, figure.
    patients: whom the cases are of; None where the file does not say.
    trained_on: cases among them that lie in the training split.
    note: what the one who evaluated has to say.
    """

    data: str
    split: str
    detail: str
    steps: int
    phases: dict[str, dict[str, dict[str, Figure]]]
    patients: int | None = None
    trained_on: int = 0
    note: str | None = None


def read_scores(file: Path, revision: str, phases: tuple[str, ...]) -> Scores:
    """Read an evaluation of the very weights that are to be published.

    Args:
        file: the JSON file that ``s2ldm-train evaluate --json`` wrote.
        revision: ``weights_digest`` of the model.
        phases: of the model.

    Raises:
        InputError: the file cannot be read, is of another format, or scores other weights or other phases.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"The scores {file} do not exist. Write them with 's2ldm-train evaluate --json'.") from None
    except (OSError, ValueError) as error:
        raise InputError(f"The scores {file} cannot be read ({error}). Run 's2ldm-train evaluate' again.") from None
    if not isinstance(content, dict) or content.get("version") != VERSION:
        raise InputError(f"{file} holds no scores of version {VERSION}. Run this version's 's2ldm-train evaluate'.")
    try:
        scored = content["model"]
        scores = Scores(
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


def metric_names(scores: Scores) -> list[str]:
    """The metrics of a card: the main ones in the order of ``METRICS``, then the others as they come.

    Discs and the cores of organs are left to the evaluation's own report.
    """
    summaries = [figures for methods in scores.phases.values() for figures in methods.values()]
    every = dict.fromkeys(metric for figures in summaries for metric in figures)
    others = [metric for metric in every if metric not in METRICS and not re.search(r"^roi/|/core_", metric)]
    return [metric for metric in METRICS if metric in every] + others


def method_names(scores: Scores) -> list[str]:
    """All methods of an evaluation: the model, its baselines, then the others as they come."""
    every = dict.fromkeys(method for methods in scores.phases.values() for method in methods)
    return [method for method in METHODS if method in every] + [method for method in every if method not in METHODS]


def eval_results(scores: Scores) -> list[EvalResult]:
    """The model's own main scores for the ``model-index`` of the front matter, finite ones only.

    None at all where cases were there to train on: the Hub would show them without saying so.
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
            metric_type=METRICS[metric][1],
            metric_name=METRICS[metric][0],
            metric_value=round(methods[MODEL][metric].mean, 4),
        )
        for phase, methods in scores.phases.items()
        for metric in METRICS
        if metric in methods[MODEL] and math.isfinite(methods[MODEL][metric].mean)
    ]


def score_tables(scores: Scores) -> str:
    """Markdown: one table a phase, metrics down, methods across; the lesser metrics folded away below it."""
    shown = metric_names(scores)
    main = [metric for metric in shown if metric in METRICS]
    others = [metric for metric in shown if metric not in METRICS]
    parts = []
    for phase, methods in scores.phases.items():
        parts.append(f"### {phase.capitalize()} phase\n\n{_table(methods, main)}")
        if others:
            parts.append(f"<details><summary>More figures</summary>\n\n{_table(methods, others)}\n\n</details>")
    legend = [f"- `{method}`: {METHODS[method]}" for method in method_names(scores) if method in METHODS]
    return "\n\n".join([*parts, "\n".join(legend)])


def _table(methods: dict[str, dict[str, Figure]], metrics: list[str]) -> str:
    columns = [method for method in METHODS if method in methods]
    columns += [method for method in methods if method not in METHODS]
    lines = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for metric in metrics:
        cells = [str(methods[method].get(metric, "")) for method in columns]
        if any(cells):
            lines.append(f"| {_title(metric)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _title(metric: str) -> str:
    """E.g. ``liver, mae (HU)`` of ``organ/liver/mae_hu``."""
    if metric in METRICS:
        return METRICS[metric][0]
    words = metric.removeprefix("organ/").replace("/", ", ").replace("_", " ")
    return f"{words.removesuffix(' hu')} (HU)" if words.endswith(" hu") else words


def _read_summary(summary: dict[str, Any]) -> dict[str, dict[str, Figure]]:
    """Figures without a mean (no case had that organ, say) are left out."""
    return {
        method: {
            metric: Figure(
                float(figure["mean"]), None if figure["sd"] is None else float(figure["sd"]), int(figure["n"])
            )
            for metric, figure in metrics.items()
            if figure["mean"] is not None
        }
        for method, metrics in summary.items()
    }


def _check_phases(scores: Scores, phases: tuple[str, ...], file: Path) -> None:
    unknown = sorted(set(scores.phases) - set(phases))
    if unknown:
        raise InputError(
            f"{file} scores the phase {unknown[0]!r}, which the model does not have. Give the scores of this model."
        )
    empty = [phase for phase, methods in scores.phases.items() if not methods.get(MODEL)]
    if empty or not scores.phases:
        raise InputError(f"{file} has no scores of the model itself. Run 's2ldm-train evaluate' on this model.")
