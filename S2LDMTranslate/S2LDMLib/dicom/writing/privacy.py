"""De-identification of what travels from a source: the Basic Profile of DICOM PS3.15 Annex E, by a library.

``dicom-anonymizer`` holds the standard's table. It is applied to the attributes that came from the source, before this
program adds its own: the profile would also remove the words and equipment that say that a series is synthetic, and
these are known to name no person.
"""

from __future__ import annotations

from importlib.metadata import version

from pydicom import Dataset

from ...errors import InputError

_PROFILE = ("113100", "Basic Application Confidentiality Profile")
# The series is described by this program; what the source was called does not travel.
_OPTION = ("113105", "Clean Descriptors Option")
_OF_THE_STUDY = ("StudyDate", "StudyTime")  # may be empty but not absent
_NOT_IN_THE_TABLE = "IssuerOfAccessionNumberSequence"  # names a hospital; the number itself is in it


class Anonymizer:
    """Removes from data sets what identifies a patient.

    A UID is replaced by a new random one: by the same one throughout this process, and by another in the next.
    """

    def __init__(self) -> None:
        """Raises InputError where the library is not installed."""
        try:
            from dicomanonymizer import simpledicomanonymizer as library
        except ImportError:
            raise InputError(
                "--anonymize needs the package dicom-anonymizer. Run pip install 'dicom-anonymizer>=2.1,<3'."
            ) from None
        self._library = library

    def clean(self, dataset: Dataset) -> None:
        """Remove in place what identifies the patient, and all dates and times; those of the study are left empty."""
        self._library.anonymize_dataset(dataset, base_rules_gen=self._library.initialize_actions_2024b)
        if _NOT_IN_THE_TABLE in dataset:
            delattr(dataset, _NOT_IN_THE_TABLE)
        for element in list(dataset):
            if element.VR not in ("DA", "TM", "DT"):
                continue
            if element.keyword in _OF_THE_STUDY:
                element.value = ""
            else:
                del dataset[element.tag]

    def uid(self, original: str) -> str:
        """The new UID that stands for the original one within this process."""
        return self._library.get_UID(original)

    def method(self) -> Dataset:
        """The attributes that say what was done."""
        result = Dataset()
        result.PatientIdentityRemoved = "YES"
        result.DeidentificationMethod = f"Basic Profile, PS3.15 Annex E; dicom-anonymizer {version('dicom-anonymizer')}"
        result.DeidentificationMethodCodeSequence = [code(*_PROFILE), code(*_OPTION)]
        result.LongitudinalTemporalInformationModified = "REMOVED"
        return result


def code(value: str, meaning: str) -> Dataset:
    """Make an item of a code sequence, of the coding scheme DCM (PS3.16 Annex D)."""
    result = Dataset()
    result.CodeValue, result.CodingSchemeDesignator, result.CodeMeaning = value, "DCM", meaning
    return result
