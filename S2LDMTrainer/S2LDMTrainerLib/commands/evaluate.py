"""``s2ldm-train evaluate``: score a model on prepared cases, beside its baselines and other models."""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from S2LDMLib.atomic import atomic_write
from S2LDMLib.errors import InputError
from S2LDMLib.model.config import PHASES, smallest_input
from S2LDMLib.progress import remaining_s

from ..data import KINDS, TRAIN, VALIDATION, Case, load_cases
from ..scoring.catalogue import BASELINES, MODEL, REPORTED, spread
from ..scoring.rois import Roi, read_rois, roi_mask

if TYPE_CHECKING:
    import SimpleITK as sitk

    from ..scoring.evaluation import Contestant, MetricValues, PhaseScores

HELP = "score a model against the real CECTs of prepared cases"
VERSION = 1  # of the JSON output
KINDS_SCORED = tuple(kind for kind in KINDS if kind != "cect")  # a CECT alone has nothing to be compared with


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument("--model", required=True, metavar="bundled|FOLDER|hf://REPO_ID[@REVISION]")
    parser.add_argument("--data", type=Path, required=True, metavar="PREPARED", help="made by 's2ldm-train prepare'")
    parser.add_argument("--split", default=VALIDATION, choices=[VALIDATION, TRAIN, "all"])
    parser.add_argument("--phase", action="append", choices=PHASES, help="may be given twice (default: all)")
    parser.add_argument("--kind", action="append", choices=KINDS_SCORED, help="of case; may be repeated (default: all)")
    parser.add_argument("--baselines", action="store_true", help="also: no translation, autoencoder alone, its ceiling")
    parser.add_argument("--compare", action="append", default=[], metavar="NAME=MODEL", help="another model, by a name")
    parser.add_argument("--rois", type=Path, metavar="FILE", help="JSON: case to name to discs in LPS mm")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write all scores")
    parser.add_argument("--html", type=Path, metavar="OUT", help="write a report with pictures and plots")
    parser.add_argument("--note", metavar="TEXT", help="shown on top of the report, e.g. whom the model has seen")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    parser.add_argument("--dtype", default="auto", choices=["auto", "float32", "bfloat16", "float16"])
    parser.add_argument("--steps", type=int, help="sampling steps of the model (default: its own)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--detail", choices=["native", "model"], help="of the model (default: its own)")
    parser.add_argument("--offline", action="store_true", help="models from the cache only, never from the network")
    parser.add_argument("--overwrite", action="store_true", help="replace existing output files")


def run(args: argparse.Namespace, should_cancel: Callable[[], bool]) -> int:
    """Check everything, evaluate, print the table, write the outputs; see :mod:`S2LDMTrainerLib.scoring.evaluation`."""
    _check_outputs(args)
    compared = _compared(args.compare)
    cases = _choose_cases(args)
    rois = _rois(args.rois, args.data, cases)
    contestants = {name: _load(name, model, args) for name, model in {MODEL: args.model, **compared}.items()}
    phases = _choose_phases(args, cases, contestants)
    cases = [case for case in cases if set(phases) & set(case.phases)]
    _check_cases(cases, phases, contestants)
    results, outputs = _evaluate(args, cases, phases, contestants, rois, should_cancel)
    for phase, scores in results.items():
        print(_terminal_table(phase, scores))
    for path, text in outputs.items():
        with atomic_write(path) as partial:
            partial.write_text(text, encoding="utf-8")
    return 0


def _check_outputs(args: argparse.Namespace) -> None:
    from S2LDMLib.volume.files import check_output_path

    for path, suffix in ((args.json, ".json"), (args.html, ".html")):
        if path:
            check_output_path(path, args.overwrite, (suffix,))
    if args.html and find_spec("matplotlib") is None:
        raise InputError("The report needs matplotlib. Install it with: pip install 's2ldm[train]', or omit --html.")


