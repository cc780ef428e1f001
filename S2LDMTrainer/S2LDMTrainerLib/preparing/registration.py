"""Registration of a contrast-enhanced CT (CECT) onto the non-contrast CT (NCCT) of the same session.

The two scans of a session are taken in different breath holds: organs of the upper abdomen move by up to 14
mm and change shape, while the spine stays. So a rigid step finds the patient and B-spline steps follow the
organs, coarse before fine. All steps maximise mutual information (Mattes et al., IEEE TMI 2003;22:120-8),
because contrast medium changes the grey values. Everything is seeded and single-threaded: equal inputs give
equal results, and several cases can be registered side by side in processes.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import SimpleITK as sitk
from S2LDMLib.errors import InputError
from S2LDMLib.volume.body import body_mask

from .volumes import AIR_HU, MAX_HU

TISSUE_WINDOW_HU = (-160, 240)  # lung and air count as one, bone as one: soft tissue and its borders steer
BORDER_WINDOW_HU = (-160, 30)  # every soft tissue saturates, enhanced or not: only its border to fat and lung is left
STEERING_MM = 3.0  # voxels of what the metric sees; on the scan's own grid it is no better and many times slower
FIELD_MM = 4.0  # of the grid on which displacements are measured
SMALLEST_OVERLAP = 1000  # voxels


@dataclass(frozen=True)
class SplineLevel:
    """One B-spline step: mesh cells along x, y, z; fraction of the voxels sampled; iterations of L-BFGS-B."""

    mesh: tuple[int, int, int]
    sampling: float
    iterations: int


SPLINE_LEVELS = (SplineLevel((5, 5, 4), 0.06, 12), SplineLevel((9, 8, 6), 0.12, 12))


@dataclass(frozen=True)
class Quality:
    """How well two scans agree inside the NCCT's body mask, before and after registration.

    `mutual_information` in nats. `border_correlation` is the correlation of gradient magnitudes of the scans
    clamped to -160..30 HU, thus of the borders of soft tissue to fat and lung, which contrast medium hardly
    changes. Displacements in mm. `folding`: fraction of body voxels where the deformation turns inside out.
    """

    mutual_information_before: float
    mutual_information_after: float
    border_correlation_before: float
    border_correlation_after: float
    displacement_median_mm: float
    displacement_p95_mm: float
    folding: float

    def to_dict(self) -> dict[str, float]:
        """Round the figures, for a JSON file."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


@dataclass(frozen=True)
class Registration:
    """A CECT on the NCCT's grid.

    `image`: int16, HU. `valid`: uint8, 1 where both scans really measured the voxel. `transform` maps points
    of the NCCT to points of the CECT (LPS mm).
    """

    image: sitk.Image
    valid: sitk.Image
    transform: sitk.Transform
    quality: Quality


def register(moving_cect: sitk.Image, fixed_ncct: sitk.Image, seed: int = 7) -> Registration:
    """Bring a CECT onto the grid of the NCCT of the same session.

    Args:
        moving_cect: CECT in HU, any grid in the same frame of reference.
        fixed_ncct: NCCT in HU; its grid is kept.
        seed: of the random voxels that the mutual information is estimated from; above 0 (0 means the clock).

    Raises:
        InputError: one of the scans shows no body, or the two do not overlap.
    """
    if seed <= 0:
        raise ValueError("seed must be above 0: SimpleITK takes 0 for the clock")
    body = body_mask(fixed_ncct)
    if not all(sitk.GetArrayViewFromImage(each).any() for each in (body, body_mask(moving_cect))):
        raise InputError("no body was found: no voxels above -300 HU. Give a CT of a patient, in HU.")
    coverage = coverage_mask(moving_cect)
    unmoved = _resample(moving_cect, coverage, fixed_ncct, sitk.Transform(3, sitk.sitkIdentity))
    _common(body, unmoved[1])
    region = sitk.BinaryDilate(body, _radius_mm(fixed_ncct, 5.0)) * coverage_mask(fixed_ncct)
    fixed, moving = _steering_image(fixed_ncct), _steering_image(moving_cect)
    region_small = _shrink(region)
    transform = sitk.CompositeTransform([_rigid(fixed, moving, region_small, seed)])
    for level in SPLINE_LEVELS:
        transform.AddTransform(_spline(fixed, moving, region_small, _shrink(coverage), transform, level, seed))
    moved = _resample(moving_cect, coverage, fixed_ncct, transform)
    return Registration(*moved, transform, _quality(fixed_ncct, body, unmoved, moved, transform))


