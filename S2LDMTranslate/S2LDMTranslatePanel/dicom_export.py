"""Export of a result as a DICOM series: what the panel asks for, how the job begins, and what the scene is told."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from S2LDMSlicerLib.errors import PanelError

from .jobs.engine_process import EngineProcess, Start
from .jobs.export_job import DicomExportJob, ExportRequest
from .scene.dicom_database import add_series
from .scene.dicom_hierarchy import file_under_its_study
from .scene.result_nodes import comes_from_dicom, is_result, provenance_of, source_files_of
from .scene.source_volume import copy_of

_UNFIT = re.compile(r'[\\/:*?"<>|\x00-\x1f]+')


def request_of(parameters: Any, folder: Path) -> ExportRequest:
    """What the panel's parameters ask for; what does not count for their result is left out.

    The engine takes patient and study from a DICOM source, and from the user only where there is none or it is to be
    anonymous.
    """
    from_dicom = comes_from_dicom(parameters.resultVolume)
    anonymize = from_dicom and parameters.anonymize
    own = {} if from_dicom and not anonymize else {
        "patient_name": parameters.patientName.strip(),
        "patient_id": parameters.patientId.strip(),
        "study_description": parameters.studyDescription.strip(),
    }  # fmt: skip
    return ExportRequest(folder, parameters.addToDatabase, parameters.burnIn, anonymize, **own)


class DicomExport:
    """One export: how it begins, and what becomes of it in the scene; for the thread of the scene.

    Args:
        result: a volume that this module made; its parent transform is not applied.

    Raises:
        PanelError: it is no result, the folder exists, or files of its source are gone.
    """

    def __init__(self, result: Any, request: ExportRequest) -> None:
        if not is_result(result):
            raise PanelError("No synthetic CT is chosen. Translate a volume, or choose a result.")
        if request.folder.exists():
            raise PanelError(f"{request.folder} exists. Choose another folder.")
        self._result, self._request = result, request
        self._sources = source_files_of(result)

    def job(self, temporary: Path, start: Start = EngineProcess) -> DicomExportJob:
        """The job that writes the series; it takes a copy of the voxels now."""
        copy, provenance = copy_of(self._result), provenance_of(self._result)
        return DicomExportJob(copy, provenance, self._sources, self._request, temporary, start)

    def finish(self, job: DicomExportJob) -> None:
        """The job is done: tell Slicer, where that is wanted; what Slicer refuses is told in ``job.warnings``."""
        if not self._request.add_to_database:
            return
        try:
            add_series(self._request.folder)
        except PanelError as error:
            job.warnings += (str(error),)
            return
        if self._result.GetScene() is not None and not self._request.anonymize:  # an anonymous one is of nobody here
            file_under_its_study(self._result, self._request.folder)


def free_folder(parent: Path, name: str) -> Path:
    """A folder in ``parent`` that does not exist yet, with a name that every system takes."""
    fit = " ".join(_UNFIT.sub(" ", name).split()).strip(" .") or "SYNTHETIC"
    count, folder = 1, parent / fit
    while folder.exists():
        count += 1
        folder = parent / f"{fit} {count}"
    return folder
