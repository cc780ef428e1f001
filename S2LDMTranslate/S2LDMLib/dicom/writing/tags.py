"""The attributes of a synthetic series: CT Image Storage of DICOM PS3.3 A.3, of a derived image.

From the source travels what :mod:`S2LDMLib.dicom.writing.allow_list` names; everything else is said here, and no
module of a contrast agent is: none was given.

UIDs are new and random every time (PS3.5 B.2): two exports differ in their times at least, and two instances that
differ must never share a UID, or an archive keeps one of them and drops the other.
"""

from __future__ import annotations

from datetime import datetime, tzinfo

from pydicom import Dataset
from pydicom.charset import python_encoding
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSNearLossless,
    generate_uid,
)
from pydicom.valuerep import format_number_as_ds

from ...about import NOTICE, PHASES
from ...volume.grid import AIR_HU
from ..reading.headers import number, text
from ..reading.series import DicomSeries
from ..reading.slices import DicomSlice
from .allow_list import OF_A_SLICE, OF_THE_SCANNER, OF_THE_SERIES, plane_of, taken
from .options import ExportOptions
from .placement import Placement
from .privacy import Anonymizer, code
from .provenance import MANUFACTURER, Provenance

UTF8 = "ISO_IR 192"
_LONG_STRING, _SHORT_TEXT = 64, 1024  # characters of LO and ST
_ALWAYS_LOSSY = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless)
# Attributes of type 2, which must be there: they are empty where the source has no value.
_MAY_BE_EMPTY = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID",
    "AccessionNumber", "ReferringPhysicianName", "PatientPosition", "PositionReferenceIndicator", "AcquisitionNumber",
    "KVP",
)  # fmt: skip
# Body parts of which there is one (PS3.16 Annex L), as far as a CT of the trunk is called after them.
_UNPAIRED = (
    "ABDOMEN", "ABDOMENPELVIS", "AORTA", "BLADDER", "CHEST", "CHESTABDOMEN", "CHESTABDPELVIS", "COLON", "CSPINE",
    "ESOPHAGUS", "GALLBLADDER", "HEAD", "HEADNECK", "HEART", "LIVER", "LSPINE", "LSSPINE", "MEDIASTINUM", "NECK",
    "NECKCHEST", "NECKCHESTABDOMEN", "NECKCHESTABDPELV", "PANCREAS", "PELVIS", "PROSTATE", "RECTUM", "SPINE",
    "SPLEEN", "STERNUM", "STOMACH", "TLSPINE", "TSPINE", "UTERUS", "WHOLEBODY",
)  # fmt: skip


