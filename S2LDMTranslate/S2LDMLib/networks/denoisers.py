"""What a pipeline asks of a denoiser, whatever its kind."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Protocol

from torch import Tensor, nn

from ..model.config import DenoiserConfig
from .triple import Triple

# ``run(network, *latents)``: runs a network over latents, [1, C, Z, Y, X] each, in parts where that is exact, and gives
# one latent of the same size in fp32.
Run = Callable[..., Tensor]


class Scheduler(Protocol):
    """What a denoiser asks of the noise schedule; see :class:`S2LDMLib.inference.scheduler.LatentScheduler`."""

    def timesteps(self, steps: int) -> list[int]: ...

    def add_noise(self, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor: ...

    def scale_input(self, x_t: Tensor, t: Tensor) -> Tensor: ...

    def step(self, prediction: Tensor, x_t: Tensor, t: int, previous: int | None) -> Tensor: ...


class Denoiser(nn.Module, ABC):
    """A network that leads from the NCCT's latent to the CECT's.

    Attributes:
        config: what it was built from.
        multiple: latent sizes (z, y, x), and the places where tiles start, must be multiples of this.
        context: slices beyond both ends of a tile that its inputs hold and its result does not.
        values_per_voxel: how many values one layer of its finest level holds for each latent voxel; the memory that a
            tile needs is reckoned from it.
        is_tileable: whether nothing beyond ``reach`` enters a voxel, so that halo tiles give what one run gives.
    """

    multiple: Triple = (1, 1, 1)
    context: int = 0
    values_per_voxel: int
    is_tileable: bool

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.config = config

    @abstractmethod
    def reach(self) -> Triple:
        """Latent voxels (z, y, x) around a voxel on which its result depends, the context among them."""

    @abstractmethod
    def sample(self, z_n: Tensor, phase: Tensor, scheduler: Scheduler, steps: int, noise: Tensor, run: Run) -> Tensor:
        """Make the CECT's latent; the same noise gives the same result.

        Args:
            z_n: standardised latent of the NCCT [1, C, Z, Y, X].
            phase: [1], index into the model's phases.
            scheduler: the model's noise schedule.
            steps: passes over the latent, 1 or more.
            noise: standard normal, of the shape of z_n.
            run: calls a network on latents, in tiles where the denoiser allows it, and reports each as progress.

        Returns:
            Standardised latent [1, C, Z, Y, X], fp32.
        """
