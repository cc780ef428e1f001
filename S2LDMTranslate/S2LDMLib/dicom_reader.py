"""One DICOM CT series of a folder as a volume in HU; refuses every stack that would not be what it seems.

A DICOM folder guarantees nothing: slices may be missing, doubled, sheared by a tilted gantry or without HU. ITK's
series reader stacks them all the same, evenly spaced. So the headers are read and judged here first; pixels are
then decoded slice by slice by GDCM, which applies each slice's own rescale.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from .errors import InputError
from .quiet import quiet_itk

_TILT_DEGREES = 0.2  # 0.7 mm of shear over 200 mm
_DUPLICATE_MM = 0.01
_UNEVEN = 0.05  # of the slice distance; scanners round positions to 0.1 mm at worst
_SAME_DIRECTION = 1e-3
_CT_CLASSES = ("", "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1")  # unknown, CT, enhanced CT
_HEAD_BYTES = 1024  # holds the file meta group


@dataclass(frozen=True)
class _Slice:
    """What one file's header says; lengths in mm, patient coordinates LPS."""

    path: Path
    uid: str
    description: str
    modality: str
    scout: bool
    has_rescale: bool
    size: tuple[int, ...]  # columns, rows, frames
    spacing: tuple[float, ...]  # between columns, between rows
    position: np.ndarray  # (3,), empty where the header has none
    direction: np.ndarray  # (6,) along a row, along a column; empty where the header has none


def read_dicom_folder(folder: Path, series_uid: str | None = None) -> sitk.Image:
    """Reads one CT series.

    Args:
        folder: holds the files of one or more series; sub-folders are searched if none lie directly in it.
        series_uid: SeriesInstanceUID, needed where there are several CT series.

    Returns:
        3D image in HU, slices in increasing order along row x column; int16, or float32 where HU are no integers.

    Raises:
        InputError: no, several or unreadable CT series; missing, double, uneven or sheared slices; no HU.
    """
    slices = _choose(_read_headers(folder), series_uid, folder)
    ordered = _in_order(slices, folder)
    return _stack(ordered)


def _read_headers(folder: Path) -> list[_Slice]:
    try:
        direct = [path for path in sorted(folder.iterdir()) if path.is_file()]
        slices = _headers_of(direct)
        if not slices:
            below = [Path(root) / name for root, _, names in os.walk(folder) for name in names]
            slices = _headers_of(sorted(set(below) - set(direct)))
    except OSError as error:
        raise InputError(f"{folder} cannot be read: {error.strerror}. Check its permissions.") from error
    if not slices:
        raise InputError(f"{folder} holds no DICOM image. Give the folder with the files of one CT series.")
    return slices


def _headers_of(paths: list[Path]) -> list[_Slice]:
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    found = []
    for path in paths:
        kind = _dicom_class(path)
        if kind is None:
            continue
        reader.SetFileName(str(path))
        try:
            with quiet_itk():
                reader.ReadImageInformation()
        except RuntimeError as error:
            if kind in _CT_CLASSES:
                raise InputError(_unreadable(path)) from error
            continue  # reports, segmentations and the like hold no image
        found.append(_header(path, reader))
    return found


def _dicom_class(path: Path) -> str | None:
    """SOP class of a DICOM file, "" where it is not told; None for any other file."""
    if path.name.upper() == "DICOMDIR":
        return None
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if head[128:132] != b"DICM":
        return "" if path.suffix.lower() in (".dcm", ".ima") else None
    match = re.search(rb"\x02\x00\x02\x00UI..([0-9.]+)", head, re.DOTALL)
    return match.group(1).decode() if match else ""


def _header(path: Path, reader: sitk.ImageFileReader) -> _Slice:
    def text(tag: str) -> str:
        value = reader.GetMetaData(tag) if reader.HasMetaDataKey(tag) else ""
        return value.encode("utf-8", "replace").decode().strip(" \0")

    def numbers(tag: str, count: int) -> np.ndarray:
        try:
            values = np.array([float(part) for part in text(tag).split("\\")])
        except ValueError:
            return np.empty(0)
        return values if len(values) == count and np.isfinite(values).all() else np.empty(0)

    return _Slice(
        path=path,
        uid=text("0020|000e"),
        description=text("0008|103e"),
        modality=text("0008|0060"),
        scout="LOCALIZER" in text("0008|0008").upper(),
        has_rescale=bool(text("0028|1052") and text("0028|1053")),
        size=tuple(reader.GetSize()),
        spacing=tuple(reader.GetSpacing()[:2]),
        position=numbers("0020|0032", 3),
        direction=numbers("0020|0037", 6),
    )


def _choose(slices: list[_Slice], series_uid: str | None, folder: Path) -> list[_Slice]:
    series: dict[str, list[_Slice]] = defaultdict(list)
    for one in slices:
        if series_uid in (None, one.uid) and not one.scout:
            series[one.uid].append(one)
    if not series and series_uid is not None:
        everything: dict[str, list[_Slice]] = defaultdict(list)
        for one in slices:
            everything[one.uid].append(one)
        raise InputError(f"{folder} holds no series {series_uid}. Choose one of: {_listing(everything)}.")
    ct = {uid: members for uid, members in series.items() if members[0].modality == "CT"}
    if not ct:
        kinds = ", ".join(sorted({members[0].modality or "unnamed" for members in series.values()})) or "localizer"
        raise InputError(f"{folder} holds no CT slices, only {kinds} images. Give a non-contrast CT series.")
    if len(ct) > 1:
        raise InputError(f"{folder} holds {len(ct)} CT series. Choose one with --series UID: {_listing(ct)}.")
    return next(iter(ct.values()))


