"""The HTML report of an evaluation: one file, pictures and plots inside, to be read without a network."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

import numpy as np
import SimpleITK as sitk
from S2LDMLib.volume.preview import compare_picture

from ..data import Case
from .evaluation import BASELINES, PhaseScores
from .plots import plot_hu, plot_scores

Row = Sequence[str]
Summary = Mapping[str, Mapping[str, Mapping[str, float | int | None]]]

# Metric to heading and decimals.
WINDOWED_COLUMNS = {
    "body_psnr": ("body PSNR, dB", 2),
    "body_ssim": ("body SSIM", 3),
    "body_nmae": ("body NMAE", 3),
    "body_nmse": ("body NMSE", 3),
    "volume_psnr": ("volume PSNR, dB", 2),
    "volume_ssim": ("volume SSIM", 3),
    "volume_nmae": ("volume NMAE", 3),
    "volume_nmse": ("volume NMSE", 3),
    "soft_core_psnr": ("soft-core PSNR, dB", 2),
}
HU_COLUMNS = {
    "body_mae_hu": ("body MAE, HU", 1),
    "body_bias_hu": ("body bias, HU", 1),
    "enhancement_mae_hu": ("enhancement error, HU", 1),
    "enhancement_bias_hu": ("enhancement bias, HU", 1),
    "unchanged_mae_hu": ("change where none belongs, HU", 1),
    "unchanged_bias_hu": ("its bias, HU", 1),
}
COLUMNS = WINDOWED_COLUMNS | HU_COLUMNS
METHODS = {
    "model": "the model, as it ships",
    "identity": "the NCCT itself: no translation",
    "autoencoder_only": "D(Q(E(NCCT))): no denoiser. Where the decoder gives back what was encoded, this only "
    "reconstructs the NCCT",
    "ceiling": "the real CECT in place of the denoiser's result: the best that this autoencoder allows",
}
DEFINITIONS = {
    "where": "only voxels that both scans measured. Body: the patient without the table. Soft core: smoothed NCCT "
    "(Gaussian, sigma 2 mm in the plane) between 0 and 110 HU, less 2 pixels in the plane.",
    "PSNR, SSIM, NMAE, NMSE": "against the registered real CECT, both clipped to W400/L0 (-200 to 200 HU, range 400). "
    "SSIM: slice by slice, 11 x 11 Gaussian window, sigma 1.5, k1 0.01, k2 0.03, averaged over the region. NMAE: sum "
    "|s - r| / sum |r|; NMSE: sum (s - r)² / sum r²; both with -200 HU as 0.",
    "MAE and bias": "mean |s - r| and mean (s - r) in HU, unclipped.",
    "enhancement error": "mean |(s - NCCT) - (r - NCCT)| in the soft core where the real enhancement, smoothed, is "
    "above 30 HU; bias: its mean with sign.",
    "change where none belongs": "mean |s - NCCT| in bone, fat and muscle, less 2 pixels in the plane, where the real "
    "enhancement, smoothed, is within 15 HU. Without labels: fat -140 to -50 HU, bone above 150 HU, and soft core.",
    "organs": "labels, whole and as cores (less 2 pixels in the plane).",
    "SD": "of the sample, over cases; none for one case. Cases of one patient are not independent.",
}
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1f2937; max-width: 1560px; margin: 2rem auto; padding: 0 1.5rem }
h1 { font-size: 1.6rem } h2 { margin-top: 2.5rem; border-bottom: 2px solid #e5e7eb } h3 { margin-top: 1.8rem }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; margin: .6rem 0 }
th, td { padding: .3rem .7rem; border-bottom: 1px solid #e5e7eb; text-align: right; white-space: nowrap }
th { font-weight: 600; background: #f9fafb; white-space: normal; vertical-align: bottom; min-width: 4.2rem }
td:first-child, th:first-child { text-align: left } tr.model td { background: #fff7ed; font-weight: 600 }
.scroll { overflow-x: auto } img { max-width: 100%; display: block; margin: .6rem 0 }
.note, .warning { padding: .7rem 1rem; border-left: 4px solid; margin: 1rem 0 }
.note { background: #eff6ff; border-color: #3b82f6 } .warning { background: #fef2f2; border-color: #dc2626 }
summary { cursor: pointer; font-weight: 600 } dt { font-weight: 600 } dd { margin: 0 0 .5rem 1.5rem }
figcaption { font-size: 13px; color: #4b5563 } figure { margin: 1rem 0 }
"""


@dataclass
class Pictures:
    """Collects a JPEG of each case and phase while the volumes are at hand; whole volumes are never kept."""

    methods: Sequence[str]
    found: dict[tuple[str, str, str], bytes] = field(default_factory=dict)  # phase, case, method

    def add(self, case: Case, phase: str, made: Mapping[str, sitk.Image]) -> None:
        """NCCT | synthetic | real | difference at W400/L0, of three of the slices that the real scan covers."""
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
    """What stands above the results: facts as (name, text), the user's note, warnings."""

    facts: Mapping[str, str]
    note: str | None
    warnings: Sequence[str]


def render(heading: Heading, phases: Mapping[str, PhaseScores], pictures: Pictures) -> str:
    """The report as one HTML text."""
    return "\n".join(
        [
            "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>S2LDM evaluation</title>",
            f"<style>{STYLE}</style></head><body>",
            *_head(heading),
            *(part for phase, scores in phases.items() for part in _phase(phase, scores, pictures)),
            "<h2>Definitions</h2>",
            *_list(DEFINITIONS),
            "</body></html>\n",
        ]
    )


