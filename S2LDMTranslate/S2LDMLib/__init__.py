"""S2LDM: synthetic contrast-enhanced CT (CECT) from non-contrast CT (NCCT) with a syncretic latent diffusion model.

The path of a voxel, one module a step::

    volume_io -> input_checks -> preprocess -> autoencoder.encode -> sampler -> autoencoder.decode -> postprocess

:class:`S2LDMLib.pipeline.S2LDMPipeline` calls them in this order. Importing this package loads neither torch nor MONAI.

Source: Syncretic Latent Diffusion Model, arXiv 2406.13977.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["NOTICE", "S2LDMPipeline", "__version__"]

NOTICE = "SYNTHETIC - NOT FOR DIAGNOSIS"  # what every picture of a result says

if TYPE_CHECKING:
    from .pipeline import S2LDMPipeline


def __getattr__(name: str) -> Any:
    """Load the pipeline, and with it torch, only when somebody asks for it."""
    if name == "S2LDMPipeline":
        from .pipeline import S2LDMPipeline

        return S2LDMPipeline
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