class SeriesTags:
    """What the instances of one export say: what they share, and what each says of its slice."""

    def __init__(
        self, placement: Placement, source: DicomSeries | None, provenance: Provenance, options: ExportOptions
    ) -> None:
        self._placement, self._source, self._provenance, self._options = placement, source, provenance, options
        self._anonymizer = Anonymizer(options.anonymize_key) if options.anonymize else None
        self._shared = self._from_source(source) if source else self._new_study()
        self._add_equipment()
        self._add_description()
        self._add_image()
        self._numbers = self._instance_numbers()

    def of_slice(self, index: int) -> Dataset:
        """Every attribute of an instance but its pixel data."""
        result = Dataset()
        result.update(self._shared)
        result.SOPInstanceUID = generate_uid(prefix=None)
        result.InstanceNumber = self._numbers[index]
        sources = self._placement.sources[index]
        if sources:
            result.update(self._of_acquisition(sources))
            if references := [self._reference(one) for one in sources if _sop_instance_uid(one)]:
                result.SourceImageSequence = references
        self._add_plane(result, index)
        for keyword in _MAY_BE_EMPTY:
            if keyword not in result:
                setattr(result, keyword, None)
        if "Laterality" not in result and result.get("BodyPartExamined") not in _UNPAIRED:
            result.Laterality = None  # must be there where a part may be paired, and is not known
        return result

    def _from_source(self, source: DicomSeries) -> Dataset:
        """Patient and study of the source, or with ``anonymize`` what may be told of them."""
        header, options = source.slices[0].header, self._options
        result = taken(header, OF_THE_SERIES)
        if charset := _charset(header):
            result.SpecificCharacterSet = charset
        for keyword in ("StudyInstanceUID", "FrameOfReferenceUID"):
            if keyword not in result:
                setattr(result, keyword, generate_uid(prefix=None))
        if self._anonymizer:
            whose = text(header, "PatientID") or result.StudyInstanceUID
            self._anonymizer.clean(result)
            result.update(self._anonymizer.method())
            result.SpecificCharacterSet = UTF8
            result.PatientName = _fitted(options.patient_name) or "SYNTHETIC^ANONYMIZED"
            result.PatientID = _fitted(options.patient_id) or self._anonymizer.patient(whose)
            if described := _fitted(options.study_description):
                result.StudyDescription = described
        return result

    def _new_study(self) -> Dataset:
        """Patient and study of a source that is not DICOM; the default ID is new, so that no archive joins patients."""
        result, options, now = Dataset(), self._options, datetime.now()
        result.SpecificCharacterSet = UTF8
        result.StudyInstanceUID, result.FrameOfReferenceUID = generate_uid(prefix=None), generate_uid(prefix=None)
        result.PatientName = _fitted(options.patient_name) or "SYNTHETIC^NOT A REAL SCAN"
        result.PatientID = _fitted(options.patient_id) or f"SYNTHETIC-{result.StudyInstanceUID[-8:]}"
        result.StudyID = "SYNTHETIC"
        result.StudyDescription = _fitted(options.study_description) or "SYNTHETIC contrast-enhanced CT"
        result.StudyDate, result.StudyTime = _date(now), _time(now)
        return result

    def _add_equipment(self) -> None:
        """Say that this program made the images, and where the source was acquired."""
        facts, shared = self._provenance, self._shared
        shared.Manufacturer, shared.ManufacturerModelName = MANUFACTURER, _fitted(facts.model)
        shared.SoftwareVersions = [_fitted(facts.version), _fitted(facts.revision)]
        ours = Dataset()
        ours.PurposeOfReferenceCodeSequence = [code("109100", "Synthesizing Equipment")]
        for keyword in ("Manufacturer", "ManufacturerModelName", "SoftwareVersions"):
            ours.add(shared[keyword])
        ours.ContributionDescription = facts.entries()[:_SHORT_TEXT]
        shared.ContributingEquipmentSequence = [ours]
        scanner = taken(self._source.slices[0].header, OF_THE_SCANNER) if self._source else Dataset()
        if "Manufacturer" in scanner:
            scanner.PurposeOfReferenceCodeSequence = [code("109101", "Acquisition Equipment")]
            shared.ContributingEquipmentSequence.append(scanner)

    def _add_description(self) -> None:
        shared, facts = self._shared, self._provenance
        shared.SOPClassUID, shared.Modality = CTImageStorage, "CT"
        shared.SeriesInstanceUID = generate_uid(prefix=None)
        shared.SeriesNumber = self._series_number()
        described = f"SYNTHETIC {facts.phase} CECT"
        if self._source and not self._anonymizer:
            described += f" of {text(self._source.slices[0].header, 'SeriesDescription') or 'a series without a name'}"
        shared.SeriesDescription = _fitted(described)
        shared.SyntheticData, shared.ContentQualification = "YES", "RESEARCH"
        shared.ImageComments = f"{NOTICE}. Made by a model from a non-contrast CT; not a real scan."
        if not self._anonymizer:
            now = datetime.now().astimezone(_zone(shared))
            shared.SeriesDate = shared.ContentDate = shared.InstanceCreationDate = _date(now)
            shared.SeriesTime = shared.ContentTime = shared.InstanceCreationTime = _time(now)

    def _add_image(self) -> None:
        shared = self._shared
        shared.ImageType = ["DERIVED", "SECONDARY", "AXIAL", "SYNTHETIC"]
        words = self._provenance.sentences()
        if self._source and not self._placement.same_grid:
            shared.DerivationCodeSequence = [code("113085", "Spatial resampling")]
            words += " Resampled: the slices are not those of the source."
        if self._options.burn_in:
            words += " A label is written into the pixels of the upper left corner."
        if self._provenance.warnings:
            words += f" Warnings on the source: {self._provenance.warnings}"
        shared.DerivationDescription = words[:_SHORT_TEXT]
        burnt = self._options.burn_in or (self._source is not None and has_burnt_in_words(self._source))
        shared.BurnedInAnnotation = "YES" if burnt else "NO"
        shared.SamplesPerPixel, shared.PhotometricInterpretation = 1, "MONOCHROME2"
        shared.Columns, shared.Rows, _ = self._placement.size
        shared.BitsAllocated, shared.BitsStored, shared.HighBit, shared.PixelRepresentation = 16, 16, 15, 1
        shared.RescaleIntercept, shared.RescaleSlope, shared.RescaleType = "0", "1", "HU"
        shared.WindowCenter, shared.WindowWidth = "0", "400"

    def _series_number(self) -> int:
        """A number far from a scanner's, another for each phase: 90031 is the arterial phase of series 3."""
        phase = PHASES.index(self._provenance.phase) + 1 if self._provenance.phase in PHASES else 9
        of_source = number(self._source.slices[0].header, "SeriesNumber") if self._source else None
        return 90000 + 10 * (int(of_source or 0) % 1000) + phase

    def _instance_numbers(self) -> list[int]:
        """The source's own numbers where the slices are the same, so that both scroll alike in every viewer."""
        count = self._placement.size[2]
        if self._placement.same_grid:
            told = [number(sources[0].header, "InstanceNumber") for sources in self._placement.sources]
            distinct = {each: int(each) for each in told if each is not None}
            if len(distinct) == count:
                return list(distinct.values())
        return list(range(1, count + 1))

    def _of_acquisition(self, sources: tuple[DicomSlice, ...]) -> Dataset:
        result = taken(sources[0].header, OF_A_SLICE)
        if any(_is_lossy(one.header) for one in sources):
            result.LossyImageCompression = "01"
        if self._anonymizer:
            self._anonymizer.clean(result)
        return result

    def _reference(self, source: DicomSlice) -> Dataset:
        result = Dataset()
        kind = CTImageStorage if source.frame is None else EnhancedCTImageStorage
        result.ReferencedSOPClassUID = text(source.header, "SOPClassUID") or kind
        uid = _sop_instance_uid(source)
        result.ReferencedSOPInstanceUID = self._anonymizer.uid(uid) if self._anonymizer else uid
        if source.frame is not None:
            result.ReferencedFrameNumber = source.frame + 1
        result.PurposeOfReferenceCodeSequence = [code("121322", "Source image for image processing operation")]
        result.SpatialLocationsPreserved = "YES" if self._placement.same_grid else "NO"
        return result

    def _add_plane(self, result: Dataset, index: int) -> None:
        place = self._placement
        if place.same_grid:
            (source,) = place.sources[index]
            result.update(plane_of(source))
            if "PixelPaddingValue" in source.header:
                result.add_new("PixelPaddingValue", "SS", AIR_HU)  # what the reader makes of the source's
        x, y, z = place.image.GetSpacing()
        for keyword, values in (
            ("ImagePositionPatient", place.position(index)),
            ("ImageOrientationPatient", place.direction()),
            ("PixelSpacing", (y, x)),
            ("SliceThickness", (z,)),
        ):
            if keyword not in result:
                texts = [format_number_as_ds(float(value)) for value in values]
                setattr(result, keyword, texts if len(texts) > 1 else texts[0])
        if not place.same_grid:
            result.SpacingBetweenSlices = format_number_as_ds(z)