def _head(heading: Heading) -> Iterator[str]:
    yield "<h1>S2LDM evaluation: synthetic against real contrast-enhanced CT</h1>"
    if heading.note:
        yield f"<p class='note'>{escape(heading.note)}</p>"
    for warning in heading.warnings:
        yield f"<p class='warning'>{escape(warning)}</p>"
    yield from _list(heading.facts)
    yield "<p>Synthetic images are not for diagnosis.</p>"


def _phase(phase: str, scores: PhaseScores, pictures: Pictures) -> Iterator[str]:
    summary = scores.summary()
    yield f"<h2>{escape(phase.capitalize())}</h2>"
    yield f"<p>Mean ± SD over n = {len(scores.cases)} cases, where a cell does not say otherwise.</p>"
    for columns in (WINDOWED_COLUMNS, HU_COLUMNS):
        yield _summary_table(summary, len(scores.cases), columns)
    yield "<details><summary>What the methods are</summary>"
    yield from _list({method: METHODS.get(method, "another model, given with --compare") for method in summary})
    yield "</details>"
    yield _image(plot_scores(scores), "png", "A dot is a case; lines join the scores of one case; bars are means.")
    yield from _hu(scores, summary)
    yield "<h3>Cases</h3>"
    for case, methods in scores.cases.items():
        yield f"<details><summary>{escape(case)}: scores</summary>"
        rows = [
            [method, *(number(values.get(key), digits) for key, (_, digits) in COLUMNS.items())]
            for method, values in methods.items()
        ]
        yield _table(["method", *(heading for heading, _ in COLUMNS.values())], rows) + "</details>"
        for method in pictures.methods:
            caption = f"{case}, {phase}, {method}: NCCT | SYNTHETIC | real | synthetic - real; grey values at W400/L0."
            yield _image(pictures.found[phase, case, method], "jpeg", caption)


def _hu(scores: PhaseScores, summary: Summary) -> Iterator[str]:
    """Discs and organs: plot and tables, where there are any."""
    plot = plot_hu(scores)
    if plot is None:
        return
    yield "<h3>HU of organs and discs</h3>"
    yield _image(plot, "png", "A point: a disc or an organ core of one case, but for gas and lung (below -200 HU).")
    yield from _discs(scores, [method for method in summary if method != "identity"])
    yield from _organs(summary, len(scores.cases))


def _discs(scores: PhaseScores, methods: Sequence[str]) -> Iterator[str]:
    rows = []
    for case, values in scores.cases.items():
        first = next(iter(values.values()))
        for name in (key.split("/")[1] for key in first if key.startswith("roi/") and key.endswith("/real_hu")):
            shown = [first[f"roi/{name}/ncct_hu"], first[f"roi/{name}/real_hu"]]
            shown += [values[method][f"roi/{name}/synthetic_hu"] for method in methods]
            rows.append([f"{case}: {name}", *(number(value, 0) for value in shown)])
    if rows:
        yield "<p>Mean HU of each disc.</p>"
        yield _table(["disc", "NCCT", "real", *methods], rows)


def _organs(summary: Summary, cases: int) -> Iterator[str]:
    keys = (key.split("/") for values in summary.values() for key in values)
    organs = dict.fromkeys(parts[1] for parts in keys if parts[0] == "organ")
    if organs:
        yield "<p>Bias over each organ, synthetic - real, HU: mean ± SD.</p>"
        rows = [
            [organ, *(spread(values.get(f"organ/{organ}/bias_hu"), 0, cases) for values in summary.values())]
            for organ in organs
        ]
        yield _table(["organ", *summary], rows)


def _summary_table(summary: Summary, cases: int, columns: Mapping[str, tuple[str, int]]) -> str:
    rows = [
        [method, *(spread(values.get(key), digits, cases) for key, (_, digits) in columns.items())]
        for method, values in summary.items()
    ]
    return _table(["method", *(heading for heading, _ in columns.values())], rows)


def spread(entry: Mapping[str, float | int | None] | None, digits: int, cases: int) -> str:
    """``mean ± SD``, and n where it is not the number of cases."""
    if entry is None or entry["mean"] is None:
        return "-"
    sd = "" if entry["sd"] is None else f" ± {entry['sd']:.{digits}f}"
    count = "" if entry["n"] == cases else f" (n = {entry['n']})"
    return f"{entry['mean']:z.{digits}f}{sd}{count}"


def number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:z.{digits}f}"


def _table(heading: Row, rows: Iterable[Row]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in heading)
    body = "".join(
        f"<tr class='{'model' if row[0] not in BASELINES and heading[0] == 'method' else ''}'>"
        + "".join(f"<td>{escape(cell)}</td>" for cell in row)
        + "</tr>"
        for row in rows
    )
    return f"<div class='scroll'><table><tr>{head}</tr>{body}</table></div>"


def _list(entries: Mapping[str, str]) -> Iterator[str]:
    yield "<dl>"
    for name, text in entries.items():
        yield f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>"
    yield "</dl>"


def _image(content: bytes, kind: str, caption: str) -> str:
    data = base64.b64encode(content).decode("ascii")
    text = escape(caption)
    return f"<figure><img alt='{text}' src='data:image/{kind};base64,{data}'><figcaption>{text}</figcaption></figure>"
