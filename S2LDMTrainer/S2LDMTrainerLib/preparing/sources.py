"""Which cases there are to prepare: pairs in folders or a manifest, CECT without an NCCT, labelled scans, phantoms.

Nothing is read here but names and, of a DICOM folder, one header.
"""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from S2LDMLib.errors import InputError
from S2LDMLib.model.config import PHASES
from S2LDMLib.volume.files import INPUT_SUFFIXES

from .dicom_identity import dicom_identity

IMAGES = ("ncct", *PHASES)
ROLES = (*IMAGES, "labels")
COLUMNS = ("case", "patient", *ROLES)
FIRST_PHANTOM = 100  # lower seeds are those of samples and tests
LAYOUT = "<case>/ncct, <case>/arterial and <case>/venous, each a volume file or a folder of DICOM files"

_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f]|^\.|[. ]$|^$')  # in a folder's name, on any system


@dataclass(frozen=True)
class Source:
    """A case to prepare.

    Attributes:
        case: its name, thus its folder's.
        kind: one of ``data.KINDS``.
        patient: a patient is never split over training and validation.
        files: the volume file or DICOM folder of each role: ``ncct``, a phase, ``labels``; ``cect``; ``ct``.
        origin: where it comes from, to be recorded; no path of this machine.
        seed: of the synthetic kinds.
        label_names: organ name by label value.
    """

    case: str
    kind: str
    patient: str
    files: Mapping[str, Path]
    origin: str
    seed: int = 0
    label_names: Mapping[int, str] = field(default_factory=dict)

    @property
    def phases(self) -> tuple[str, ...]:
        """The contrast phases among its files, for a pair."""
        return tuple(phase for phase in PHASES if phase in self.files)


@dataclass(frozen=True)
class Skipped:
    """A case that is not prepared, and why."""

    case: str
    reason: str


Found = tuple[list[Source], list[Skipped]]


def compile_patient(pattern: str | None) -> re.Pattern[str] | None:
    """Compile the option ``--patient``; InputError if it is no regular expression with a group."""
    if pattern is None:
        return None
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise InputError(f"--patient '{pattern}' is no regular expression ({error}). Correct it.") from None
    if not compiled.groups:
        raise InputError(f"--patient '{pattern}' has no group. Put brackets around the part that names the patient.")
    return compiled


def find_pairs(data: Path, phases: Sequence[str], patient: re.Pattern[str] | None) -> Found:
    """Find the cases of a folder, ``LAYOUT``, by name.

    Args:
        phases: those wanted; a case needs one of them at least.
        patient: its first group, in the case's name, is the patient; None: the DICOM PatientID's hash or the name.

    Raises:
        InputError: no such folder, or nothing in it that looks like a case.
    """
    if not data.is_dir():
        raise InputError(f"{data} is not a folder. Give the folder that holds {LAYOUT}.")
    if any(_entries(data, role) for role in IMAGES):
        raise InputError(f"{data} is a case itself. Give its parent folder, which holds {LAYOUT}.")
    folders = [folder for folder in sorted(data.iterdir()) if folder.is_dir() and not folder.name.startswith(".")]
    if not any(_entries(folder, role) for folder in folders for role in IMAGES):
        raise InputError(f"{data} holds no cases. It must hold {LAYOUT}.")
    names = read_label_names(data)
    sources, skipped = [], []
    by_place: dict[Path, str] = {}
    for folder in folders:
        try:
            if (same := by_place.setdefault(folder.resolve(), folder.name)) != folder.name:
                raise InputError(f"it is a link to the case {same}. Remove one of them.")
            files = {role: entry for role in ROLES if (entry := _only_entry(folder, role))}
            source = _pair(folder.name, files, phases, f"{data.resolve().name}/{folder.name}", names, patient)
            sources.append(source)
        except InputError as error:
            skipped.append(Skipped(folder.name, str(error)))
    return sources, skipped


