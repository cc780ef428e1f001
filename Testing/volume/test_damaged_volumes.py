"""Compressed volumes that are damaged or too short are refused, whatever ITK would make of them."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from S2LDMLib.errors import InputError
from S2LDMLib.volume.files import read_file

ENDINGS = (".nrrd", ".mha", ".nii.gz")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One volume in every format, compressed; detached ones with their data beside them."""
    folder = tmp_path_factory.mktemp("written")
    values = np.random.default_rng(0).integers(-1000, 1000, (8, 16, 16)).astype(np.int16)
    image = sitk.GetImageFromArray(values)
    for ending in (*ENDINGS, ".nhdr", ".mhd"):
        sitk.WriteImage(image, str(folder / f"v{ending}"), useCompression=True)
    sitk.WriteImage(image, str(folder / "plain.mha"), useCompression=False)
    sitk.WriteImage(image, str(folder / "plain.nrrd"), useCompression=False)
    return folder


def refuses(path: Path) -> bool:
    try:
        read_file(path)
    except InputError as error:
        assert "damaged" in str(error)
        return True
    return False


@pytest.mark.parametrize("name", [*(f"v{ending}" for ending in (*ENDINGS, ".nhdr", ".mhd")), "plain.mha", "plain.nrrd"])
def test_a_whole_volume_is_read(written: Path, name: str) -> None:
    expected = sitk.GetArrayFromImage(sitk.ReadImage(str(written / "plain.nrrd")))
    assert (sitk.GetArrayFromImage(read_file(written / name)) == expected).all()


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_flipped_bit_is_refused_or_changes_nothing(written: Path, ending: str, tmp_path: Path) -> None:
    content, path = (written / f"v{ending}").read_bytes(), tmp_path / f"v{ending}"
    good = sitk.GetArrayFromImage(read_file(written / f"v{ending}"))
    refused, rng = 0, random.Random(0)
    for _ in range(60):
        damaged = bytearray(content)
        damaged[rng.randrange(len(content) // 2, len(content))] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        if refuses(path):
            refused += 1
        else:
            assert (sitk.GetArrayFromImage(read_file(path)) == good).all()
    assert refused >= 58


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("kept", [0.6, 0.95])
@pytest.mark.parametrize("zeroed", [True, False], ids=["zeroed", "cut"])
def test_a_lost_tail_is_refused(written: Path, ending: str, kept: float, zeroed: bool, tmp_path: Path) -> None:
    content = (written / f"v{ending}").read_bytes()
    end = int(kept * len(content))
    (tmp_path / f"v{ending}").write_bytes(content[:end] + (bytes(len(content) - end) if zeroed else b""))
    assert refuses(tmp_path / f"v{ending}")


@pytest.mark.parametrize("name", ["plain.mha", "plain.nrrd"])
def test_plain_voxels_that_end_too_early_are_refused(written: Path, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes((written / name).read_bytes()[:-40])
    assert refuses(tmp_path / name)


@pytest.mark.parametrize(("header", "data"), [("v.mhd", "v.zraw"), ("v.nhdr", "v.raw.gz")])
def test_the_data_of_a_detached_header_are_checked_too(written: Path, header: str, data: str, tmp_path: Path) -> None:
    content = (written / data).read_bytes()
    words = (written / header).read_text().splitlines()
    # Without the size, which some writers leave out, ITK takes what is there.
    (tmp_path / header).write_text("\n".join(w for w in words if not w.startswith("CompressedDataSize")) + "\n")
    (tmp_path / data).write_bytes(content[: len(content) * 6 // 10])
    assert refuses(tmp_path / header)
    (tmp_path / data).unlink()
    with pytest.raises(InputError):
        read_file(tmp_path / header)


def test_a_list_of_slices_that_is_too_short_is_refused(tmp_path: Path) -> None:
    plane = np.arange(64, dtype=np.int16).tobytes()
    header = "ObjectType = Image\nNDims = 3\nDimSize = 8 8 3\nElementType = MET_SHORT\nElementSpacing = 1 1 1\n"
    header += "TransformMatrix = 1 0 0 0 1 0 0 0 1\nOffset = 0 0 0\nElementDataFile = LIST\n"
    for name in ("a.raw", "b.raw", "c.raw"):
        (tmp_path / name).write_bytes(plane)
    (tmp_path / "whole.mhd").write_text(header + "a.raw\nb.raw\nc.raw\n")
    (tmp_path / "short.mhd").write_text(header + "a.raw\nb.raw\n")
    assert read_file(tmp_path / "whole.mhd").GetSize() == (8, 8, 3) and refuses(tmp_path / "short.mhd")
