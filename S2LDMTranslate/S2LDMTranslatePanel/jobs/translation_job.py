"""One translation: the volume is written, checked, translated by the engine and read back."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk
from S2LDMSlicerLib.errors import PanelError

from .engine_process import EngineProcess, Start
from .job import Job
from .volumes import EngineResult, Snapshot

DOUBT_QUESTION = "Translate it nevertheless?"
_SPARE = 1.2  # times the disk space that the files need


@dataclass(frozen=True)
class TranslationRequest:
    """What is asked of the engine.

    steps: 0 for the model's own number. detail: "auto" for the model's best.
    region: x0, x1, y0, y1, z0, z1 in mm, in LPS of the volume; empty for all of it.
    """

    phase: str
    model: str = "bundled"
    steps: int = 0
    seed: int = 0
    device: str = "auto"
    precision: str = "auto"
    detail: str = "auto"
    region: tuple[float, ...] = ()
    samples: int = 1

    def arguments(self, source: Path, result: Path, deviation: Path) -> list[str]:
        """The words after ``s2ldm``; a model on the Hub is taken from the cache, so that nothing is fetched unasked."""
        words = ["translate", str(source), str(result), "--phase", self.phase, "--model", self.model, "--offline"]
        words += ["--seed", str(self.seed), "--device", self.device, "--dtype", self.precision, "--progress", "json"]
        if self.steps:
            words += ["--steps", str(self.steps)]
        if self.detail != "auto":
            words += ["--detail", self.detail]
        if self.region:
            words += ["--region", *(f"{bound:.3f}" for bound in self.region)]
        if self.samples > 1:
            words += ["--samples", str(self.samples), "--sd", str(deviation)]
        return words


class TranslationJob(Job):
    """Translates a volume; when done, ``made`` holds the result and ``deviation`` the samples' spread, if asked for."""

    def __init__(
        self, source: Snapshot, request: TranslationRequest, temporary: Path, start: Start = EngineProcess
    ) -> None:
        super().__init__(temporary, start)
        self.request = request
        self.made: EngineResult | None = None
        self.deviation: EngineResult | None = None
        self.warnings: tuple[str, ...] = ()
        self._source = source

    def _work(self, folder: Path) -> None:
        source, result, deviation = folder / "input.nrrd", folder / "result.nrrd", folder / "deviation.nrrd"
        self._show("preparing", 0.0)
        self._write(source)
        self._check(source)
        for event in self._engine(self.request.arguments(source, result, deviation)):
            if "fraction" in event:
                self._show(str(event.get("stage", "")), float(event["fraction"]), event.get("remaining_s"))
        self._show("reading the result", 1.0)
        self.made = _read(result)
        if self.request.samples > 1:
            self.deviation = _read(deviation)

    def _write(self, file: Path) -> None:
        needed = int(_SPARE * (self._source.hu.nbytes + 2 * self._source.hu.size))
        free = shutil.disk_usage(file.parent).free
        if free < needed:
            raise PanelError(
                f"The disk of {file.parent.parent} is full: {needed >> 20} MB are needed and {free >> 20} MB are free. "
                "Free some space, or choose another temporary folder in Slicer's application settings."
            )
        try:
            sitk.WriteImage(self._source.image(), str(file))
        except RuntimeError as error:
            raise PanelError(f"{file} could not be written. Check the disk's free space.") from error

    def _check(self, file: Path) -> None:
        """Ask before a volume is enhanced twice or is no abdomen; what cannot be translated ends here."""
        for report in self._engine(["check", str(file), "--json", "--model", self.request.model, "--offline"]):
            self.warnings = (*report.get("warnings", ()), *report.get("notes", ()))
            no_abdomen = not report.get("scores", {}).get("abdomen_part", {}).get("within", True)
            if report.get("enhanced") or no_abdomen:
                self._ask("\n\n".join([*self.warnings, DOUBT_QUESTION]))


def _read(file: Path) -> EngineResult:
    try:
        image = sitk.ReadImage(str(file))
    except RuntimeError as error:
        raise PanelError(f"The engine's result cannot be read ({file.name}). Try again.") from error
    keys: Sequence[str] = [key for key in image.GetMetaDataKeys() if key.startswith("S2LDM_") or key == "description"]
    return EngineResult(sitk.GetArrayFromImage(image), {key: image.GetMetaData(key) for key in keys})
