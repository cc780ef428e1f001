"""Plots of an evaluation, as PNG bytes: scores of every case by method, and HU of organs and discs."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .catalogue import BASELINES, METRICS, MODEL
from .evaluation import MetricValues, PhaseScores
from .scores import LOW_HU

MODEL_COLOUR, BASELINE_COLOUR, CASE_COLOUR = "#c2410c", "#6b7280", "#cbd5e1"
AGREEMENT_SD = 1.96  # 95 % of normally distributed differences; Bland and Altman, Lancet 1986;327:307-10


def plot_scores(phase: PhaseScores) -> bytes:
    """Draw one panel for each metric: a dot for each case, lines that join a case's methods, a bar for the mean."""
    methods = list(next(iter(phase.cases.values())))
    plotted = {name: metric.heading for name, metric in METRICS.items() if metric.plotted}
    figure = Figure(figsize=(3.0 * len(plotted), 3.6), layout="constrained")
    for axes, (name, heading) in zip(figure.subplots(1, len(plotted)), plotted.items(), strict=True):
        rows = [[scores[method].get(name) for method in methods] for scores in phase.cases.values()]
        values = np.array(rows, float)  # None becomes NaN
        for case in values:
            axes.plot(case, color=CASE_COLOUR, linewidth=1, zorder=1)
        for place, method in enumerate(methods):
            colour = BASELINE_COLOUR if method in BASELINES else MODEL_COLOUR
            column = values[np.isfinite(values[:, place]), place]
            axes.scatter([place] * len(column), column, color=colour, s=18, zorder=2)
            if len(column):
                axes.plot([place - 0.3, place + 0.3], [column.mean()] * 2, color=colour, linewidth=3, zorder=2)
        axes.set_title(heading, fontsize=10)
        axes.set_xticks(range(len(methods)), [method.replace("_", "\n") for method in methods], fontsize=8)
        axes.set_xlim(-0.6, len(methods) - 0.4)
        _plain(axes)
    return _png(figure)


def plot_hu(phase: PhaseScores) -> bytes | None:
    """Draw real against synthetic HU of discs and organ cores, and their differences as Bland and Altman do.

    Gas and lung, below -200 HU, are left out, since they would only stretch the axes.

    Returns:
        The PNG, or None where there are neither discs nor labels.
    """
    points = [point for scores in phase.cases.values() for point in _hu_points(scores[MODEL]) if point[1] > LOW_HU]
    if not points:
        return None
    names = [name for name, _, _ in points]
    real, made = (np.array([point[index] for point in points]) for index in (1, 2))
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    scatter, agreement = figure.subplots(1, 2)
    ends = [min(real.min(), made.min()) - 15, max(real.max(), made.max()) + 15]
    scatter.plot(ends, ends, color=CASE_COLOUR, linewidth=1)
    scatter.set(xlabel="real, HU", ylabel="synthetic, HU", title="discs (circles) and organ cores (squares): the model")
    difference = made - real
    agreement.axhline(0, color=CASE_COLOUR, linewidth=1)
    agreement.axhline(difference.mean(), color=MODEL_COLOUR, linewidth=1.5)
    if len(points) > 1:
        for sign in (-1, 1):
            limit = difference.mean() + sign * AGREEMENT_SD * difference.std(ddof=1)
            agreement.axhline(limit, color=MODEL_COLOUR, linewidth=1, linestyle="--")
    agreement.set(
        xlabel="mean of real and synthetic, HU", ylabel="synthetic - real, HU",
        title=f"mean difference {difference.mean():+.0f} HU; dashed: ± {AGREEMENT_SD} SD; {len(points)} places",
    )  # fmt: skip
    for axes, x, y in ((scatter, real, made), (agreement, (real + made) / 2, difference)):
        _scatter_by_name(axes, names, x, y)
        _plain(axes)
    figure.legend(*scatter.get_legend_handles_labels(), loc="outside right upper", fontsize=8, frameon=False)
    return _png(figure)


def _hu_points(scores: MetricValues) -> Iterator[tuple[str, float, float]]:
    """Yield name, real HU and synthetic HU of each disc and each organ core."""
    for key, real in scores.items():
        kind, _, rest = key.partition("/")
        name, _, figure = rest.rpartition("/")
        if kind == "roi" and figure == "real_hu" and real is not None:
            made = scores[f"roi/{name}/synthetic_hu"]
            if made is not None:
                yield "roi/" + re.sub(r"_\d+$", "", name), real, made
        elif kind == "organ" and figure == "core_real_hu" and real is not None:
            yield f"organ/{name}", real, real + (scores[f"organ/{name}/core_bias_hu"] or 0.0)


def _scatter_by_name(axes: Axes, names: list[str], x: np.ndarray, y: np.ndarray) -> None:
    """Draw discs and organs of one name in one colour; names beyond the colours share the last one."""
    distinct, palette = sorted(set(names)), colormaps["tab20"]
    last = palette.N - 1
    for place, name in enumerate(distinct):
        here = np.array([each == name for each in names])
        kind, _, label = name.partition("/")
        axes.scatter(
            x[here], y[here], color=palette(min(place, last)), s=26, marker="o" if kind == "roi" else "s",
            label=label if place < last else ("others" if place == last else None),
        )  # fmt: skip


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    axes.grid(axis="y", color="#eef2f7")
    axes.set_axisbelow(True)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
