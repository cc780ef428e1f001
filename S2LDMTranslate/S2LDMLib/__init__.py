"""S2LDM: synthetic contrast-enhanced CT (CECT) from non-contrast CT (NCCT) with a syncretic latent diffusion model.

The path of a voxel::

    reading -> guard.input_checks -> inference.preprocess
    -> inference.translation (networks.autoencoder, networks.denoiser, networks.autoencoder)
    -> inference.postprocess -> volume.files

:mod:`S2LDMLib.pipeline` calls them in this order. What may be imported from elsewhere stands here; each name is loaded
when it is asked for, so that importing this package loads neither torch nor MONAI.

Source: Syncretic Latent Diffusion Model, arXiv 2406.13977.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .about import NOTICE, __version__

if TYPE_CHECKING:
    from .errors import Cancelled, DownloadError, InputError, ModelError, S2LDMError, S2LDMWarning
    from .guard.input_checks import check_input
    from .phantom.scan import make_phantom
    from .pipeline import S2LDMPipeline
    from .reading import read_volume
    from .volume.files import write_volume
    from .volume.region import Region

__all__ = [
    "NOTICE", "Cancelled", "DownloadError", "InputError", "ModelError", "Region", "S2LDMError", "S2LDMPipeline",
    "S2LDMWarning", "__version__", "check_input", "make_phantom", "read_volume", "write_volume",
]  # fmt: skip
_FROM = {
    "S2LDMPipeline": "pipeline", "check_input": "guard.input_checks", "make_phantom": "phantom.scan",
    "read_volume": "reading", "write_volume": "volume.files", "Region": "volume.region",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module(f"{__name__}.{_FROM.get(name, 'errors')}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