def read_manifest(file: Path, phases: Sequence[str], patient: re.Pattern[str] | None) -> Found:
    """Read the cases of a CSV file, or of a JSON file with a list of objects: ``COLUMNS``, paths relative to the file.

    Raises:
        InputError: not readable, unknown columns, no or doubled case names, no rows.
    """
    rows = _rows(file)
    unknown = sorted({str(key) for row in rows for key in row} - set(COLUMNS))
    if unknown:
        raise InputError(f"{file} has unknown columns: {', '.join(unknown)}. Known ones are {', '.join(COLUMNS)}.")
    if not rows:
        raise InputError(f"{file} lists no cases. Give columns {', '.join(COLUMNS)} and a row a case.")
    names = read_label_names(file.parent)
    sources, skipped = [], []
    for number, row in enumerate(rows, 1):
        case = str(row.get("case") or "")
        if _FORBIDDEN.search(case):
            raise InputError(f"{file}, case {number}: '{case}' cannot name a folder. Give plain names in column case.")
        files = {role: file.parent / str(row[role]) for role in ROLES if row.get(role)}
        try:
            for role, path in files.items():
                if not path.exists():
                    raise InputError(f"{role}: {path} does not exist. Correct the manifest.")
            source = _pair(case, files, phases, f"{file.name}/{case}", names, patient, row.get("patient"))
            sources.append(source)
        except InputError as error:
            skipped.append(Skipped(case, str(error)))
    check_unique([*sources, *skipped])
    return sources, skipped


def find_cect_only(folder: Path, patient: re.Pattern[str] | None) -> list[Source]:
    """Find contrast phases without an NCCT, ``<session>/<phase>``, for the autoencoder.

    Raises:
        InputError: no such folder, or nothing in it.
    """
    if not folder.is_dir():
        raise InputError(f"--cect-only {folder} is not a folder. Give one that holds <session>/<phase>.nii.gz.")
    sources = []
    for session in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        for entry in sorted(session.iterdir()):
            if entry.name.startswith(".") or not (entry.is_dir() or _stem(entry) != entry.name):
                continue
            origin = f"{folder.resolve().name}/{session.name}/{entry.name}"
            whose = _patient(session.name, [entry], patient)
            sources.append(Source(f"{session.name}_{_stem(entry)}", "cect", whose, {"cect": entry}, origin))
    if not sources:
        raise InputError(f"--cect-only {folder} holds no volumes. It must hold <session>/<phase>.nii.gz or the like.")
    return sources


def find_labelled(folder: Path, seeds: int) -> list[Source]:
    """Find labelled scans to recolour, ``<name>_ct`` with ``<name>_labels``, each ``seeds`` times.

    Raises:
        InputError: no such folder, or no scan with its labels in it.
    """
    layout = "<name>_ct.nii.gz with <name>_labels.nii.gz (TotalSegmentator v2 classes)"
    if not folder.is_dir():
        raise InputError(f"--labelled {folder} is not a folder. Give one that holds {layout}.")
    sources = []
    for file in sorted(folder.iterdir()):
        if not _stem(file).endswith("_ct") or _stem(file) == file.name:
            continue
        name = _stem(file).removesuffix("_ct")
        labels = _only_entry(folder, f"{name}_labels")
        if labels is None:
            continue
        for seed in range(seeds):
            origin = f"{folder.resolve().name}/{name}, seed {seed}"
            files = {"ct": file, "labels": labels}
            sources.append(Source(f"{name}_seed{seed}", "recoloured", name, files, origin, seed))
    if not sources:
        raise InputError(f"--labelled {folder} holds no labelled scan. It must hold {layout}.")
    return sources


def phantoms(count: int, first_seed: int = FIRST_PHANTOM) -> list[Source]:
    """List procedural patients, each a patient of its own."""
    named = [(f"phantom_{seed}", seed) for seed in range(first_seed, first_seed + count)]
    return [Source(name, "phantom", name, {}, f"phantom, seed {seed}", seed) for name, seed in named]


def check_unique(cases: Sequence[Source | Skipped]) -> None:
    """Refuse by InputError if two cases have one name, on a file system that may ignore case."""
    doubled = [name for name, count in Counter(case.case.lower() for case in cases).items() if count > 1]
    if doubled:
        raise InputError(f"Several cases are named {', '.join(doubled[:5])}. Give each case a name of its own.")