def _compared(given: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for each in given:
        name, equals, model = each.partition("=")
        if not (re.fullmatch(r"[\w.-]+", name) and equals and model):
            raise InputError(f"--compare {each!r} is not of the form NAME=MODEL. Give e.g. pixel_unet=models/unet.")
        if name in (MODEL, *BASELINES) or name in found:
            raise InputError(f"The name {name!r} in --compare is taken. Give each model a name of its own.")
        found[name] = model
    return found


def _choose_cases(args: argparse.Namespace) -> list[Case]:
    """Return the cases of the split that can be scored, and say which flagged ones are left out."""
    cases = load_cases(args.data, None if args.split == "all" else args.split)
    cases = [case for case in cases if case.phases and (not args.kind or case.kind in args.kind)]
    for case in cases:
        if case.flag:
            print(f"{case.name} is left out: {case.flag}", file=sys.stderr)
    cases = [case for case in cases if not case.flag]
    if not cases:
        raise InputError(
            f"No case of {args.data} can be scored (split: {args.split}, kinds: {', '.join(args.kind or ['all'])}). "
            "Give another --split or --kind, or prepare more pairs."
        )
    return cases


def _choose_phases(args: argparse.Namespace, cases: Sequence[Case], contestants: dict[str, Contestant]) -> list[str]:
    phases = args.phase or [p for p in contestants[MODEL].pipeline.config.phases if any(p in c.phases for c in cases)]
    if not phases:
        raise InputError("No case has a phase of the model. Give a model of the phases that were prepared.")
    for phase in dict.fromkeys(phases):
        for name, contestant in contestants.items():
            known = contestant.pipeline.config.phases
            if phase not in known:
                raise InputError(f"The model {name!r} has no phase {phase!r}. Give a --phase of: {', '.join(known)}.")
        if not any(phase in case.phases for case in cases):
            raise InputError(f"No case of the split {args.split!r} has the phase {phase!r}. Give another of the two.")
    return list(dict.fromkeys(phases))


def _rois(file: Path | None, data: Path, cases: Sequence[Case]) -> dict[str, list[Roi]]:
    """Return the discs of the cases to score; those of other prepared cases are left aside."""
    if file is None:
        return {}
    rois = read_rois(file)
    known = {case.name for case in load_cases(data)}
    unknown = sorted(set(rois) - known)
    if unknown:
        raise InputError(f"{file} has ROIs of cases that {data} lacks: {', '.join(unknown)}. Correct the names.")
    chosen = {case.name: rois[case.name] for case in cases if case.name in rois}
    for case in cases:
        for roi in chosen.get(case.name, ()):
            roi_mask(roi, case)  # refuses one outside of the volume
    if not chosen:
        raise InputError(f"{file} has no ROI of the cases to score. Give another --split, or leave --rois out.")
    return chosen


def _load(name: str, model: str, args: argparse.Namespace) -> Contestant:
    from S2LDMLib.pipeline import S2LDMPipeline

    from ..scoring.evaluation import Contestant

    pipeline = S2LDMPipeline.from_pretrained(model, local_files_only=args.offline, device=args.device, dtype=args.dtype)
    own = name == MODEL  # steps and detail are this model's; another may not know them
    contestant = Contestant(pipeline, args.steps if own else None, args.detail if own else None, args.seed)
    pipeline.check_arguments(pipeline.config.phases[0], contestant.chosen_steps, contestant.chosen_detail)
    return contestant


def _check_cases(cases: Sequence[Case], phases: Sequence[str], contestants: dict[str, Contestant]) -> None:
    """Refuse what would otherwise end the run after minutes: missing volumes, volumes too small for a model."""
    for case in cases:
        for name in ("ncct", *(phase for phase in phases if phase in case.phases)):
            try:
                shapes = [case.volume(name).shape, *([case.valid(name).shape] if name != "ncct" else [])]
            except (OSError, ValueError) as error:
                raise InputError(f"{case.name}: {name} cannot be read ({error}). Prepare the case again.") from None
            if any(shape != case.shape for shape in shapes):
                raise InputError(f"{case.name}: {name} is not of the shape in case.json. Prepare the case again.")
        for name, contestant in contestants.items():
            pipeline = contestant.pipeline
            smallest = smallest_input(pipeline.autoencoder.config, pipeline.denoiser.config)[::-1]
            if any(have < need for have, need in zip(case.shape, smallest, strict=True)):
                raise InputError(
                    f"{case.name} has {case.shape} voxels (z, y, x), and the model {name!r} needs {smallest}. "
                    "Leave the case out, or give a larger part of the scan."
                )


def _evaluate(
    args: argparse.Namespace, cases: Sequence[Case], phases: Sequence[str], contestants: dict[str, Contestant],
    rois: dict[str, list[Roi]], should_cancel: Callable[[], bool],
) -> tuple[dict[str, PhaseScores], dict[Path, str]]:  # fmt: skip
    """Compute the scores by phase, and the texts of the files that are asked for."""
    from ..scoring.evaluation import evaluate, methods_of

    compared = {name: contestant for name, contestant in contestants.items() if name != MODEL}
    methods = methods_of(contestants[MODEL], compared, args.baselines, should_cancel)
    total = sum(phase in case.phases for case in cases for phase in phases)
    done, start = 0, time.monotonic()
    pictures = None
    if args.html:
        from ..scoring.report import Heading, Pictures, render  # and matplotlib, which only a report needs

        pictures = Pictures([*contestants])

    def on_case(case: Case, phase: str, made: dict[str, sitk.Image], scores: dict[str, MetricValues]) -> None:
        nonlocal done
        done += 1
        if pictures:
            pictures.add(case, phase, made)
        quality, left = scores[MODEL]["body_psnr"], remaining_s(time.monotonic() - start, done / total)
        shown = "" if quality is None else f": body PSNR {quality:.2f} dB"
        shown += "" if left is None else f", {left:.0f} s left"
        print(f"[{done}/{total}] {case.name} {phase}{shown}", file=sys.stderr, flush=True)

    results = evaluate(cases, phases, methods, rois, on_case, should_cancel)
    document = _document(args, cases, contestants, results)
    outputs = {args.json: json.dumps(document, indent=1, allow_nan=False) + "\n"} if args.json else {}
    if pictures:
        outputs[args.html] = render(Heading(_facts(document, cases), args.note, _warnings(cases)), results, pictures)
    return results, outputs


def _warnings(cases: Sequence[Case]) -> list[str]:
    trained = [case.name for case in cases if case.split == TRAIN]
    kinds = sorted({case.kind for case in cases})
    found = []
    if trained:
        found.append(
            f"{len(trained)} of {len(cases)} cases are of the training split: a model trained on this data has seen "
            f"them, and their scores say nothing about other patients ({', '.join(trained)})."
        )
    if len(kinds) > 1:
        found.append(f"Cases of several kinds are averaged together: {', '.join(kinds)}. --kind parts them.")
    return found


def _facts(document: dict[str, Any], cases: Sequence[Case]) -> dict[str, str]:
    """Return what the report says of models, data and program."""
    from S2LDMLib.about import __version__

    models = {MODEL: document["model"], **document["compare"]}
    patients = document["patients"]
    return {
        **{name: ", ".join(f"{key} {value}" for key, value in entries.items()) for name, entries in models.items()},
        "data": f"{document['data']}, split: {document['split']}",
        "cases": f"{len(cases)} case{'s' if len(cases) > 1 else ''} of {patients} patient{'s' if patients > 1 else ''}",
        "program": f"S2LDM {__version__}",
    }


def _document(
    args: argparse.Namespace, cases: Sequence[Case], contestants: dict[str, Contestant], results: dict[str, PhaseScores]
) -> dict[str, Any]:
    described = {name: contestant.describe() for name, contestant in contestants.items()}
    return {
        "version": VERSION,
        "model": described.pop(MODEL),
        "compare": described,
        "data": args.data.resolve().name,
        "split": args.split,
        "note": args.note,
        "patients": len({case.patient for case in cases}),
        "training_cases": [case.name for case in cases if case.split == TRAIN],
        "phases": {phase: {"cases": scores.cases, "summary": scores.summary()} for phase, scores in results.items()},
    }


def _terminal_table(phase: str, scores: PhaseScores) -> str:
    """Lay out one phase with a row for each metric and a column for each method, as there are fewer methods."""
    count, summary = len(scores.cases), scores.summary()
    rows = [[f"{phase} (n = {count})", *summary]]
    for key, metric in REPORTED.items():
        if metric.terminal:
            cells = (spread(values.get(key), metric.decimals, count) for values in summary.values())
            rows.append([metric.heading, *cells])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([*lines, ""])
