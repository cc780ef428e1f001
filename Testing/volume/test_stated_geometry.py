"""Volumes that do not say how the patient lies, or say it twice and differently, are refused; results keep it."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from S2LDMLib.errors import InputError, S2LDMWarning
from S2LDMLib.volume.files import read_file, write_volume

Header = bytearray
Change = Callable[[Header], None]


@pytest.fixture(scope="module")
def image() -> sitk.Image:
    image = sitk.GetImageFromArray(np.zeros((6, 12, 10), np.int16))
    image.SetSpacing((1.5, 1.5, 5.0))
    image.SetOrigin((-120.0, -80.0, 30.0))
    return image


def set_codes(q: int, s: int) -> Change:
    return lambda header: struct.pack_into("<2h", header, 252, q, s)


def set_spacing(z: float) -> Change:
    return lambda header: struct.pack_into("<f", header, 88, z)


def scale_sform(row: int, factor: float) -> Change:
    def change(header: Header) -> None:
        values = struct.unpack_from("<4f", header, 280 + 16 * row)
        struct.pack_into("<4f", header, 280 + 16 * row, *(factor * value for value in values))

    return change


def move_sform(mm: float) -> Change:
    return lambda header: struct.pack_into("<f", header, 292, struct.unpack_from("<f", header, 292)[0] + mm)


def written(image: sitk.Image, path: Path, *changes: Change) -> Path:
    sitk.WriteImage(image, str(path))
    content = bytearray(gzip.decompress(path.read_bytes()))
    for change in changes:
        change(content)
    path.write_bytes(gzip.compress(bytes(content)))
    return path


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ([set_codes(0, 0)], "how the patient lies"),
        ([set_spacing(0.0)], "cannot be right"),
        ([set_spacing(float("nan"))], "cannot be right"),
        ([set_spacing(1.0), set_codes(0, 1)], "two spacings"),
        ([scale_sform(2, -1)], "two places"),
        ([scale_sform(0, -1)], "two places"),
        ([move_sform(12)], "two places"),
        ([move_sform(float("nan"))], "no number"),
    ],
)
def test_nifti_geometry_that_is_missing_or_contradictory_is_refused(
    image: sitk.Image, changes: list[Change], word: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=word):
        read_file(written(image, tmp_path / "v.nii.gz", *changes))


@pytest.mark.parametrize("changes", [[], [set_codes(1, 0)], [set_codes(0, 1)], [set_codes(1, 4)], [move_sform(0.1)]])
def test_nifti_that_says_one_thing_is_read(image: sitk.Image, changes: list[Change], tmp_path: Path) -> None:
    found = read_file(written(image, tmp_path / "v.nii.gz", *changes))
    assert np.allclose(found.GetOrigin(), image.GetOrigin(), atol=0.2)


@pytest.mark.parametrize("codes", [(1, 0), (0, 1), (1, 1), (2, 1), (0, 4)])
def test_a_result_has_the_transforms_and_codes_of_its_source(
    image: sitk.Image, codes: tuple[int, int], tmp_path: Path
) -> None:
    source = written(image, tmp_path / "source.nii.gz", set_codes(*codes))
    write_volume(read_file(source), tmp_path / "result.nii.gz", like=source)
    one, other = (gzip.decompress((tmp_path / name).read_bytes()) for name in ("source.nii.gz", "result.nii.gz"))
    assert one[76:92] == other[76:92] and one[252:328] == other[252:328]
    assert np.allclose(read_file(tmp_path / "result.nii.gz").GetOrigin(), read_file(source).GetOrigin())


NRRD = "NRRD0004\ntype: short\ndimension: 3\nsizes: 4 4 4\nencoding: raw\nendian: little\n"
META = "NDims = 3\nDimSize = 4 4 4\nElementType = MET_SHORT\n"
SPACE = "space: left-posterior-superior\nspace origin: (0,0,0)\n"


@pytest.mark.parametrize(
    ("name", "header", "word"),
    [
        ("v.nrrd", NRRD + "spacings: 1 1 1\n\n", "how the patient lies"),
        ("v.nrrd", NRRD + "space dimension: 3\nspace directions: (1,0,0) (0,1,0) (0,0,1)\n\n", "how the patient lies"),
        ("v.nrrd", NRRD + SPACE + "space directions: (1,0,0) (0.3,1,0) (0,0,1)\n\n", "sheared"),
        ("v.nrrd", NRRD + SPACE + "space directions: (1,0,0) (0,0,0) (0,0,1)\n\n", "damaged|without a direction"),
        ("v.mha", META + "ElementSpacing = 1 1 1\nElementDataFile = LOCAL\n", "how the patient lies"),
        ("v.mha", META + "TransformMatrix = 1 0 0 0.3 1 0 0 0 1\nElementDataFile = LOCAL\n", "sheared"),
    ],
)
def test_nrrd_and_metaimage_say_it_too(name: str, header: str, word: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(header.encode() + bytes(128))
    with pytest.raises(InputError, match=word):
        read_file(tmp_path / name)


@pytest.mark.parametrize("extra", ["vector of one value", "one point in time"])
def test_an_axis_of_one_value_is_passed_over(image: sitk.Image, extra: str, tmp_path: Path) -> None:
    path = tmp_path / "v.nrrd"
    sitk.WriteImage(image, str(path), useCompression=False)
    header, _, voxels = path.read_bytes().partition(b"\n\n")
    first = extra.startswith("vector")
    lines = []
    for line in header.decode().splitlines():
        name, _, value = line.partition(": ")
        if name == "dimension":
            line = "dimension: 4"
        if name in ("sizes", "space directions", "kinds"):
            more = {"sizes": "1", "space directions": "none", "kinds": "vector" if first else "list"}[name]
            line = f"{name}: {more} {value}" if first else f"{name}: {value} {more}"
        lines.append(line)
    path.write_bytes("\n".join(lines).encode() + b"\n\n" + voxels)
    found = read_file(path)
    assert found.GetSize() == image.GetSize() and found.GetDimension() == 3 and found.GetSpacing() == image.GetSpacing()


def test_what_itk_says_of_a_file_reaches_the_user(image: sitk.Image, tmp_path: Path) -> None:
    file = written(image, tmp_path / "v.nii.gz", scale_sform(0, 1.005), set_codes(0, 1))
    with pytest.warns(S2LDMWarning, match="ITK says: .*sform"):
        read_file(file)
