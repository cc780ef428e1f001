"""What the status line says."""

from __future__ import annotations

from slicer.i18n import tr as _

from .jobs.export_job import DicomExportJob
from .jobs.job import JobState, JobStatus
from .jobs.translation_job import TranslationJob
from .translator import Translator


def stage_text(stage: str) -> str:
    """A stage of the engine or of a job, for people."""
    names = {
        "preparing": _("Preparing"),
        "preprocess": _("Preparing"),
        "encode": _("Encoding"),
        "translate": _("Translating"),
        "decode": _("Decoding"),
        "postprocess": _("Finishing"),
        "reading the result": _("Reading the result"),
        "asking the Hub": _("Asking the Hub"),
        "downloading": _("Downloading"),
        "writing": _("Writing the series"),
    }
    return names.get(stage, _("Starting"))


def running_text(state: JobState) -> str:
    """Where a running job stands."""
    if state.status is JobStatus.ASKING:
        return _("Waiting for your answer...")
    return f"{stage_text(state.stage)}...{remaining_text(state.remaining_s)}"


def remaining_text(seconds: float | None) -> str:
    """The remaining time, as precise as it can be known; empty where it cannot."""
    if seconds is None:
        return ""
    if seconds < 90:
        return " " + _("about {seconds} s left").format(seconds=max(1, round(seconds)))
    return " " + _("about {minutes} min left").format(minutes=round(seconds / 60))


def end_text(state: JobState, translator: Translator) -> str:
    """What became of a job that did not fail."""
    if state.status is JobStatus.CANCELLED:
        return _("Cancelled. Nothing was kept.")
    if isinstance(translator.job, DicomExportJob):
        written = _("Written: {files}").format(files=translator.job.request.folder)
        return "\n".join([written, *translator.job.warnings])
    if not isinstance(translator.job, TranslationJob):
        return _("The model is on this computer now.")
    done = _("Done in {seconds} s: {name}").format(seconds=round(translator.seconds), name=translator.result.GetName())
    return "\n".join([done, *translator.job.warnings])
