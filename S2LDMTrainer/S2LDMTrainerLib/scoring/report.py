"""The HTML report of an evaluation: one file, pictures and plots inside, to be read without a network."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from S2LDMLib.volume.preview import compare_picture

from ..data import Case
from .catalogue import BASELINES, METHODS, OTHER_MODEL, REPORTED, UNCLIPPED, WINDOWED, Summary, number, spread
from .evaluation import PhaseScores
from .plots import plot_hu, plot_scores

TEMPLATE = "report.html.jinja"


@dataclass
class Pictures:
    """Collects a JPEG of each case and phase while the volumes are at hand; whole volumes are never kept.

    Attributes:
        methods: those whose images are shown.
        found: JPEG by phase, case and method.
    """

    methods: Sequence[str]
    found: dict[tuple[str, str, str], bytes] = field(default_factory=dict)

    def add(self, case: Case, phase: str, made: Mapping[str, sitk.Image]) -> None:
        """Show NCCT, synthetic, real and difference at W400/L0, in three of the slices that the real scan covers."""
        valid = case.valid(phase) > 0
        # -1024 HU is what the picture takes for "not measured".
        real = sitk.GetImageFromArray(np.where(valid, case.volume(phase), np.int16(-1024)))
        real.CopyInformation(case.image("ncct"))
        share = valid.mean(axis=(1, 2))
        covered = np.flatnonzero(share >= share.max() / 2)
        part = slice(int(covered[0]), int(covered[-1]) + 1)
        for method in self.methods:
            images = (case.image("ncct"), made[method], real)
            ncct, synthetic, true = (image[:, :, part] for image in images)
            buffer = io.BytesIO()
            compare_picture(ncct, {phase: synthetic}, {phase: true}).save(buffer, "JPEG", quality=88)
            self.found[phase, case.name, method] = buffer.getvalue()


@dataclass(frozen=True)
class Heading:
    """What stands above the results: facts by name, the user's note, and warnings."""

    facts: Mapping[str, str]
    note: str | None
    warnings: Sequence[str]


def render(heading: Heading, phases: Mapping[str, PhaseScores], pictures: Pictures) -> str:
    """Write the report as one HTML text."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters["base64"] = lambda content: base64.b64encode(content).decode("ascii")
    parts = {phase: _phase(scores) for phase, scores in phases.items()}
    return environment.get_template(TEMPLATE).render(
        heading=heading, phases=parts, pictures=pictures, baselines=BASELINES, windowed=WINDOWED, unclipped=UNCLIPPED,
        all_metrics=REPORTED, number=number, spread=spread,
    )  # fmt: skip


def _phase(scores: PhaseScores) -> dict[str, Any]:
    """Gather what the template shows of one phase."""
    summary = scores.summary()
    return {
        "cases": scores.cases,
        "summary": summary,
        "methods": {method: METHODS.get(method, OTHER_MODEL).report for method in summary},
        "plot": plot_scores(scores),
        "hu_plot": plot_hu(scores),
        "discs": _disc_rows(scores, [method for method in summary if method != "identity"]),
        "organs": _organ_rows(summary, len(scores.cases)),
    }


def _disc_rows(scores: PhaseScores, methods: Sequence[str]) -> list[list[str]]:
    """Return one row for each disc: its name, and its mean HU in the NCCT, the real CECT and what each method made."""
    rows = []
    for case, values in scores.cases.items():
        first = next(iter(values.values()))
        for name in (key.split("/")[1] for key in first if key.startswith("roi/") and key.endswith("/real_hu")):
            shown = [first[f"roi/{name}/ncct_hu"], first[f"roi/{name}/real_hu"]]
            shown += [values[method][f"roi/{name}/synthetic_hu"] for method in methods]
            rows.append([f"{case}: {name}", *(number(value, 0) for value in shown)])
    return rows


def _organ_rows(summary: Summary, cases: int) -> list[list[str]]:
    """Return one row for each organ: its name, and the bias of each method over all of it."""
    keys = (key.split("/") for values in summary.values() for key in values)
    return [
        [organ, *(spread(values.get(f"organ/{organ}/bias_hu"), 0, cases) for values in summary.values())]
        for organ in dict.fromkeys(parts[1] for parts in keys if parts[0] == "organ")
    ]
