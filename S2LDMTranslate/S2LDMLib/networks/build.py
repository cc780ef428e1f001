"""Which kinds of denoiser there are."""

from __future__ import annotations

from ..errors import ModelError
from ..model.config import PAPER, RESIDUAL_X0, DenoiserConfig
from .denoiser import LatentDenoiser
from .denoisers import Denoiser


def build_denoiser(config: DenoiserConfig, latent_channels: int, phases: int) -> Denoiser:
    """Build the denoiser that a configuration names, untrained.

    Raises:
        ModelError: its kind is unknown, or what it is made of is not installed.
    """
    if config.kind == RESIDUAL_X0:
        return LatentDenoiser(config, latent_channels, phases)
    if config.kind != PAPER:
        raise ModelError(f"The denoiser kind {config.kind!r} is unknown. Update this program.")
    try:
        from .paper_denoiser import PaperDenoiser  # MONAI, which it is made of, is slow to import
    except ModuleNotFoundError as error:
        raise ModelError(
            f"A model of the paper's kind needs MONAI, and the package {error.name} is missing. "
            "Run pip install 'monai>=1.6,<2' 'einops>=0.8'."
        ) from error
    return PaperDenoiser(config, latent_channels, phases)
