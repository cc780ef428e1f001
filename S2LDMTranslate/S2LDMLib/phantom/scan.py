"""Procedural abdominal CT: registered non-contrast, late arterial and portal venous volumes from a seed.

Every axial slice is painted organ by organ, back to front, with soft edges at several heights inside the slice, then
averaged (partial volume), blurred in-plane and given CT-like noise. Geometry comes from ``torso`` and ``organs``;
``tissues`` says how dense each tissue is in each phase. The phantom is made up: it shows no patient and proves nothing
clinical.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from ..errors import InputError
from .painting import Patient, Plane, paint_plane
from .shapes import Array, ramp

BODY_CENTRE_Y = -40.0  # model y that lies in the middle of the field of view
EDGE_MM = 1.2  # width of an organ's edge before the blur of the scanner
PSF_SIGMA_MM = 0.65
NOISE_PEAK_PER_MM = 0.13  # where the in-plane noise power spectrum of a soft-tissue kernel peaks
SUBSLICE_MM = 2.5
LOWEST_HU = -1024.0


@dataclass(frozen=True)
class PhantomTriple:
    """Three registered phases (int16, HU) and the organ labels (uint8, see ``LABELS``), all on one grid."""

    ncct: sitk.Image
    arterial: sitk.Image
    venous: sitk.Image
    labels: sitk.Image


class Scanner:
    """In-plane blur and quantum noise of one slice shape."""

    def __init__(self, shape: tuple[int, int], spacing: tuple[float, float], noise_hu: float) -> None:
        fy = np.fft.fftfreq(shape[0], spacing[1])[:, None]
        fx = np.fft.rfftfreq(shape[1], spacing[0])[None]
        f2 = fx * fx + fy * fy
        self.shape, self.noise_hu = shape, noise_hu
        self.blur = np.exp(-2 * (np.pi * PSF_SIGMA_MM) ** 2 * f2).astype(np.float32)
        # Filtered back-projection: noise power = ramp times the apodisation of the kernel (here Gaussian).
        self.colour = np.sqrt(np.sqrt(f2) * np.exp(-f2 / (2 * NOISE_PEAK_PER_MM**2)))
        full = np.sqrt(np.mean(np.abs(np.fft.fft2(np.fft.irfft2(self.colour, s=shape))) ** 2))
        self.colour = (self.colour / full).astype(np.float32)

    def expose(self, hu: Array, body: Array, rng: np.random.Generator) -> Array:
        """Blurred slice with independent noise; ``body`` weighs its SD (rows, columns)."""
        spectrum = np.fft.rfft2(rng.standard_normal(self.shape, np.float32)) * self.colour
        noise = np.fft.irfft2(spectrum, s=self.shape) * (self.noise_hu * body)
        return np.fft.irfft2(np.fft.rfft2(hu) * self.blur, s=self.shape) + noise


def make_phantom(
    seed: int = 0,
    size: tuple[int, int, int] = (256, 256, 40),
    spacing: tuple[float, float, float] = (1.5, 1.5, 5.0),
    noise_hu: float = 12.0,
    oral_contrast: bool | None = None,
) -> PhantomTriple:
    """Synthesise one made-up patient in three registered phases.

    Args:
        seed: chooses the patient and the noise; the same seed gives identical arrays.
        size: voxels along x, y, z.
        spacing: mm along x, y, z. The anatomy is in mm: size and spacing only choose how it is sampled.
            The middle of the volume lies in the middle of the body at the first lumbar vertebra.
        noise_hu: SD of the noise in soft tissue, HU; 0 switches it off.
        oral_contrast: positive bowel contrast in every phase; None lets the seed decide.

    Raises:
        InputError: a size or spacing that is not positive, or a negative noise.
    """
    if min(size) < 1 or min(spacing) <= 0 or noise_hu < 0:
        raise InputError(
            "The phantom needs positive sizes and spacings and a noise of at least 0 HU. "
            f"Change size {size}, spacing {spacing} or noise {noise_hu}."
        )
    patient = Patient(seed, oral_contrast)
    origin = [-0.5 * (n - 1) * s for n, s in zip(size, spacing, strict=True)]
    x, y, z = ((o + s * np.arange(n)) / k for o, s, n, k in zip(origin, spacing, size, patient.scale, strict=True))
    x, y = x.astype(np.float32), (y + BODY_CENTRE_Y).astype(np.float32)
    scanner = Scanner((size[1], size[0]), spacing[:2], noise_hu)
    volumes = np.zeros((3, *size[::-1]), np.int16)
    labels = np.zeros(size[::-1], np.uint8)
    for k, height in enumerate(z.tolist()):
        hu, middle = paint_slice(patient, x, y, height, spacing)
        labels[k] = middle.label
        for phase in range(3):
            rng = np.random.default_rng([seed, 2, phase, k])
            exposed = scanner.expose(hu[phase], noise_weight(middle), rng)
            volumes[phase, k] = np.rint(np.maximum(exposed, LOWEST_HU))
    return PhantomTriple(*(_image(v, origin, spacing) for v in (*volumes, labels)))


def paint_slice(patient: Patient, x: Array, y: Array, height: float, spacing: tuple) -> tuple[Array, Plane]:
    """Mean HU (3, rows, columns) over the thickness of a slice, and the plane in its middle."""
    count = max(1, round(spacing[2] / SUBSLICE_MM) // 2 * 2 + 1)
    offsets = ((np.arange(count) + 0.5) / count - 0.5) * spacing[2] / patient.scale[2]
    edge = max(EDGE_MM, *spacing[:2])
    planes = [paint_plane(patient, x, y, height + float(dz), edge) for dz in offsets]
    return sum(p.hu for p in planes) / count, planes[count // 2]


def noise_weight(plane: Plane) -> Array:
    """Relative noise SD: a little above 1 deep in the body (few photons arrive), low in outside air."""
    return 0.45 + 0.45 * ramp(-plane.skin, -20, 10) + 0.2 * ramp(-plane.skin, 10, 110)


def _image(array: Array, origin: list[float], spacing: tuple[float, float, float]) -> sitk.Image:
    image = sitk.GetImageFromArray(array)
    image.SetOrigin(origin)
    image.SetSpacing([float(s) for s in spacing])
    return image
