"""Which attributes of a source header travel into a synthetic series: these and no others.

What is not named here stays behind: private attributes, contrast agents, people, places and comments, whatever a
scanner or an archive may have written there. Names of modules are those of DICOM PS3.3.
"""

from __future__ import annotations

from contextlib import suppress
from copy import deepcopy

from pydicom import DataElement, Dataset, config, dcmread

from ..reading.headers import quiet_pydicom
from ..reading.slices import DicomSlice

# Patient, General Study, Patient Study, General Series, Frame of Reference: the same for the whole series.
OF_THE_SERIES = (
    "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "PatientIdentityRemoved",
    "DeidentificationMethod", "DeidentificationMethodCodeSequence", "LongitudinalTemporalInformationModified",
    "StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "StudyDescription", "AccessionNumber",
    "IssuerOfAccessionNumberSequence", "ReferringPhysicianName", "PatientAge", "PatientSize", "PatientWeight",
    "BodyPartExamined", "Laterality", "PatientPosition", "FrameOfReferenceUID", "PositionReferenceIndicator",
    "TimezoneOffsetFromUTC",
)  # fmt: skip
# General Acquisition and CT Image: how the source was acquired, which is part of what the pixels mean.
OF_A_SLICE = (
    "AcquisitionDate", "AcquisitionTime", "AcquisitionNumber", "KVP",
    "LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod",
)  # fmt: skip
# Image Plane: copied where slice and source slice are one, to the last digit of the source's own text.
OF_THE_PLANE = (
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "SliceLocation",
    "SpacingBetweenSlices",
)  # fmt: skip
# The scanner, for the item that tells where the source was acquired.
OF_THE_SCANNER = ("Manufacturer", "ManufacturerModelName")

_UNDECODABLE = "\ufffd"  # what decoding puts in the place of bytes that are no characters


def taken(header: Dataset, keywords: tuple[str, ...]) -> Dataset:
    """Make a data set of those attributes that the header has a value for: copies, which may be changed.

    A number that is none, such as a weight of "70 kg", stays behind.
    """
    result = Dataset()
    for keyword in keywords:
        with suppress(ValueError, TypeError, AttributeError, NotImplementedError), quiet_pydicom():
            if keyword in header and _is_usable(header[keyword]):
                result.add(_with_own_bytes(deepcopy(header[keyword]), header))
    result.remove_private_tags()  # within sequences
    return result


def _with_own_bytes(element: DataElement, header: Dataset) -> DataElement:
    """The element, with the bytes of its file where its text is not of the character set that the file declares.

    Decoded and encoded again, such a text becomes another one: the patient would get another name.
    """
    if _UNDECODABLE not in str(element.value):
        return element
    file = dcmread(header.filename, stop_before_pixels=True, force=True, specific_tags=[element.keyword])
    own = file.get_item(element.tag).value.rstrip(b" \0")
    if element.VR == "PN":
        element.value.original_string = own  # what pydicom writes for as long as the character set stays the same
        return element
    return DataElement(element.tag, element.VR, own, validation_mode=config.IGNORE)


def _is_usable(element: DataElement) -> bool:
    # pydicom leaves a string where it finds no number.
    return not element.is_empty and not (element.VR in ("DS", "IS") and isinstance(element.value, str))


def plane_of(source: DicomSlice) -> Dataset:
    """The Image Plane attributes of a slice; a frame of an enhanced file keeps them in its functional groups."""
    if source.frame is None:
        return taken(source.header, OF_THE_PLANE)
    groups = [source.header.PerFrameFunctionalGroupsSequence[source.frame]]
    groups += source.header.get("SharedFunctionalGroupsSequence") or []
    result = Dataset()
    for macro in ("PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence"):
        for items in (group.get(macro) for group in groups):
            if items:
                result.update(taken(items[0], OF_THE_PLANE))
                break
    return result
