"""Writes a synthetic volume as a DICOM series, one file a slice, all or nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from ...errors import Cancelled, InputError
from ...progress import OnProgress, Progress, remaining_s
from ..reading.headers import text
from ..reading.series import DicomSeries
from .burn_in import make_label
from .options import ExportOptions
from .output_folder import check_output_folder, refusals_of_the_disk, replacing_folder
from .placement import place
from .privacy import Anonymizer
from .provenance import Provenance
from .tags import SeriesTags, has_burnt_in_words


def write_series(
    image: sitk.Image, folder: str | Path, source: DicomSeries | None, provenance: Mapping[str, str],
    options: ExportOptions | None = None, on_progress: OnProgress | None = None,
    should_cancel: Callable[[], bool] | None = None,
) -> Path:  # fmt: skip
    """Write a synthetic CECT as CT Image Storage, uncompressed.

    Args:
        image: 3D, in HU. If it lies on the source's own grid, in any order of its axes, it is written slice for slice
            with the source's geometry; if not, with its own geometry, in axial slices.
        folder: the folder to make for the series; the one around it must be there.
        source: the series that the image was made from: its patient and study are kept. None for one that was not
            DICOM: a new study with what ``options`` give.
        provenance: entries of :meth:`S2LDMPipeline.provenance <S2LDMLib.pipeline.S2LDMPipeline.provenance>`.
        on_progress: called with a :class:`~S2LDMLib.progress.Progress` of the stage ``write`` after each slice.
        should_cancel: asked before each slice; True ends with :class:`~S2LDMLib.errors.Cancelled`.

    Returns:
        The folder.

    Raises:
        InputError: see :func:`~S2LDMLib.dicom.writing.output_folder.check_output_folder`, :func:`check_options` and
            :func:`~S2LDMLib.dicom.writing.placement.place`; or the disk refused, and then nothing is left behind.
        Cancelled: ``should_cancel`` said so; nothing is left behind.
    """
    options = options or ExportOptions()
    folder = check_output_folder(folder, options.overwrite)
    check_options(source, options)
    facts = Provenance.of(provenance)
    placement = place(image, source)
    tags = SeriesTags(placement, source, facts, options)
    columns, rows, count = placement.size
    label = make_label(("SYNTHETIC", facts.phase.upper()), columns, rows) if options.burn_in else np.empty((0, 0))
    start = time.monotonic()
    with replacing_folder(folder, options.overwrite) as partial:
        for index in range(count):
            if should_cancel and should_cancel():
                raise Cancelled("Cancelled; nothing was written.")
            instance, plane = tags.of_slice(index), placement.plane(index)
            plane[: label.shape[0], : label.shape[1]] = label
            instance.PixelData = plane.astype("<i2").tobytes()
            with refusals_of_the_disk(folder):
                _save(instance, partial / f"{index + 1:0{max(4, len(str(count)))}d}.dcm")
            if on_progress:
                done = (index + 1) / count
                on_progress(Progress("write", done, remaining_s(time.monotonic() - start, done)))
    return folder


def check_options(source: DicomSeries | None, options: ExportOptions) -> None:
    """Raises InputError for options that contradict the source or cannot be met; costs nothing."""
    names = {"--patient-name": options.patient_name, "--patient-id": options.patient_id}
    given = [name for name, value in {**names, "--study-description": options.study_description}.items() if value]
    if source is None:
        if options.anonymize:
            raise InputError(
                "--anonymize is for a DICOM source; a new study holds only what you give. Leave the option out."
            )
        return
    if text(source.slices[0].header, "SyntheticData") == "YES":
        raise InputError(f"Series {source.uid} is synthetic itself. Give the non-contrast series that was translated.")
    if options.anonymize_key and not options.anonymize:
        raise InputError("--anonymize-key is for --anonymize. Add it, or leave the key out.")
    if options.anonymize:
        Anonymizer(options.anonymize_key)  # refuses where its library or the key is missing
    if given and not options.anonymize:
        raise InputError(
            f"{given[0]} is for a source that is not DICOM; the series stays with its own patient and study. Leave it "
            "out, or add --anonymize."
        )
    if options.anonymize and has_burnt_in_words(source):
        raise InputError(
            f"Series {source.uid} has annotations burned into its pixels, which --anonymize cannot remove. Remove them "
            "first, or give another series."
        )


def _save(instance: Dataset, path: Path) -> None:
    instance.file_meta = FileMetaDataset()
    instance.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    instance.file_meta.MediaStorageSOPClassUID = instance.SOPClassUID
    instance.file_meta.MediaStorageSOPInstanceUID = instance.SOPInstanceUID
    whole = BytesIO()  # not the file itself: pydicom hides what a full disk says behind a traceback
    instance.save_as(whole, enforce_file_format=True)
    path.write_bytes(whole.getbuffer())
