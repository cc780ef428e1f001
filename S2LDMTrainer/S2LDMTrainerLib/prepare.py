"""Prepare training data: registered, LPS-ordered, memory-mappable volumes, one folder a case.

    python -m S2LDMTrainerLib.prepare --data ../shared/data --out data/prepared --jobs 2

Every case folder holds int16 HU arrays (Z, Y, X), a uint8 mask of truly measured voxels for each phase,
`case.json` and a picture to check the registration by eye. Memory maps, because opening a crop of one takes 4
ms and of a .nii.gz more than a second. A folder appears under its name only when it is complete, so an
interrupted run can simply be started again.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from .checkpicture import write_check_picture
from .recolour import LIDC, NATIVE, recoloured_triples
from .registration import register

VERSION = 1  # raise it when results change: cases of another version are prepared again
PHASES = ("arterial", "venous")
RECOLOURED_SEEDS = {NATIVE: range(4), LIDC: range(3)}
PHANTOM_SEEDS = range(100, 106)


@dataclass(frozen=True)
class Task:
    """A case to prepare: `kind` is pair, cect, recoloured or phantom; `source` a folder, file or name."""

    case: str
    kind: str
    source: str
    seed: int = 0


@dataclass(frozen=True)
class Case:
    """Arrays (Z, Y, X) by file name, grid (x, y, z in mm; direction row-major) and what to record."""

    arrays: dict[str, np.ndarray]
    spacing: Sequence[float]
    origin: Sequence[float]
    direction: Sequence[float]
    patient: str
    source: str
    registration: dict[str, dict[str, float]] = field(default_factory=dict)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line: prepare what is missing, print a line a case, return 1 if a case failed."""
    parser = argparse.ArgumentParser(prog="S2LDMTrainerLib.prepare", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with pairs/, cect_only/ and labelled/"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write, one folder a case")
    parser.add_argument("--jobs", type=int, default=2, help="cases prepared side by side")
    options = parser.parse_args(argv)
    return prepare(options.data, options.out, options.jobs)


def prepare(data: Path, out: Path, jobs: int = 2, report: Callable[[str], None] = print) -> int:
    """Prepare the missing cases of `data` in `out`; returns the exit status, 1 if one failed."""
    out.mkdir(parents=True, exist_ok=True)
    tasks = list_tasks(data)
    if not any(task.kind == "phantom" for task in tasks):
        report("phantoms: left out, S2LDMLib.phantom cannot be imported (run again when it can)")
    todo = [task for task in tasks if not is_complete(out / task.case)]
    report(f"{len(tasks) - len(todo)} of {len(tasks)} cases are complete")
    failed = 0
    # Spawned, because a fork of a process with threads can hang.
    spawn = get_context("spawn")
    with ProcessPoolExecutor(max(1, jobs), spawn, _limit_threads) as pool:
        futures = {pool.submit(run_task, task, data, out): task for task in todo}
        for future in as_completed(futures):
            try:
                report(future.result())
            except Exception as error:  # one bad volume must not cost the others
                failed += 1
                report(f"{futures[future].case}: FAILED, {type(error).__name__}: {error}")
            write_manifest(out)
    write_manifest(out)
    return 1 if failed else 0


def list_tasks(data: Path) -> list[Task]:
    """All cases that `data` allows, those that training needs most first."""
    tasks = [Task(folder.name, "pair", str(folder)) for folder in sorted((data / "pairs").glob("*/"))]
    for name, seeds in RECOLOURED_SEEDS.items():
        if (data / "labelled" / f"{name}_ct.nii.gz").is_file():
            tasks += [Task(f"{name}_seed{seed}", "recoloured", name, seed) for seed in seeds]
    for file in sorted((data / "cect_only").glob("*/*.nii.gz")):
        tasks.append(Task(f"{file.parent.name}_{file.name.split('.')[0]}", "cect", str(file)))
    if _phantoms_available():
        tasks += [Task(f"phantom_{seed}", "phantom", "S2LDMLib.phantom", seed) for seed in PHANTOM_SEEDS]
    return tasks


def is_complete(folder: Path) -> bool:
    """Whether a case was prepared by this version; the folder is renamed into place last, so it is whole."""
    try:
        return json.loads((folder / "case.json").read_text(encoding="utf-8")).get("version") == VERSION
    except (OSError, ValueError):
        return False


def run_task(task: Task, data: Path, out: Path) -> str:
    """Prepare one case and return the line to print."""
    builders = {"pair": _pair, "cect": _cect, "phantom": _phantom}
    case = _recoloured(task, data) if task.kind == "recoloured" else builders[task.kind](task)
    write_case(out / task.case, task.kind, case)
    shape = "x".join(str(size) for size in next(iter(case.arrays.values())).shape)
    return " | ".join([f"{task.case}: {task.kind} {shape}", *_figures(case)])