def read_label_names(folder: Path) -> dict[int, str]:
    """Read names by value from labels.csv (value,name) or labels.json ({"value": "name"}); none where there is neither.

    Raises:
        InputError: not readable as such.
    """
    table, mapping = folder / "labels.csv", folder / "labels.json"
    file = table if table.is_file() else mapping
    if not file.is_file():
        return {}
    try:
        text = file.read_text(encoding="utf-8-sig")
        if file == mapping:
            return {int(value): str(name) for value, name in json.loads(text).items()}
        return {int(row["value"]): row["name"].strip() for row in csv.DictReader(text.splitlines())}
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        raise InputError(f"{file} is no list of labels. Give columns value,name or JSON {{value: name}}.") from None


def _rows(file: Path) -> list[dict[str, Any]]:
    try:
        text = file.read_text(encoding="utf-8-sig")
        rows = json.loads(text) if file.suffix.lower() == ".json" else list(csv.DictReader(text.splitlines()))
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror}). Give a CSV or JSON manifest.") from None
    except ValueError as error:
        raise InputError(f"{file} is no CSV or JSON file ({error}). Correct it.") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError(f"{file} is not a list of objects. Give one object a case: {', '.join(COLUMNS)}.")
    # Spreadsheets save rows of nothing but commas; a name of blanks is none.
    return [row for row in rows if any(str(value).strip() for value in row.values() if value)]


def _pair(
    case: str,
    files: dict[str, Path],
    phases: Sequence[str],
    origin: str,
    label_names: Mapping[int, str],
    pattern: re.Pattern[str] | None,
    patient: str | None = None,
) -> Source:
    """Make a case of an NCCT and at least one wanted phase; InputError where one is missing."""
    if "ncct" not in files:
        raise InputError("there is no ncct. Add it, or give contrast phases alone with --cect-only.")
    kept = {role: path for role, path in files.items() if role in ("ncct", "labels") or role in phases}
    if not set(kept) & set(PHASES):
        raise InputError(f"there is no {' or '.join(phases)} phase. Add it, or ask for another --phase.")
    whose = str(patient) if patient else _patient(case, list(kept.values()), pattern)
    return Source(case, "pair", whose, kept, origin, label_names=label_names if "labels" in kept else {})


def _patient(name: str, paths: Sequence[Path], pattern: re.Pattern[str] | None) -> str:
    if pattern is not None:
        match = pattern.search(name)
        if not match or not match.group(1):
            raise InputError(f"--patient '{pattern.pattern}' finds no patient in '{name}'. Correct it.")
        return match.group(1)
    identities = (dicom_identity(path) for path in paths)
    return next((one.patient for one in identities if one and one.patient), name)


def _only_entry(folder: Path, role: str) -> Path | None:
    entries = _entries(folder, role)
    if len(entries) > 1:
        raise InputError(f"{role} is there {len(entries)} times ({', '.join(e.name for e in entries)}). Keep one.")
    if entries and not entries[0].exists():
        raise InputError(f"{role}: {entries[0]} is a link to what is not there. Mend the link or remove it.")
    return entries[0] if entries else None


def _entries(folder: Path, role: str) -> list[Path]:
    """List what ``folder`` holds for a role, a volume file or a folder."""
    return [entry for entry in sorted(_visible(folder)) if _stem(entry).lower() == role.lower()]


def _visible(folder: Path) -> Iterator[Path]:
    for entry in folder.iterdir():
        is_lost = not entry.exists()  # a link to nothing, which must not count as no scan at all
        if not entry.name.startswith(".") and (entry.is_dir() or is_lost or _stem(entry) != entry.name):
            yield entry


def _stem(path: Path) -> str:
    """The name without the ending of a volume file; the whole name of anything else."""
    suffix = next((each for each in INPUT_SUFFIXES if path.name.lower().endswith(each)), None)
    return path.name[: -len(suffix)] if suffix and not path.is_dir() else path.name
