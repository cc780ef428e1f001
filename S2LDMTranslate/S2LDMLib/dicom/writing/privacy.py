"""De-identification of what travels from a source: the Basic Profile of DICOM PS3.15 Annex E, by a library.

``dicom-anonymizer`` holds the standard's table. It is applied to the attributes that came from the source, before this
program adds its own: the profile would also remove the words and equipment that say that a series is synthetic, and
these are known to name no person.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from pydicom import Dataset

from ...errors import InputError
from .pseudonyms import Pseudonyms, default_key_file, read_key

_PROFILE = ("113100", "Basic Application Confidentiality Profile")
# The series is described by this program; what the source was called does not travel.
_OPTION = ("113105", "Clean Descriptors Option")
_OF_THE_STUDY = ("StudyDate", "StudyTime")  # may be empty but not absent
_NOT_IN_THE_TABLE = "IssuerOfAccessionNumberSequence"  # names a hospital; the number itself is in it


class Anonymizer:
    """Removes from data sets what identifies a patient.

    UIDs and the patient's ID become pseudonyms, the same ones for the same key: see :mod:`.pseudonyms`.
    """

    def __init__(self, key_file: Path | None) -> None:
        """Raises InputError where the library is not installed, or there is no key (None: the user's own)."""
        try:
            from dicomanonymizer import simpledicomanonymizer as library
        except ImportError:
            raise InputError(
                "--anonymize needs the package dicom-anonymizer. Run pip install 'dicom-anonymizer>=2.1,<3'."
            ) from None
        self._library = library
        self._pseudonyms = Pseudonyms(read_key(key_file or default_key_file()))

    def clean(self, dataset: Dataset) -> None:
        """Remove in place what identifies the patient, and all dates and times; those of the study are left empty."""
        for element in dataset.iterall():
            if element.VR == "UI":  # the library would draw new ones in each process
                originals = [element.value] if isinstance(element.value, str) else list(element.value or ())
                self._library.dictionary.update({original: self.uid(original) for original in originals})
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
        """The UID that stands for the original one."""
        return self._pseudonyms.uid(original)

    def patient(self, original: str) -> str:
        """The patient ID that stands for the original one."""
        return self._pseudonyms.patient(original)

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
