"""The configuration of a model: frozen dataclasses that are saved as JSON beside the weights.

``config.json`` holds :class:`ModelConfig`; ``autoencoder/``, ``denoiser/`` and ``scheduler/`` hold one of the others
each. They are read and written by :mod:`S2LDMLib.model.config_files`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from ..about import PHASES

FORMAT_VERSION = 2  # the one that is written; format 1 (version 0.1.0) is still read
RESIDUAL_X0, PAPER = "residual_x0", "paper"  # the kinds of denoiser
_FORMER_KINDS = {"product": RESIDUAL_X0}  # the names that format 1 has for them


@dataclass(frozen=True)
class PreprocessConfig:
    """How a volume in HU becomes the network's input.

    window, level: HU; values outside ``level +- window / 2`` are clipped for the network (paper: 400, 0).
    range: what the ends of the window become (paper: -1, 1). With 0 at the lower end, air is what a
        convolution's zero padding looks like.
    spacing: working spacing in mm (x, y, z), or None for the input's own.
    spacing_tolerance: an axis whose spacing differs from the working one by less than this fraction is left alone.
    margin: air kept around the patient in the axial plane, mm.
    """

    window: float = 400.0
    level: float = 0.0
    range: tuple[float, float] = (-1.0, 1.0)
    spacing: tuple[float, float, float] | None = None
    spacing_tolerance: float = 0.15
    margin: float = 16.0


@dataclass(frozen=True)
class ModelConfig:
    """What a model is: its phases, its preprocessing, and where it comes from (``provenance``, free text by key).

    residual_decode: the decoder gives back what was encoded, NCCT and CECT alike, so that D(z) - D(z_n) is the
        enhancement and can be added to the NCCT (``native`` detail). False for the paper's decoder, which makes a CECT
        of either.
    """

    format_version: int = FORMAT_VERSION
    name: str = "S2LDM"
    phases: tuple[str, ...] = PHASES
    preprocess: PreprocessConfig = field(default_factory=PreprocessConfig)
    residual_decode: bool = True
    provenance: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class AutoencoderConfig:
    """Shape of the syncretic autoencoder.

    channels: feature channels per level, the finest first; none at all for a model that works on the voxels themselves
        (pixel regression, a baseline).
    strides: (z, y, x) per level; CT slices are thick, so z often keeps its resolution.
    kernel_z: extent of the convolutions along z where they do not stride (1: slice by slice, 3: volumetric).
    residual_units: residual blocks per level.
    latent_channels: channels of the latent that the denoiser works on.
    num_embeddings: size of the codebook; 0 for a model without one.
    """

    channels: tuple[int, ...] = (128, 256)
    strides: tuple[tuple[int, int, int], ...] = ((2, 2, 2), (2, 2, 2))
    kernel_z: int = 3
    residual_units: int = 2
    latent_channels: int = 8
    num_embeddings: int = 8192

    @property
    def stride(self) -> tuple[int, int, int]:
        """Voxels of the volume per latent voxel, (z, y, x)."""
        z, y, x = (math.prod(stride[axis] for stride in self.strides) for axis in range(3))
        return z, y, x


@dataclass(frozen=True)
class DenoiserConfig:
    """Shape of the latent denoiser.

    kind: ``residual_x0`` is :class:`~S2LDMLib.networks.denoiser.LatentDenoiser`, which predicts the CECT's latent as a
        change of the NCCT's; ``paper`` is :class:`~S2LDMLib.networks.paper_denoiser.PaperDenoiser`, which predicts the
        noise.
    channels: feature channels per level, the finest first.
    context: number of axial slices that one output slice sees; it is odd (``residual_x0``).
    embedding: length of the vector that tells a block the noise step and the phase (``residual_x0``).
    window: latent size (z, y, x) of the training crops; the ``paper`` kind runs in windows of this size.
    """

    kind: str = RESIDUAL_X0
    channels: tuple[int, ...] = (64, 80, 112, 128)
    context: int = 5
    embedding: int = 64
    window: tuple[int, int, int] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", _FORMER_KINDS.get(self.kind, self.kind))

    @property
    def multiple(self) -> tuple[int, int, int]:
        """Latent sizes (z, y, x), and the places where tiles start, must be multiples of this."""
        pooling = 2 ** (len(self.channels) - 1) if self.kind == RESIDUAL_X0 else 1
        return 1, pooling, pooling

    def depends_on_seed(self, steps: int) -> bool:
        """Return whether sampling in so many steps gives another result for another seed.

        The first step of ``residual_x0`` is a function of the NCCT alone.
        """
        return self.kind != RESIDUAL_X0 or steps > 1


@dataclass(frozen=True)
class SchedulerConfig:
    """Noise schedule and sampler.

    prediction: what the denoiser predicts: ``sample`` (x0; ``residual_x0``) or ``epsilon`` (the noise; ``paper``).
    schedule: name of MONAI's noise schedule. train_timesteps: T, noise steps of the training.
    beta_start, beta_end: variances of the first and the last noise step.
    zero_terminal_snr: the last training step is pure noise, so that sampling can start there.
    start: where sampling begins, as a part of the noise steps: 1 is pure noise. The paper's sampler, which knows the
        NCCT only by its noised latent, forgets the patient there; with less it keeps more of the NCCT.
    steps: sampling steps by default.
    """

    prediction: str = "sample"
    schedule: str = "scaled_linear_beta"
    train_timesteps: int = 1000
    beta_start: float = 0.0015
    beta_end: float = 0.0195
    zero_terminal_snr: bool = True
    start: float = 1.0
    steps: int = 1


def smallest_input(autoencoder: AutoencoderConfig, denoiser: DenoiserConfig) -> tuple[int, int, int]:
    """The smallest volume (x, y, z) in voxels: what the denoiser's lowest level and its context ask for."""
    z, y, x = (s * m for s, m in zip(autoencoder.stride, denoiser.multiple, strict=True))
    return x, y, max(z, denoiser.context)
