"""From the network's output on the working grid back to HU on the input's own grid."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from ..model.config import PreprocessConfig
from ..volume.grid import AIR_HU, Box, Grid, orientation_of
from .preprocess import Prepared

SLAB = 16
FAT_HU = (-120.0, -60.0)  # below: nothing takes up contrast medium; between: the soft tissue's share of a voxel does


def postprocess(
    output_hu: np.ndarray, prepared: Prepared, config: PreprocessConfig, detail: str, image: sitk.Image
) -> sitk.Image:
    """Bring the network's output onto the input's own grid.

    Args:
        output_hu: float32 (Z, Y, X) on the working grid. With ``detail="native"`` it is the decoded enhancement
            D(z) - D(z_n), which is added to the NCCT where it is positive, since contrast medium never lowers HU, and
            where the NCCT is no fat or lung: latents are coarser than voxels, and would brighten the fat beside a
            vessel. With ``"model"`` it is the decoded CECT D(z) itself.
        prepared: what :func:`~S2LDMLib.inference.preprocess.preprocess` returned.
        config: the model's preprocessing.
        image: the input, whose geometry the result has exactly.

    Returns:
        int16 HU. Voxels that the model cannot represent (outside its window: air, dense bone, metal) and everything
        outside the patient's box are those of the input.
    """
    source = prepared.source
    result = sitk.GetArrayFromImage(source)
    low, high = config.level - config.window / 2, config.level + config.window / 2
    field = prepared.grid.image(output_hu)
    z, y, x = prepared.box
    for start in range(z.start, z.stop, SLAB):
        part = (slice(start, min(start + SLAB, z.stop)), y, x)
        ncct = result[part]
        values = sitk.GetArrayFromImage(_onto(field, source, part))
        made = ncct + np.maximum(values, 0) * _takes_up(ncct) if detail == "native" else values
        represented = (ncct > low) & (ncct < high)
        result[part] = np.where(represented, np.rint(np.clip(made, AIR_HU, 32767)), ncct).astype(np.int16)
    return _restore(prepared.source, result, image)


def _takes_up(ncct: np.ndarray) -> np.ndarray:
    """How much of each voxel can take up contrast medium, 0 to 1, by its HU."""
    low, high = FAT_HU
    return np.clip((ncct.astype(np.float32) - low) / (high - low), 0, 1)


def _onto(field: sitk.Image, source: sitk.Image, part: Box) -> sitk.Image:
    """Interpolate the field linearly onto a part of the source's grid."""
    z, y, x = part
    size = [s.stop - s.start for s in (x, y, z)]
    origin = source.TransformIndexToPhysicalPoint([x.start, y.start, z.start])
    return sitk.Resample(
        field, size, sitk.Transform(), sitk.sitkLinear, origin, source.GetSpacing(), source.GetDirection(), 0.0,
        sitk.sitkFloat32, useNearestNeighborExtrapolator=True,
    )  # fmt: skip


def _restore(source: sitk.Image, array: np.ndarray, image: sitk.Image) -> sitk.Image:
    """Turn voxels in LPS axis order to the input's own order and flips, with its exact geometry."""
    result = sitk.DICOMOrient(Grid.of(source).image(array), orientation_of(image.GetDirection()))
    result.CopyInformation(image)
    return result
