"""The one job that runs, and what becomes of it in the scene, without Qt."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import slicer
from S2LDMSlicerLib.errors import PanelError

from .dicom_export import DicomExport
from .jobs.download_job import DownloadJob
from .jobs.engine_process import EngineProcess, Start
from .jobs.job import Job, JobState, JobStatus
from .jobs.translation_job import TranslationJob, TranslationRequest
from .scene.result_nodes import add_deviation, add_result, is_result
from .scene.source_volume import copy_of, has_nonlinear_transform, reason_unavailable

END_WAIT_S = 2.0


class Translator:
    """Starts, watches and cancels one job at a time; :meth:`update` must be called from the thread of the scene.

    result: the node of the last translation that is done. seconds: how long it took from the call of :meth:`start` on.
    """

    def __init__(self, start: Start = EngineProcess) -> None:
        self.result: Any = None
        self.seconds = 0.0
        self.job: Job | None = None
        self._start = start
        self._source: Any = None
        self._replaced_id = ""
        self._taken = False
        self._take: Callable[[Any], None] = _nothing
        self._began = 0.0

    @property
    def is_running(self) -> bool:
        """Whether a job is under way, so that no other one can be started."""
        return self.job is not None and not self._taken

    @property
    def state(self) -> JobState | None:
        """Where the job stands, None before the first one; asking for it changes nothing."""
        return self.job.state if self.job else None

    def start(self, volume: Any, request: TranslationRequest, replaced: Any = None) -> None:
        """Begin to translate a volume node.

        Args:
            replaced: a former result whose place the new one takes; None for a new node.

        Raises:
            PanelError: another job runs, or the volume cannot be translated.
        """
        self._check_idle()
        if replaced is not None and not is_result(replaced):
            raise PanelError(f"{replaced.GetName()} is no synthetic CT. Choose a former result, or a new volume.")
        if reason := reason_unavailable(volume):
            raise PanelError(reason)
        if has_nonlinear_transform(volume):
            raise PanelError(
                f"{volume.GetName()} lies under a non-linear transform. Harden the transform on a copy and choose that."
            )
        self._began = time.monotonic()
        self._source = copy_of(volume)
        self._replaced_id = replaced.GetID() if replaced else ""
        self._begin(TranslationJob(self._source, request, _temporary(), self._start), self._add_result)

    def download(self, model: str) -> None:
        """Begin to fetch a model from the Hub; raises PanelError where another job runs."""
        self._check_idle()
        self._begin(DownloadJob(model, _temporary(), self._start), _nothing)

    def export(self, export: DicomExport) -> None:
        """Begin to write a DICOM series; raises PanelError where another job runs."""
        self._check_idle()
        self._begin(export.job(_temporary(), self._start), export.finish)

    def update(self) -> JobState | None:
        """Put what a job that has ended has made into the scene; returns :attr:`state`."""
        if self.job is None:
            return None
        state = self.job.state
        if not state.is_running and not self._taken:
            self._taken = True
            if state.status is JobStatus.DONE:
                self._take(self.job)
        return state

    def answer(self, go_on: bool) -> None:
        """Answer the job's question."""
        if self.job is not None:
            self.job.answer(go_on)

    def cancel(self) -> None:
        """End the job and all its processes; it leaves no node and no file."""
        if self.job is None or not self.is_running:
            return
        self.job.cancel()
        self.job.wait(END_WAIT_S)
        self._taken = True
        self._source = None

    def log(self) -> str:
        """What the engine said."""
        return self.job.log if self.job else ""

    def _begin(self, job: Job, take: Callable[[Any], None]) -> None:
        self.job, self._take, self._taken = job, take, False
        job.start()

    def _check_idle(self) -> None:
        if self.is_running:
            raise PanelError("Another job is still running. Wait for its end, or cancel it.")

    def _add_result(self, job: TranslationJob) -> None:
        assert job.made is not None
        replaced = slicer.mrmlScene.GetNodeByID(self._replaced_id) if self._replaced_id else None
        self.result = add_result(self._source, job.made, replaced)
        if job.deviation is not None:
            add_deviation(self._source, job.deviation, self.result)
        self._source, job.made, job.deviation = None, None, None  # large
        self.seconds = time.monotonic() - self._began


def _nothing(job: Job) -> None:
    """What becomes of a job in the scene that makes nothing for it."""


def _temporary() -> Path:
    return Path(slicer.app.temporaryPath)
