"""Is an image a slice of CT values, or a scout, a projection through many slices, or a map of something else?

Sources: DICOM PS3.3, C.8.2.1 and C.8.15 (image types and units of CT), C.7.6.16.2.11 (real world values); PS3.16,
CID 84; conformance statements of GE, Siemens, Philips and Canon for the words that they use.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from pydicom import Dataset

from .headers import Header, quiet_pydicom, text

_CT_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.2",  # CT
    "1.2.840.10008.5.1.4.1.1.2.1",  # enhanced CT
    "1.2.840.10008.5.1.4.1.1.2.2",  # legacy converted enhanced CT
)
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_HU = re.compile(r"(US|HU_MOD|UNSPECIFIED)?|HU|\W*HNSF\W*U\W*|HOUNSFIELD( UNITS?)?", re.IGNORECASE)  # US: not told

# What an image is, by words of its ImageType; the first that matches counts. Of maps, those that are HU after all,
# such as virtual non-contrast and monoenergetic images, have other words.
_IMAGE_TYPES = (
    ("localizers (scouts)", r"LOCALI[SZ]ER|SCOUT|TOPOGRAM|SCANOGRAM|SURVIEW|SCANO"),
    ("projections (MIP)", r"MIP|MAX[ _]?IP|MAXIMUM([ _]INTENSITY.*)?|THIN[ _]MIP|.*[ _]MIP|MIP[ _].*"),
    ("projections (MinIP)", r"MIN[ _]?IP|MINIMUM([ _]INTENSITY.*)?|.*[ _]MIN[ _]?IP|MIN[ _]?IP[ _].*"),
    ("projections (average)", r"AVERAGE|AVG|AVE?[ _]?IP|MEAN|RAY[ _]?SUM|AVERAGE[ _](INTENSITY.*|PROJECTION)"),
    ("projections", r"PROJECTION|PROJECTION[ _]IMAGE|PJN|VOLUME[ _]REND.*|VRT|SSD"),
    ("perfusion maps", r".*PERFUSION.*|PERF([ _].*)?|R?CB[FV]|R?B[FV]|MTT|TT[PSD]|T_?MAX|BLOOD[ _]?(FLOW|VOLUME)"),
    ("iodine maps", r"(?!.*(REMOV|SUPPR|NO[ _]IODINE|[ _]FREE)).*IODINE.*"),
    ("maps of density or material", r"MAT_(SPECIFIC|FRACTIONAL|VALUE_BASED)|.*MATERIAL[ _]DENSITY.*|MD|GSI[ _]?MD|"
     r"ELECTRON[ _]?DENSITY|ELEC[ _]?DENS.*|RHO|EFF_ATOMIC_NUM|.*Z[ _-]?EFF.*|EFFECTIVE[ _]Z|URIC[ _]?ACID.*"),
    ("differences of images", r"SUBTRACTION|SUBTRACTED"),
)  # fmt: skip
# The same by words within a description of what was done, which is free text.
_DERIVATIONS = (
    ("projections (MinIP)", r"\bmin(imum)?[ -]?(ip|intensity)"),
    ("projections (MIP)", r"\bmip\b|\bmax(imum)?[ -]?(ip|intensity)"),
    ("projections (average)", r"\b(average|avg|avip)\b|\bmean[ -](ip\b|intensity|projection)|\bray[ -]?sum\b"),
    ("perfusion maps", r"\bperfusion|\bblood (flow|volume)\b|\bcb[fv]\b|\bmtt\b|\btmax\b"),
    ("iodine maps", r"\biodine (map|density|overlay|image|no water)|\biodine\W*$"),
)  # fmt: skip
_MACROS = ("PixelValueTransformationSequence", "CTImageFrameTypeSequence")
_SCOUT = r"\W*(scout|topogram|surview|scanogram|locali[sz]er)\b"


def problem_of(header: Header) -> str:
    """Why an image is no slice of a CT volume in HU, in words such as ``localizers (scouts)``; empty where it is."""
    modality, kind = header.text("Modality").upper(), header.sop_class
    if modality not in ("", "CT"):
        return f"{modality} images"
    if kind.startswith(_SECONDARY_CAPTURE):
        return "secondary captures (screen pictures)"
    if kind not in ("", *_CT_CLASSES):
        return "other objects"
    groups = _groups(header.dataset)
    frame_types = (text(group, "FrameType") for group in groups)
    types = filter(None, [header.text("ImageType"), *frame_types])
    return next(filter(None, map(_by_image_type, types)), "") or _by_description(header) or _by_unit(groups)


def is_hu(unit: str) -> bool:
    """Whether a RescaleType or a code of a unit means HU, or tells nothing."""
    return _HU.fullmatch(unit.strip()) is not None


@lru_cache(maxsize=64)
def _by_image_type(told: str) -> str:
    words = [word.strip() for word in told.upper().split("\\")]
    return next((what for what, pattern in _IMAGE_TYPES if any(re.fullmatch(pattern, word) for word in words)), "")


def _by_description(header: Header) -> str:
    done = header.text("DerivationDescription")
    by_derivation = next((what for what, pattern in _DERIVATIONS if re.search(pattern, done, re.IGNORECASE)), "")
    if by_derivation or not re.match(_SCOUT, header.text("SeriesDescription"), re.IGNORECASE):
        return by_derivation
    return "localizers (scouts)"


def _by_unit(groups: Sequence[Dataset]) -> str:
    """By the unit of the rescale, or that of all real world values."""
    rescale = next((text(group, "RescaleType") for group in groups if "RescaleType" in group), "")
    if not is_hu(rescale):
        return f"maps in {rescale} and not in HU"
    mappings = _items(groups, "RealWorldValueMappingSequence")
    codes = _items(mappings, "MeasurementUnitsCodeSequence")
    units = [text(code, "CodeValue") or text(code, "CodeMeaning") for code in codes]
    if units and not any(map(is_hu, units)):
        return f"maps in {units[0]} and not in HU"
    return ""


def _groups(dataset: Dataset) -> list[Dataset]:
    """The data set, and the functional groups that all frames share and those of the first one."""
    items = [
        item
        for keyword in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
        for item in _items([dataset], keyword)[:1]
    ]
    return [dataset, *items, *(part for item in items for keyword in _MACROS for part in _items([item], keyword))]


def _items(groups: Sequence[Dataset], keyword: str) -> list[Dataset]:
    """The items of a sequence in any of the data sets; none where it is damaged."""
    try:
        with quiet_pydicom():
            return [item for group in groups if keyword in group for item in group[keyword].value or ()]
    except Exception:  # pydicom raises anything on damaged sequences
        return []