def coverage_mask(image: sitk.Image) -> sitk.Image:
    """Mark where the scanner measured, uint8; padding is air of exactly -1024 HU, without noise."""
    padding = sitk.BinaryMorphologicalOpening(image <= AIR_HU + 1, [3, 3, 0])
    return sitk.Cast(padding == 0, sitk.sitkUInt8)


def _radius_mm(image: sitk.Image, radius: float) -> list[int]:
    """Radius of a structuring element in the axial plane, in voxels; slices are too thick for a third."""
    return [max(1, round(radius / spacing)) for spacing in image.GetSpacing()[:2]] + [0]


def _shrink(image: sitk.Image, target_mm: float = STEERING_MM) -> sitk.Image:
    """Take every n-th voxel, so that they are about ``target_mm`` apart."""
    return sitk.Shrink(image, [max(1, round(target_mm / spacing)) for spacing in image.GetSpacing()])


def _steering_image(image: sitk.Image) -> sitk.Image:
    """Make what the metric sees: clamped to soft tissue, noise smoothed, coarse."""
    clamped = sitk.Clamp(image, sitk.sitkFloat32, *TISSUE_WINDOW_HU)
    return _shrink(sitk.SmoothingRecursiveGaussian(clamped, [1.5, 1.5, 1.0]))


def _method(region: sitk.Image, sampling: float, seed: int) -> sitk.ImageRegistrationMethod:
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)
    method.SetMetricAsMattesMutualInformation(32)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(sampling, seed)
    method.SetMetricFixedMask(region)
    method.SetInterpolator(sitk.sitkLinear)
    return method


def _rigid(fixed: sitk.Image, moving: sitk.Image, region: sitk.Image, seed: int) -> sitk.Transform:
    """Take the rigid step, from the best of several shifts along the patient, where breathing moves most."""
    center = fixed.TransformContinuousIndexToPhysicalPoint([(size - 1) / 2 for size in fixed.GetSize()])
    method = _method(region, 0.05, seed)

    def shifted(shift_mm: float) -> sitk.Euler3DTransform:
        transform = sitk.Euler3DTransform()
        transform.SetCenter(center)
        transform.SetTranslation((0.0, 0.0, shift_mm))
        return transform

    def metric(shift_mm: float) -> float:
        method.SetInitialTransform(shifted(shift_mm))
        return method.MetricEvaluate(fixed, moving)

    start = shifted(min((0.0, -5.0, 5.0, -10.0, 10.0, -15.0, 15.0), key=metric))
    method.SetOptimizerAsRegularStepGradientDescent(2.0, 0.02, 80)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInitialTransform(start, True)
    method.SetShrinkFactorsPerLevel([2, 1])
    method.SetSmoothingSigmasPerLevel([2, 0])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    method.Execute(fixed, moving)
    return start


def _spline(
    fixed: sitk.Image,
    moving: sitk.Image,
    region: sitk.Image,
    coverage: sitk.Image,
    before: sitk.Transform,
    level: SplineLevel,
    seed: int,
) -> sitk.Transform:
    """Take one B-spline step after `before`; `moving` is warped first: B-splines cannot follow each other."""
    warped = sitk.Resample(moving, fixed, before, sitk.sitkLinear, TISSUE_WINDOW_HU[0])
    measured = sitk.Resample(coverage, fixed, before, sitk.sitkNearestNeighbor, 0)
    spline = sitk.BSplineTransformInitializer(fixed, list(level.mesh))
    method = _method(region * measured, level.sampling, seed)
    method.SetInitialTransform(spline, True)
    method.SetOptimizerAsLBFGSB(1e-5, level.iterations, 5, 3 * level.iterations)
    method.Execute(fixed, warped)
    return spline


