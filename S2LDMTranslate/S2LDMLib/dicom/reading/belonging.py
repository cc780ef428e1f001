"""Do the slices of a series belong together: one patient, one study, one pass of the scanner?

A SeriesInstanceUID does not answer it: anonymisers give several series one UID or none, and scanners file two passes or
phases as one series. Stacked by place alone, such slices make a volume of two patients, or of alternating phases.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from ...errors import InputError
from .headers import Header, number, text
from .slices import DicomSlice

_IDENTITY = ("PatientID", "PatientName", "PatientBirthDate", "StudyInstanceUID")
# What one reconstruction of one phase has in common, wherever its slices lie.
_SAME_THROUGHOUT = ("PatientPosition", "ConvolutionKernel", "ContrastBolusAgent")
# What may change from one part of the patient to the next, such as from step to step of a step-and-shoot scan.
_SAME_IN_A_PART = ("AcquisitionNumber", "KVP", "TableHeight", "ImageType")
_PAUSE_S = 5.0  # between two passes; slices of one pass follow one another faster


def check_one_patient(members: Sequence[Header]) -> tuple[str, ...]:
    """Compare who and which study the files of a series are of.

    Returns:
        Warnings, one sentence each: files that do not say it are taken along.

    Raises:
        InputError: they are of several patients or studies.
    """
    folder = members[0].path.parent
    told = {keyword: Counter(filter(None, (header.text(keyword) for header in members))) for keyword in _IDENTITY}
    for keyword, values in told.items():
        if len(values) > 1:
            what = "studies" if keyword == "StudyInstanceUID" else "patients"
            raise InputError(
                f"{folder}: the series holds slices of {len(values)} {what} ({keyword} differs: "
                f"{' and '.join(str(n) for n in values.values())} slices). Export the series of one patient and study."
            )
    silent = [keyword for keyword, values in told.items() if 0 < values.total() < len(members)]
    if not silent:
        return ()
    count = len(members) - told[silent[0]].total()
    return (f"Slices do not say whose they are, and are taken for those of the others: {count} lack {silent[0]}.",)


def check_one_pass(slices: Sequence[DicomSlice]) -> None:
    """Compare what the scanner says of the slices.

    Args:
        slices: in order of place; of a multi-frame file, which says it once, nothing is compared.

    Raises:
        InputError: they are of several passes, phases or reconstructions.
    """
    for keyword in _SAME_THROUGHOUT:
        values = Counter(filter(None, (text(one.header, keyword) for one in slices)))
        if len(values) > 1:
            raise InputError(_several(slices, keyword, _counted(values)))
    for keyword in _SAME_IN_A_PART:
        labels = [text(one.header, keyword) for one in slices]
        if _interleave(labels):
            raise InputError(_several(slices, keyword, _counted(Counter(labels))))
    passes = _passes(slices)
    if _interleave(passes):
        counts = ", ".join(f"{count} slices" for count in Counter(passes).values())
        raise InputError(_several(slices, "AcquisitionTime", f"passes of {counts}"))


def _interleave(labels: Sequence[str]) -> bool:
    """Whether slices of one label lie among those of another; slices without a label are passed over."""
    told = [label for label in labels if label]
    changes = sum(one != other for one, other in pairwise(told))
    return bool(told) and changes >= len(set(told))


def _passes(slices: Sequence[DicomSlice]) -> list[str]:
    """For each slice the number of its pass, told by the pauses between times; empty where a slice has no time."""
    times = [_seconds(one) for one in slices]
    known = sorted({time for time in times if time is not None})
    if len(known) < 2 or None in times:
        return []
    starts = [later for earlier, later in pairwise(known) if later - earlier > _PAUSE_S]
    return [str(sum(start <= time for start in starts)) for time in times if time is not None]


def _seconds(one: DicomSlice) -> float | None:
    """AcquisitionTime as seconds of the day."""
    value = number(one.header, "AcquisitionTime")
    if value is None:
        return None
    hours, rest = divmod(value, 10000)
    minutes, seconds = divmod(rest, 100)
    return hours * 3600 + minutes * 60 + seconds


def _counted(values: Counter[str]) -> str:
    shown = [f"{value!r} in {count}" for value, count in values.most_common(3)]
    return ", ".join(shown) + (", ..." if len(values) > 3 else "")


def _several(slices: Sequence[DicomSlice], keyword: str, found: str) -> str:
    return (
        f"{slices[0].path.parent}: the series holds slices of several passes, phases or reconstructions ({keyword}: "
        f"{found}). Export each as a series of its own."
    )