def _sop_instance_uid(source: DicomSlice) -> str:
    """The UID of a slice's file, or what the file meta group repeats where de-identification took the UID away."""
    return source.sop_instance_uid or source.header.file_meta.get("MediaStorageSOPInstanceUID", "")


def has_burnt_in_words(source: DicomSeries) -> bool:
    """Whether any slice of a series says that its pixels hold words."""
    return any(text(one.header, "BurnedInAnnotation") == "YES" for one in source.slices)


def _charset(header: Dataset) -> list[str]:
    """The source's own character set or none, so that the patient's name keeps its bytes; UTF-8 for an unknown one."""
    terms = text(header, "SpecificCharacterSet").split("\\")
    if not any(terms):
        return []
    return terms if all(term in python_encoding for term in terms) else [UTF8]


def _is_lossy(header: Dataset) -> bool:
    return text(header, "LossyImageCompression") == "01" or header.file_meta.TransferSyntaxUID in _ALWAYS_LOSSY


def _zone(dataset: Dataset) -> tzinfo | None:
    """The data set's own time zone, which holds for all its times; None for this computer's."""
    try:
        return datetime.strptime(text(dataset, "TimezoneOffsetFromUTC"), "%z").tzinfo
    except ValueError:
        return None


def _date(moment: datetime) -> str:
    return moment.strftime("%Y%m%d")


def _time(moment: datetime) -> str:
    return moment.strftime("%H%M%S")


def _fitted(text: str | None) -> str:
    """The text as DICOM's LO: no backslash, which divides values, no control characters, 64 characters at most."""
    printable = "".join(letter if letter.isprintable() else " " for letter in (text or "").replace("\\", "/"))
    return " ".join(printable.split())[:_LONG_STRING].strip()
