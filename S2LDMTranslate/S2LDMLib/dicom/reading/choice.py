"""Which series of a folder is meant: what there is, what may be translated, and which one was asked for."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...errors import InputError
from .headers import Header, number
from .usable import problem_of

_HINTS = (  # the first that matches counts
    ("without contrast", r"non[ -]?con|without|w/?o\b|unenhanced|\bncct\b|\bpre\b|\bplain\b|\bnati[vf]e?\b|\bsans\b"),
    ("arterial", r"\barter|\bart\b|\bhap\b|\bcta\b"),
    ("venous", r"\bven(?!t)|\bport(al|o)|\bport\b|\bpv(p|ph)?\b"),
    ("delayed", r"\bdelay|\blate\b|\bequil|\btardi|\bsp[aä]t"),
    ("contrast", r"\bcontrast\b|\bpost\b(?!-?op)|\d ?-?phase|\bc\+|\bce\b|\bw/? ?c\b"),
)


@dataclass(frozen=True)
class SeriesSummary:
    """One series of a folder, for a person to choose from.

    Attributes:
        uid, description, modality: what the headers say, empty where they do not tell.
        number: SeriesNumber, None where there is none.
        slices: how many images it holds; each frame of a multi-frame file counts.
        phase_hint: ``arterial``, ``venous``, ``delayed``, ``contrast``, ``without contrast`` or empty: what the
            descriptions and the contrast agent tell, which may be wrong.
        synthetic: whether it says that a program made it up.
        problem: why it cannot be translated, such as ``a localizer``; empty for a CT series.
    """

    uid: str
    description: str
    modality: str
    number: int | None
    slices: int
    phase_hint: str
    synthetic: bool
    problem: str

    def __str__(self) -> str:
        told = [f"{self.slices} slices", self.phase_hint, "synthetic" if self.synthetic else "", self.problem]
        described = f'"{self.description}"' if self.description else '"no description"'
        return f"{self.uid or '(no UID)'} {described} ({', '.join(filter(None, told))})"


def by_series(headers: Sequence[Header]) -> dict[str, list[Header]]:
    """Sort images by SeriesInstanceUID, in the order of the UIDs; reports, plans and the like are left out.

    Raises:
        InputError: a CT file ends before its pixels begin.
    """
    series: dict[str, list[Header]] = defaultdict(list)
    for header in headers:
        uid = header.text("SeriesInstanceUID")
        if header.has_pixels:
            series[uid].append(header)
        elif is_ct(header) or not uid:  # what it says of its series may be cut off too
            raise InputError(f"{header.path} holds no pixel data, or is truncated. Copy or export the file anew.")
    return dict(sorted(series.items()))


def summarise(uid: str, headers: Sequence[Header]) -> SeriesSummary:
    """Sum up what a person needs to know of a series."""
    problems = [problem_of(header) for header in headers]
    first = headers[problems.index("")] if "" in problems else headers[0]
    told = number(first.dataset, "SeriesNumber")
    return SeriesSummary(
        uid=uid,
        description=first.text("SeriesDescription"),
        modality=first.text("Modality"),
        number=None if told is None else int(told),
        slices=sum(int(number(header.dataset, "NumberOfFrames") or 1) for header in headers),
        phase_hint=_phase_hint(first),
        synthetic=first.text("SyntheticData").upper() == "YES" or "SYNTHETIC" in first.text("ImageType").upper(),
        problem="" if "" in problems else problems[0],
    )


def is_ct(header: Header) -> bool:
    """Whether the file is a CT image that may be a slice of a volume."""
    return not problem_of(header)


def choose(
    series: Mapping[str, Sequence[Header]], series_uid: str | None, where: str
) -> tuple[list[Header], tuple[str, ...]]:
    """The CT images of the series that is meant, and what to warn of; its localizers and captures are left out.

    Args:
        series: what :func:`by_series` returned.
        series_uid: SeriesInstanceUID of the one that is meant; None where there is only one.
        where: the folder or file, for messages.

    Raises:
        InputError: no such series, no CT series, or several and none is chosen.
    """
    summaries = [summarise(uid, headers) for uid, headers in series.items()]
    if not summaries:
        raise InputError(f"{where} holds no DICOM image. Give the folder with the files of one CT series.")
    usable = [summary for summary in summaries if not summary.problem]
    chosen: SeriesSummary | None
    if series_uid is None:
        chosen = _only(usable, summaries, where)
    else:
        chosen = next((summary for summary in summaries if summary.uid == series_uid), None)
    if chosen is None:
        raise InputError(f"{where} holds no series {series_uid}. Choose one of: {_listing(usable or summaries)}.")
    if chosen.problem:
        choices = f" Choose one of: {_listing(usable)}." if usable else " Give a non-contrast CT series."
        raise InputError(f"{where}: the series {series_uid} is not a CT but {chosen.problem}.{choices}")
    members = [header for header in series[chosen.uid] if is_ct(header)]
    others = len(series[chosen.uid]) - len(members)
    left_out = f"Images of the series that are no CT slices, such as localizers, are left out: {others}."
    already = "The series is synthetic already. Give the scan that it was made from."
    return members, (*([left_out] if others else []), *([already] if chosen.synthetic else []))


def _only(usable: Sequence[SeriesSummary], summaries: Sequence[SeriesSummary], where: str) -> SeriesSummary:
    if not usable:
        kinds = ", ".join(sorted({summary.problem for summary in summaries}))
        raise InputError(f"{where} holds no CT slices, only {kinds}. Give a non-contrast CT series.")
    # Our own output beside its source is not what anyone wants to translate.
    real = [summary for summary in usable if not summary.synthetic] or usable
    if len(real) > 1:
        raise InputError(f"{where} holds {len(real)} CT series. Choose one with --series UID: {_listing(real)}.")
    return real[0]


def _listing(summaries: Sequence[SeriesSummary]) -> str:
    return "; ".join(map(str, summaries))


def _phase_hint(header: Header) -> str:
    for keyword in ("SeriesDescription", "ProtocolName", "AcquisitionComments", "ImageComments"):
        words = header.text(keyword).replace("_", " ")
        hint = next((name for name, pattern in _HINTS if re.search(pattern, words, re.IGNORECASE)), None)
        if hint:
            return hint
    return "contrast" if header.text("ContrastBolusAgent") else ""
