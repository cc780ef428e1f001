"""Export of a result as a DICOM series, by the engine: Slicer's own exporter would call it a real scan."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from S2LDMLib.errors import InputError
from S2LDMLib.volume.files import write_volume
from S2LDMSlicerLib.errors import PanelError

from .engine_process import EngineProcess, Start
from .job import Job
from .volumes import Snapshot


@dataclass(frozen=True)
class ExportRequest:
    """What the user wants.

    folder: becomes the series; it must not exist.
    add_to_database: add the series to Slicer's DICOM database when it is written.
    burn_in, anonymize, patient_name, patient_id, study_description: the fields of the engine's ``ExportOptions``; an
        empty text leaves it to the engine.
    """

    folder: Path
    add_to_database: bool = False
    burn_in: bool = False
    anonymize: bool = False
    patient_name: str = ""
    patient_id: str = ""
    study_description: str = ""

    def patient(self) -> dict[str, str]:
        """Whose series it becomes, as the engine's option ``--patient`` takes it."""
        named = {
            "patient_name": self.patient_name, "patient_id": self.patient_id,
            "study_description": self.study_description,
        }  # fmt: skip
        return {key: text for key, text in named.items() if text}

    def arguments(self, volume: Path, sources: Path | None, folder: Path, patient: Path) -> list[str]:
        """The words after ``s2ldm``; names are in a file, since command lines are logged and seen by other users.

        Args:
            sources: a list of the files of the source series; None for a new study.
            patient: a file that holds :meth:`patient`.
        """
        words = ["to-dicom", str(volume), str(folder), "--progress", "json"]
        words += ["--source-list", str(sources)] if sources else []
        words += ["--burn-in"] if self.burn_in else []
        words += ["--anonymize"] if self.anonymize else []
        return [*words, "--patient", str(patient)]


class DicomExportJob(Job):
    """Writes a result as a DICOM series; when it is done, ``request.folder`` holds the series."""

    def __init__(
        self, result: Snapshot, provenance: Mapping[str, str], sources: tuple[Path, ...], request: ExportRequest,
        temporary: Path, start: Start = EngineProcess,
    ) -> None:  # fmt: skip
        super().__init__(temporary, start)
        self.request = request
        self.warnings: tuple[str, ...] = ()
        self._result, self._provenance, self._sources = result, provenance, sources

    def _work(self, folder: Path) -> None:
        self._show("preparing", 0.0)
        volume, listing, patient = folder / "result.nrrd", folder / "sources.txt", folder / "patient.json"
        try:
            write_volume(self._result.image(), volume, True, dict(self._provenance))
        except InputError as error:
            raise PanelError(str(error)) from None
        patient.write_text(json.dumps(self.request.patient()), encoding="utf-8")
        sources = listing if self._sources else None
        listing.write_text("".join(f"{file}\n" for file in self._sources), encoding="utf-8")
        target = self.request.folder
        with _beside(target) as place:
            made = place / target.name
            for event in self._engine(self.request.arguments(volume, sources, made, patient)):
                if "fraction" in event:
                    self._show("writing", float(event["fraction"]), event.get("remaining_s"))
            _move(made, target)


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """A private folder on the disk of ``target``; a half series ends with it, also where the engine was killed."""
    try:
        with tempfile.TemporaryDirectory(prefix=".S2LDM-", dir=target.parent, ignore_cleanup_errors=True) as place:
            yield Path(place)
    except OSError as error:
        raise PanelError(f"{target.parent} cannot be written to ({error.strerror}). Choose another folder.") from None


def _move(made: Path, target: Path) -> None:
    if target.exists():
        raise PanelError(f"{target} exists now. Choose another folder.")
    os.rename(made, target)
