"""Prepared cases on disk: written whole or not at all, found again, listed in the manifest; one run at a time."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from S2LDMLib.atomic import atomic_write
from S2LDMLib.dicom.reading.files import files_below
from S2LDMLib.errors import InputError

from ..data import MANIFEST, VERSION
from .checkpicture import write_check_picture
from .sources import Skipped, Source

CASE_FILE = "case.json"
LOCK = ".prepare.lock"
LISTED = ("case", "kind", "patient", "source", "flag", "phases", "spacing", "shape")


@dataclass(frozen=True)
class Built:
    """What becomes a prepared case.

    Attributes:
        arrays: (Z, Y, X) by file name, see :mod:`S2LDMTrainerLib.data`.
        grid: ``spacing``, ``origin`` (x, y, z, mm) and ``direction`` (row-major), LPS.
        flag: why it must not be trained on, or None.
        figures: by phase, of the registration and of the enhancement.
        warnings: what is unusual about the NCCT.
    """

    arrays: Mapping[str, np.ndarray]
    grid: Mapping[str, Sequence[float]]
    flag: str | None = None
    figures: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    label_names: Mapping[int, str] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of voxels (z, y, x)."""
        return next(iter(self.arrays.values())).shape


def fingerprint(source: Source, options: Mapping[str, Any]) -> str:
    """Hash all that the prepared case depends on: files (path, size, time), options, version."""
    files = {
        role: [_stamp(file) for file in (files_below(path) if path.is_dir() else [path])]
        for role, path in sorted(source.files.items())
    }
    content = [VERSION, source.case, source.kind, source.seed, sorted(source.label_names.items()), files, dict(options)]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _stamp(file: Path) -> tuple[str, int, int]:
    status = file.stat()
    return str(file.resolve()), status.st_size, status.st_mtime_ns


def read_case(folder: Path) -> dict[str, Any] | None:
    """Read what is recorded of a prepared case, of any version; None where there is none."""
    try:
        info = json.loads((folder / CASE_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return info if isinstance(info, dict) else None


def keep_if_current(folder: Path, source: Source, mark: str) -> dict[str, Any] | None:
    """Read what is recorded of a case that need not be prepared again, else None; its patient may have been renamed."""
    info = read_case(folder)
    if info is None or info.get("version") != VERSION or info.get("fingerprint") != mark:
        return None
    if info["patient"] != source.patient:
        info["patient"] = source.patient
        write_json(folder / CASE_FILE, info)
    return info


def write_case(folder: Path, source: Source, built: Built, mark: str) -> dict[str, Any]:
    """Write all files of a case beside its place, then rename: a reader sees the whole case or none.

    Returns:
        What ``case.json`` records.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        for name, array in built.arrays.items():
            np.save(partial / f"{name}.npy", np.ascontiguousarray(array))
        write_check_picture(partial / "check.png", built.arrays)
        info = _describe(source, built, mark)
        write_json(partial / CASE_FILE, info)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(partial, folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return info


def _describe(source: Source, built: Built, mark: str) -> dict[str, Any]:
    return {
        "version": VERSION,
        "case": source.case,
        "kind": source.kind,
        "patient": source.patient,
        "source": source.origin,
        "flag": built.flag,
        "phases": [name.removesuffix("_valid") for name in built.arrays if name.endswith("_valid")],
        "shape": list(built.shape),
        "arrays": sorted(built.arrays),
        **{name: [float(value) for value in values] for name, values in built.grid.items()},
        "label_names": {str(value): name for value, name in built.label_names.items()},
        "figures": {phase: dict(figures) for phase, figures in built.figures.items()},
        "warnings": list(built.warnings),
        "fingerprint": mark,
    }


def write_manifest(
    out: Path,
    cases: Sequence[Mapping[str, Any]],
    splits: Mapping[str, str],
    skipped: Sequence[Skipped],
    record: Mapping[str, Any],
) -> None:
    """List the cases of a run; ``splits`` by case, ``record`` what the run was asked for (seed, split, spacing)."""
    listed = [
        {**{key: info[key] for key in LISTED}, "split": splits[info["case"]]}
        for info in sorted(cases, key=lambda info: info["case"])
    ]
    left_out = [{"case": one.case, "reason": one.reason} for one in skipped]
    write_json(out / MANIFEST, {"version": VERSION, **record, "cases": listed, "skipped": left_out})


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file, whole or not at all."""
    with atomic_write(path) as partial:
        partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


@contextmanager
def only_run(out: Path) -> Iterator[None]:
    """Hold the folder for one run; the system frees it when the process ends, however it ends.

    Raises:
        InputError: another run holds it, or it cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = FileLock(out / LOCK)
        lock.acquire(timeout=0)
    except Timeout:
        raise InputError(f"Another run is preparing {out}. Wait for its end, or give another folder.") from None
    except OSError as error:
        raise InputError(f"{out} cannot be written ({error.strerror}). Give another folder.") from None
    try:
        yield
    finally:
        lock.release()


def check_places(out: Path, sources: Sequence[Source]) -> None:
    """Refuse by InputError if ``out`` and a source lie in each other, or a case's folder exists and is none of ours."""
    whole = out.resolve()
    for source in sources:
        for path in (file.resolve() for file in source.files.values()):
            if whole == path or whole in path.parents or path in whole.parents:
                raise InputError(f"{out} and the source {path} lie in each other. Give another folder to write.")
        folder = out / source.case
        if folder.exists() and read_case(folder) is None:
            raise InputError(f"{folder} exists and is no prepared case. Give another folder to prepare into.")


def remove_partials(out: Path) -> None:
    """Remove what a run has left behind that was killed: cases that are not whole, and a manifest's temporary file."""
    for folder in out.glob(".*.partial"):
        shutil.rmtree(folder, ignore_errors=True)
    for file in out.glob(".s2ldm-*.json"):
        file.unlink(missing_ok=True)
