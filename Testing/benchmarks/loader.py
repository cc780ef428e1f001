"""How long a training crop takes from prepared memory maps, against reading the same volumes from .nii.gz each time.

    python Testing/benchmarks/loader.py PREPARED [--case NAME] [--crop 48 256 256] [--crops 200]

PREPARED is a folder written by ``s2ldm-train prepare``. Every crop holds the NCCT and all phases of the case. Both ways
read through a warm page cache on one thread and give the same voxels, which is checked first. Conversion to float32 and
windowing cost the same after either way; they are told apart. Reading is to be 100 times faster at least.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch
from S2LDMLib.inference.preprocess import normalise
from S2LDMLib.model.config import PreprocessConfig
from S2LDMTrainerLib.data import Case, load_cases
from torch import Tensor

WINDOW = PreprocessConfig()

Box = tuple[slice, slice, slice]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prepared", type=Path, metavar="PREPARED")
    parser.add_argument("--case", help="default: the largest with an NCCT")
    parser.add_argument("--crop", type=int, nargs=3, default=(48, 256, 256), metavar=("Z", "Y", "X"))
    parser.add_argument("--crops", type=int, default=200, help="from memory maps; a twentieth of them from .nii.gz")
    args = parser.parse_args()
    torch.set_num_threads(1)
    cases = [case for case in load_cases(args.prepared) if case.phases and args.case in (None, case.name)]
    case = max(cases, key=lambda each: np.prod(each.shape))
    crop = tuple(min(size, most) for size, most in zip(args.crop, case.shape, strict=True))
    boxes = random_boxes(case.shape, crop, args.crops)
    with tempfile.TemporaryDirectory() as folder:
        for name in case.images():
            sitk.WriteImage(case.image(name), f"{folder}/{name}.nii.gz")

        def from_map(name: str, box: Box) -> np.ndarray:
            return case.volume(name)[box].copy()

        def from_file(name: str, box: Box) -> np.ndarray:
            return read_gz(Path(folder) / f"{name}.nii.gz")[box].copy()

        for name in case.images():
            assert np.array_equal(from_map(name, boxes[0]), from_file(name, boxes[0]))
        few = boxes[: max(3, args.crops // 20)]
        print(f"{case.name}: crops of {times(crop)} from all {len(case.images())} volumes of {times(case.shape)}")
        for title, finish in STEPS.items():
            maps = milliseconds(from_map, finish, case, boxes)
            files = milliseconds(from_file, finish, case, few)
            print(f"{title:<24} memory maps {maps:6.1f} ms, .nii.gz {files:7.1f} ms, ratio {files / maps:.0f}")


def random_boxes(shape: tuple[int, ...], crop: tuple[int, ...], count: int) -> list[Box]:
    """Seeded places of crops (z, y, x) in a volume."""
    rng = np.random.default_rng(0)
    starts = [[int(rng.integers(n - c + 1)) for n, c in zip(shape, crop, strict=True)] for _ in range(count)]
    return [tuple(slice(s, s + c) for s, c in zip(start, crop, strict=True)) for start in starts]


def read_only(hu: np.ndarray) -> np.ndarray:
    """The crop as it is stored, int16."""
    return hu


def to_float(hu: np.ndarray) -> Tensor:
    """The crop as float32."""
    return torch.from_numpy(hu).float()


def window(hu: np.ndarray) -> Tensor:
    """The crop windowed; in training this is done after augmentation, on the device."""
    return normalise(to_float(hu), WINDOW)


STEPS = {"read": read_only, "read, float32": to_float, "read, float32, windowed": window}


def read_gz(file: Path) -> np.ndarray:
    """The whole volume: a compressed file cannot be read in part."""
    return sitk.GetArrayFromImage(sitk.ReadImage(str(file)))


def milliseconds(
    load: Callable[[str, Box], np.ndarray], finish: Callable[[np.ndarray], object], case: Case, boxes: list[Box]
) -> float:
    """Median time of a crop of all volumes of a case."""
    spent = []
    for box in boxes:
        start = time.perf_counter()
        for name in case.images():
            finish(load(name, box))
        spent.append(time.perf_counter() - start)
    return 1000 * float(np.median(spent))


def times(shape: tuple[int, ...]) -> str:
    """A shape, as text."""
    return "x".join(map(str, shape))


if __name__ == "__main__":
    main()
