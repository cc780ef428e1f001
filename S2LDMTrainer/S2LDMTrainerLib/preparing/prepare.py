"""Prepare training data: registered, LPS-ordered, memory-mappable volumes, one folder a case.

All files are checked first (``pair_checks.py``), so that bad input is told before the minutes of registration; then
cases are built side by side. Memory maps, because opening a crop of one takes milliseconds and of
a .nii.gz seconds. A folder appears under its name only when it is complete, so an interrupted run goes on where it
was; a case is built again when its files, the options or the version differ.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from S2LDMLib.errors import InputError, S2LDMError
from S2LDMLib.progress import OnProgress, Progress, remaining_s

from ..data import MANIFEST
from .builders import BuildOptions, build_case
from .case_store import check_places, fingerprint, keep_if_current, only_run, remove_partials, write_manifest
from .pair_checks import CheckFindings, check_files
from .sources import Skipped, Source, check_unique
from .split import Ratio, check_patients, split_cases
from .workers import Workers

# Seconds on one core, measured; only the remaining time depends on them.
CHECK_S = 3.0
BUILD_S = {"pair": 0.0, "cect": 1.0, "recoloured": 12.0, "phantom": 6.0}
REGISTER_S = 30.0  # a phase
CHECKED = ("pair", "cect")
DONE, KEPT, SKIPPED, FAILED = "done", "kept", "skipped", "failed"


@dataclass(frozen=True)
class PrepareOptions:
    """How to prepare.

    Attributes:
        build: what the prepared volumes depend on.
        split: parts of training and validation, None to put all into training.
        seed: of the split.
        jobs: cases prepared side by side.
    """

    build: BuildOptions = field(default_factory=BuildOptions)
    split: Ratio | None = (4, 1)
    seed: int = 0
    jobs: int = 1


@dataclass(frozen=True)
class Report:
    """What became of a case: ``done``, ``kept`` from an earlier run, ``skipped`` (bad input) or ``failed``."""

    case: str
    status: str
    message: str


@dataclass
class _Run:
    """What a run has found out so far."""

    on_report: Callable[[Report], None]
    infos: list[Mapping[str, Any]] = field(default_factory=list)
    left_out: list[Skipped] = field(default_factory=list)
    failed: int = 0

    def add(self, info: Mapping[str, Any], status: str) -> None:
        self.infos.append(info)
        self.on_report(Report(info["case"], status, describe(info)))

    def leave_out(self, case: str, reason: str, status: str = SKIPPED) -> None:
        self.failed += status == FAILED
        self.left_out.append(Skipped(case, reason))
        self.on_report(Report(case, status, reason))

    def result(self, source: Source, future: Future[Any]) -> Any | None:
        """Take what the task returned; None if it ended in an error, which is told: it must not cost the others."""
        try:
            return future.result()
        except InputError as error:
            self.leave_out(source.case, str(error))
        except BrokenProcessPool:
            self.leave_out(source.case, "a process was ended, likely for lack of memory. Use fewer --jobs.", FAILED)
        except Exception as error:
            self.leave_out(source.case, " ".join(f"{type(error).__name__}: {error}".split()), FAILED)
        return None


def prepare(
    sources: Sequence[Source],
    skipped: Sequence[Skipped],
    out: Path,
    options: PrepareOptions,
    on_report: Callable[[Report], None],
    on_progress: OnProgress,
    should_cancel: Callable[[], bool],
) -> int:
    """Prepare the cases in ``out`` and list them in its manifest.

    Args:
        sources: the cases, see :mod:`S2LDMTrainerLib.preparing.sources`.
        skipped: those that were found unusable already, to be listed.
        out: folder to write, one folder a case; finished cases of the same files and options are kept.

    Returns:
        How many cases failed for another reason than their input.

    Raises:
        S2LDMError: every case failed.
        InputError: nothing usable, too few patients to split, or ``out`` in use by another run or for other things.
        Cancelled: the user asked to stop; finished cases are kept.
    """
    run = _Run(on_report)
    for one in skipped:
        run.leave_out(one.case, one.reason)
    check_unique(sources)
    check_patients([(source.kind, source.patient) for source in sources], options.split)
    with only_run(out):
        check_places(out, sources)
        remove_partials(out)
        marks = {source.case: fingerprint(source, options.build.for_kind(source.kind)) for source in sources}
        todo = []
        for source in sources:
            info = keep_if_current(out / source.case, source, marks[source.case])
            if info is None:
                todo.append(source)
            else:
                run.add(info, KEPT)
        if todo:
            (out / MANIFEST).unlink(missing_ok=True)  # it would not describe what is there from now on
            _build_all(todo, marks, out, options, run, on_progress, should_cancel)
        _finish(out, options, run)
    return run.failed


def _build_all(
    todo: Sequence[Source],
    marks: Mapping[str, str],
    out: Path,
    options: PrepareOptions,
    run: _Run,
    on_progress: OnProgress,
    should_cancel: Callable[[], bool],
) -> None:
    progress = _RunProgress(todo, on_progress)
    to_check = [source for source in todo if source.kind in CHECKED]
    doubts = {source.case: CheckFindings() for source in todo if source.kind not in CHECKED}
    with Workers(options.jobs, should_cancel) as workers:
        for source, future in workers.run(check_files, [(source, (source,)) for source in to_check]):
            found = run.result(source, future)
            progress.add("check", CHECK_S + (_build_cost(source) if found is None else 0))
            if found is not None:
                doubts[source.case] = found
        usable = [source for source in todo if source.case in doubts]
        kept = [(info["kind"], info["patient"]) for info in run.infos if info["flag"] is None]
        hopeful = [(source.kind, source.patient) for source in usable if doubts[source.case].flag is None]
        _check_any(usable or run.infos, run)
        check_patients([*kept, *hopeful], options.split)
        tasks = [(s, (out, s, options.build, doubts[s.case], marks[s.case])) for s in _longest_first(usable)]
        for source, future in workers.run(build_case, tasks):
            info = run.result(source, future)
            if info is not None:
                run.add(info, DONE)
            progress.add("prepare", _build_cost(source))


def _finish(out: Path, options: PrepareOptions, run: _Run) -> None:
    _check_any(run.infos, run)
    splits = split_cases(run.infos, options.split, options.seed)
    record = {
        "seed": options.seed,
        "split": ":".join(map(str, options.split)) if options.split else "none",
        "spacing": options.build.spacing,
    }
    write_manifest(out, run.infos, splits, sorted(run.left_out, key=lambda one: one.case), record)


def _check_any(usable: Sequence[Any], run: _Run) -> None:
    if not usable:
        first = run.left_out[0]
        kind = S2LDMError if run.failed else InputError
        raise kind(f"No case can be used: {first.case}: {first.reason}")


def describe(info: Mapping[str, Any]) -> str:
    """Describe a prepared case in one line: kind, size, the figures of each phase, why it is left out of training."""
    parts = [f"{info['kind']} {'x'.join(map(str, info['shape']))} of {info['patient']}"]
    parts += [_figures(phase, figures) for phase, figures in info["figures"].items()]
    if info["flag"]:
        parts.append(f"NOT FOR TRAINING: {info['flag']}")
    return " | ".join([*parts, *info["warnings"]])


def _figures(phase: str, figures: Mapping[str, float]) -> str:
    text = (
        f"{phase}: MI {figures['mutual_information_before']:.3f} -> {figures['mutual_information_after']:.3f}, "
        f"borders {figures['border_correlation_before']:.3f} -> {figures['border_correlation_after']:.3f}, "
        f"moved {figures['displacement_median_mm']:.1f} (p95 {figures['displacement_p95_mm']:.1f}) mm, "
        f"folding {figures['folding']:.4f}, valid {figures['valid']:.2f}"
    )
    vessels = figures.get("enhancement_vessels_hu")
    return text if vessels is None else f"{text}, vessels {vessels:+.0f} HU"


class _RunProgress:
    """Tells which part of all work is finished, by usual durations."""

    def __init__(self, todo: Sequence[Source], on_progress: OnProgress) -> None:
        self._total = sum(_build_cost(source) + CHECK_S * (source.kind in CHECKED) for source in todo)
        self._done = 0.0
        self._start = time.monotonic()
        self._on_progress = on_progress

    def add(self, stage: str, seconds: float) -> None:
        self._done += seconds
        fraction = min(1.0, self._done / self._total)
        self._on_progress(Progress(stage, fraction, remaining_s(time.monotonic() - self._start, fraction)))


def _build_cost(source: Source) -> float:
    return BUILD_S[source.kind] + REGISTER_S * len(source.phases)


def _longest_first(sources: Sequence[Source]) -> Iterator[Source]:
    """Sort the cases so that no long one is left alone at the end."""
    return iter(sorted(sources, key=_build_cost, reverse=True))