def write_case(folder: Path, kind: str, case: Case) -> None:
    """Write all files of a case beside its place, then rename: a reader sees the whole case or none."""
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for name, array in case.arrays.items():
        np.save(partial / f"{name}.npy", np.ascontiguousarray(array))
    write_check_picture(partial / "check.png", case.arrays)
    description = {
        "version": VERSION,
        "case": folder.name,
        "kind": kind,
        "patient": case.patient,
        "source": case.source,
        "spacing": [float(value) for value in case.spacing],
        "origin": [float(value) for value in case.origin],
        "direction": [float(value) for value in case.direction],
        "shape": list(next(iter(case.arrays.values())).shape),
        "arrays": sorted(case.arrays),
        "registration": case.registration,
    }
    _write_json(partial / "case.json", description)
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(partial, folder)


def write_manifest(out: Path) -> None:
    """List the complete cases of `out` in manifest.json: name, kind, patient, source, shape, arrays."""
    keys = ("case", "kind", "patient", "source", "spacing", "shape", "arrays")
    found = [
        json.loads(file.read_text(encoding="utf-8"))
        for file in sorted(out.glob("*/case.json"))
        if not file.parent.name.startswith(".") and is_complete(file.parent)
    ]
    _write_json(
        out / "manifest.json",
        {"version": VERSION, "cases": [{key: case[key] for key in keys} for case in found]},
    )


def _write_json(path: Path, content: dict[str, Any]) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    os.replace(partial, path)


def _figures(case: Case) -> Iterator[str]:
    for phase, figures in case.registration.items():
        yield (
            f"{phase}: MI {figures['mutual_information_before']:.3f} -> "
            f"{figures['mutual_information_after']:.3f}, "
            f"borders {figures['border_correlation_before']:.3f} -> "
            f"{figures['border_correlation_after']:.3f}, "
            f"moved {figures['displacement_median_mm']:.1f} (p95 {figures['displacement_p95_mm']:.1f}) mm, "
            f"folding {figures['folding']:.4f}, valid {case.arrays[f'{phase}_valid'].mean():.2f}"
        )


def _limit_threads() -> None:
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)


def _phantoms_available() -> bool:
    try:
        return find_spec("S2LDMLib.phantom") is not None
    except ModuleNotFoundError:
        return False


def _read(path: Path) -> sitk.Image:
    return sitk.DICOMOrient(sitk.Cast(sitk.ReadImage(str(path)), sitk.sitkInt16), "LPS")


def _patient(session: str) -> str:
    """HCC_005_19990123 -> HCC_005: sessions of one patient must not be split over training and test."""
    return session.rsplit("_", 1)[0]


def _grid(image: sitk.Image) -> dict[str, Sequence[float]]:
    return {"spacing": image.GetSpacing(), "origin": image.GetOrigin(), "direction": image.GetDirection()}


def _pair(task: Task) -> Case:
    folder = Path(task.source)
    ncct = _read(folder / "ncct.nii.gz")
    arrays, figures = {"ncct": sitk.GetArrayFromImage(ncct)}, {}
    for phase in PHASES:
        result = register(_read(folder / f"{phase}.nii.gz"), ncct)
        arrays[phase] = sitk.GetArrayFromImage(result.image)
        arrays[f"{phase}_valid"] = sitk.GetArrayFromImage(result.valid)
        figures[phase] = result.quality.to_dict()
    return Case(
        arrays,
        **_grid(ncct),
        patient=_patient(folder.name),
        source=f"pairs/{folder.name}",
        registration=figures,
    )


def _cect(task: Task) -> Case:
    file = Path(task.source)
    image = _read(file)
    source = f"cect_only/{file.parent.name}/{file.name}"
    return Case(
        {"cect": sitk.GetArrayFromImage(image)},
        **_grid(image),
        patient=_patient(file.parent.name),
        source=source,
    )


def _recoloured(task: Task, data: Path) -> Case:
    triples = recoloured_triples(data / "labelled", [task.seed], [task.source])
    _, arrays, spacing = next(iter(triples))
    source = f"labelled/{task.source}, seed {task.seed}"
    return Case(_all_valid(arrays), spacing, (0, 0, 0), np.eye(3).ravel(), patient=task.source, source=source)


def _phantom(task: Task) -> Case:
    from S2LDMLib.phantom import make_phantom

    phantom = make_phantom(seed=task.seed, size=(256, 256, 40), spacing=(1.5, 1.5, 5.0))
    images = {name: sitk.DICOMOrient(getattr(phantom, name), "LPS") for name in ("ncct", *PHASES)}
    arrays = {name: sitk.GetArrayFromImage(image) for name, image in images.items()}
    source = f"{task.source}, seed {task.seed}"
    return Case(_all_valid(arrays), **_grid(images["ncct"]), patient=task.case, source=source)


def _all_valid(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Synthetic triples share one geometry: each voxel counts."""
    return arrays | {f"{phase}_valid": np.ones(arrays[phase].shape, np.uint8) for phase in PHASES}


if __name__ == "__main__":
    sys.exit(main())
