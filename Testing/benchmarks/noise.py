"""What noise does to a translation: enhancement of real NCCTs with noise added, against the same without.

    python Testing/benchmarks/noise.py PAIRS SESSION... [--model MODEL] [--sd HU...]

PAIRS holds rois.json and a folder a session with ncct.nii.gz, such as the project's shared data. The table in
S2LDMLib/noise.py, and its limit, are from here: run it again for another model.
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from S2LDMLib.guard.coarse_scan import coarse_scan
from S2LDMLib.guard.noise import noise_for_model
from S2LDMLib.pipeline import S2LDMPipeline

BODY_HU = -500
SOFT_HU = (0, 110)
SMOOTH_MM = 2.4
FAR_OFF_HU = 40


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("sessions", nargs="+")
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--sd", type=float, nargs="+", default=[10, 20, 30, 40, 80])
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    pipeline = S2LDMPipeline.from_pretrained(args.model)
    rois = json.loads((args.pairs / "rois.json").read_text())
    for session in args.sessions:
        ncct = sitk.ReadImage(str(args.pairs / session / "ncct.nii.gz"))
        masks = {organ: _discs(ncct, discs) for organ, discs in rois[session].items()}
        _rows(pipeline, ncct, session, masks, args.sd)


def _rows(
    pipeline: S2LDMPipeline, ncct: sitk.Image, session: str, masks: dict[str, np.ndarray], deviations: list[float]
) -> None:
    hu = sitk.GetArrayFromImage(ncct).astype(np.float32)
    smooth = _smooth(hu, SMOOTH_MM / ncct.GetSpacing()[0])
    soft = _eroded((smooth > SOFT_HU[0]) & (smooth < SOFT_HU[1]))
    clean = {phase: _enhancement(pipeline, hu, ncct, phase) for phase in pipeline.config.phases}
    for kind, sd in [("none", 0.0), *(("white", sd) for sd in deviations), *(("coarse", sd) for sd in deviations)]:
        noise = np.random.default_rng(1).normal(0, 1, hu.shape).astype(np.float32)
        if kind == "coarse":
            noise = _smooth(noise, 1.0)
            noise /= noise.std()
        noisy = np.clip(np.rint(hu + sd * noise * (smooth > BODY_HU)), -1024, 3000)
        read = noise_for_model(coarse_scan(_like(noisy, ncct)))
        for phase in pipeline.config.phases:
            found = _enhancement(pipeline, noisy, ncct, phase)
            off = np.abs(found - clean[phase])[soft]
            organs = ", ".join(f"{organ} {found[mask].mean():.0f}" for organ, mask in masks.items())
            print(
                f"{session} {kind} {sd:g} HU, read as {read:.1f}: {phase}: {organs}; soft tissue off by "
                f"{off.mean():.1f} HU, {(off > FAR_OFF_HU).mean():.1%} by more than {FAR_OFF_HU}", flush=True,
            )  # fmt: skip


def _enhancement(pipeline: S2LDMPipeline, hu: np.ndarray, like: sitk.Image, phase: str) -> np.ndarray:
    return sitk.GetArrayFromImage(pipeline(_like(hu, like), phase)).astype(np.float32) - hu


def _like(hu: np.ndarray, like: sitk.Image) -> sitk.Image:
    image = sitk.GetImageFromArray(hu.astype(np.int16))
    image.CopyInformation(like)
    return image


def _smooth(hu: np.ndarray, sigma: float) -> np.ndarray:
    """In the plane; ``sigma`` in pixels."""
    return sitk.GetArrayFromImage(sitk.DiscreteGaussian(sitk.GetImageFromArray(hu), [sigma**2, sigma**2, 0]))


def _eroded(mask: np.ndarray) -> np.ndarray:
    return sitk.GetArrayFromImage(sitk.BinaryErode(sitk.GetImageFromArray(mask.astype(np.uint8)), [2, 2, 0])) > 0


def _discs(image: sitk.Image, discs: list[dict]) -> np.ndarray:
    mask = np.zeros(image.GetSize()[::-1], bool)
    y, x = np.ogrid[: mask.shape[1], : mask.shape[2]]
    for disc in discs:
        centre = image.TransformPhysicalPointToContinuousIndex(disc["center_lps_mm"])
        mask[round(centre[2])] |= np.hypot(x - centre[0], y - centre[1]) * image.GetSpacing()[0] < disc["radius_mm"]
    return mask


if __name__ == "__main__":
    main()