def _resample(
    image: sitk.Image, coverage: sitk.Image, grid: sitk.Image, transform: sitk.Transform
) -> tuple[sitk.Image, sitk.Image]:
    """Warp a scan (cubic B-spline interpolation: linear would blur) and its mask of measured voxels."""
    warped = sitk.Resample(sitk.Cast(image, sitk.sitkFloat32), grid, transform, sitk.sitkBSpline, AIR_HU)
    inside = sitk.Resample(sitk.Cast(coverage, sitk.sitkFloat32), grid, transform, sitk.sitkLinear, 0.0) > 0.99
    valid = sitk.Cast(inside, sitk.sitkUInt8) * coverage_mask(grid)
    return sitk.Cast(sitk.Round(sitk.Clamp(warped, sitk.sitkFloat32, AIR_HU, MAX_HU)), sitk.sitkInt16), valid


def _common(body: sitk.Image, *valid: sitk.Image) -> np.ndarray:
    """Find the voxels of the body that all masks hold, bool (Z, Y, X). Raises InputError if there are hardly any."""
    inside = sitk.GetArrayFromImage(body) > 0
    for mask in valid:
        inside &= sitk.GetArrayViewFromImage(mask) > 0
    if np.count_nonzero(inside) < SMALLEST_OVERLAP:
        raise InputError(
            f"the scans do not overlap: fewer than {SMALLEST_OVERLAP} common voxels in the body. "
            "Give scans of the same region in the same patient coordinates."
        )
    return inside


def _quality(
    fixed: sitk.Image,
    body: sitk.Image,
    unmoved: tuple[sitk.Image, sitk.Image],
    moved: tuple[sitk.Image, sitk.Image],
    transform: sitk.Transform,
) -> Quality:
    """Compare inside the body where both the unregistered and the registered CECT were measured.

    ``unmoved``, ``moved``: CECT on the NCCT's grid and its mask of measured voxels, before and after.
    """
    inside = _common(body, unmoved[1], moved[1])
    lengths, jacobian = _displacements(_shrink(fixed, FIELD_MM), _shrink(body * moved[1], FIELD_MM), transform)
    return Quality(
        _mutual_information(fixed, unmoved[0], inside),
        _mutual_information(fixed, moved[0], inside),
        _border_correlation(fixed, unmoved[0], inside),
        _border_correlation(fixed, moved[0], inside),
        float(np.median(lengths)),
        float(np.percentile(lengths, 95)),
        float((jacobian <= 0).mean()),
    )


def _displacements(grid: sitk.Image, inside: sitk.Image, transform: sitk.Transform) -> tuple[np.ndarray, np.ndarray]:
    """Measure length (mm) and Jacobian determinant of the deformation in the voxels ``inside``, two arrays (N,)."""
    field = sitk.TransformToDisplacementField(
        transform, sitk.sitkVectorFloat64, grid.GetSize(), grid.GetOrigin(), grid.GetSpacing(), grid.GetDirection()
    )
    chosen = sitk.GetArrayViewFromImage(inside) > 0
    lengths = np.linalg.norm(sitk.GetArrayViewFromImage(field)[chosen], axis=-1)
    return lengths, sitk.GetArrayFromImage(sitk.DisplacementFieldJacobianDeterminant(field))[chosen]


def _mutual_information(first: sitk.Image, second: sitk.Image, inside: np.ndarray) -> float:
    low, high = TISSUE_WINDOW_HU
    one, other = (np.clip(sitk.GetArrayViewFromImage(image)[inside], low, high) for image in (first, second))
    joint = np.histogram2d(one, other, bins=40)[0] / inside.sum()
    expected = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    seen = joint > 0
    return float((joint[seen] * np.log(joint[seen] / expected[seen])).sum())


def _border_correlation(first: sitk.Image, second: sitk.Image, inside: np.ndarray) -> float:
    def borders(image: sitk.Image) -> np.ndarray:
        clamped = sitk.Clamp(image, sitk.sitkFloat32, *BORDER_WINDOW_HU)
        return sitk.GetArrayFromImage(sitk.GradientMagnitudeRecursiveGaussian(clamped, 2.0))[inside]

    return float(np.corrcoef(borders(first), borders(second))[0, 1])