def _listing(series: dict[str, list[_Slice]]) -> str:
    return "; ".join(
        f'{uid or "(no UID)"} "{members[0].description or "no description"}" ({len(members)} slices)'
        for uid, members in sorted(series.items())
    )


def _in_order(slices: list[_Slice], folder: Path) -> list[_Slice]:
    """The slices along row x column, after every check that headers allow."""
    first = slices[0]
    for one in slices:
        _check_header(one, first)
    if len(slices) == 1:
        raise InputError(f"{folder} holds one slice of the series ({first.path.name}). Give the whole series.")
    normal = np.cross(first.direction[:3], first.direction[3:])
    places = np.array([one.position @ normal for one in slices])
    order = np.argsort(places, kind="stable")
    ordered = [slices[index] for index in order]
    _check_distances(ordered, places[order])
    _check_tilt(ordered, normal)
    return ordered


def _check_header(one: _Slice, first: _Slice) -> None:
    path = one.path
    if len(one.size) > 2 and one.size[2] > 1:
        raise InputError(f"{path} holds {one.size[2]} frames. Load it in Slicer, save it as .nrrd and give that file.")
    if not one.has_rescale:
        raise InputError(f"{path} has no rescale tags, so it is not in HU. Export the series anew from its archive.")
    if not one.position.size or not one.direction.size:
        raise InputError(f"{path} does not tell its position or orientation. Export the series anew from its archive.")
    if one.size != first.size or not np.allclose(one.spacing, first.spacing, rtol=1e-3):
        raise InputError(
            f"{path} and {first.path.name} differ in matrix size or pixel spacing. Give a series of one kind of slice."
        )
    if np.abs(one.direction - first.direction).max() > _SAME_DIRECTION:
        raise InputError(
            f"{path} and {first.path.name} differ in orientation. Remove the slices that are not of the stack."
        )


def _check_distances(ordered: list[_Slice], places: np.ndarray) -> None:
    steps = np.diff(places)
    names = [one.path.name for one in ordered]
    folder = ordered[0].path.parent
    double = np.flatnonzero(steps < _DUPLICATE_MM)
    if len(double):
        at = double[0]
        raise InputError(
            f"{folder}: {len(double)} slices lie where another one does, such as {names[at]} and {names[at + 1]} "
            f"({places[at]:.1f} mm). Remove the duplicates, or give a series of one phase."
        )
    usual = float(np.median(steps))
    uneven = np.flatnonzero(np.abs(steps - usual) > max(_DUPLICATE_MM, _UNEVEN * usual))
    if not len(uneven):
        return
    at = uneven[0]
    where = f"between {names[at]} and {names[at + 1]} ({places[at]:.1f} to {places[at + 1]:.1f} mm)"
    ratio = steps[uneven] / usual
    if (ratio > 1.5).all() and np.abs(ratio - np.round(ratio)).max() < 0.1:
        missing = int(np.round(ratio).sum()) - len(ratio)
        raise InputError(f"{folder}: {missing} slices are missing, the first {where}. Give the whole series.")
    raise InputError(
        f"{folder}: slices are unevenly spaced, {steps[at]:.2f} mm {where} and {usual:.2f} mm elsewhere. "
        "Resample the series in Slicer to even slices and give that volume."
    )


def _check_tilt(ordered: list[_Slice], normal: np.ndarray) -> None:
    way = ordered[-1].position - ordered[0].position
    angle = np.degrees(np.arctan2(np.linalg.norm(np.cross(way, normal)), way @ normal))
    if angle > _TILT_DEGREES:
        raise InputError(
            f"{ordered[0].path.parent}: slices are sheared by {angle:.1f} degrees (gantry tilt) and would be warped "
            "in silence. Load the series in Slicer with DICOM option 'Acquisition geometry regularization: apply "
            "regularization transform', harden the transform, and give that volume."
        )


def _stack(ordered: list[_Slice]) -> sitk.Image:
    columns, rows = ordered[0].size[:2]
    voxels = np.empty((len(ordered), rows, columns), np.int16)
    for index, one in enumerate(ordered):
        plane = _decode(one.path)
        if voxels.dtype == np.int16 and not _fits_int16(plane):
            voxels = voxels.astype(np.float32)
        voxels[index] = plane
    image = sitk.GetImageFromArray(voxels)
    first, last = ordered[0], ordered[-1]
    row, column = first.direction[:3], first.direction[3:]
    normal = np.cross(row, column)
    step = float((last.position - first.position) @ normal) / (len(ordered) - 1)
    image.SetSpacing((*first.spacing, step))
    image.SetOrigin(first.position.tolist())
    image.SetDirection(np.stack([row, column, normal], axis=1).ravel().tolist())
    return image


def _decode(path: Path) -> np.ndarray:
    """(rows, columns) in HU; GDCM applies the slice's own rescale."""
    try:
        with quiet_itk():
            pixels = sitk.GetArrayFromImage(sitk.ReadImage(str(path), imageIO="GDCMImageIO"))
    except RuntimeError as error:
        raise InputError(_unreadable(path)) from error
    if pixels.ndim != 3:
        raise InputError(f"{path} is a colour image. Give a CT series.")
    return pixels[0]


def _fits_int16(plane: np.ndarray) -> bool:
    limits = np.iinfo(np.int16)
    whole = np.issubdtype(plane.dtype, np.integer) or bool((plane == np.rint(plane)).all())
    return whole and plane.min() >= limits.min and plane.max() <= limits.max


def _unreadable(path: Path) -> str:
    return f"{path} is damaged, truncated or of an unknown compression. Copy or export the file anew."
