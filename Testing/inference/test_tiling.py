"""Tiled runs equal whole runs, for each network and for the tiles that the pipeline chooses."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from S2LDMLib.inference.devices import choose_tile
from S2LDMLib.inference.tiling import Tiles, count_tiles, run_tiles
from S2LDMLib.model.config import AutoencoderConfig, DenoiserConfig
from S2LDMLib.networks.autoencoder import SyncreticAutoencoder
from S2LDMLib.networks.denoiser import LatentDenoiser
from torch import Tensor

THICK = AutoencoderConfig((8, 12), ((1, 2, 2), (1, 2, 2)), kernel_z=3, residual_units=1, num_embeddings=0)
CUBIC = AutoencoderConfig((8, 12), ((2, 2, 2), (2, 2, 2)), kernel_z=3, residual_units=2, num_embeddings=0)
PLANAR = AutoencoderConfig((8, 12), ((1, 2, 2), (1, 2, 2)), kernel_z=1, residual_units=1, num_embeddings=0)


def assembled(network, shape, tiles: Tiles, *inputs: Tensor) -> Tensor:
    """All tiles put together, each voxel written exactly once."""
    whole = None
    for region, part in run_tiles(network, shape, tiles, *inputs):
        if whole is None:
            size = [n * k for n, k in zip(shape, tiles.per_latent_out, strict=True)]
            whole = torch.full((*part.shape[:2], *size), torch.nan)
        assert whole[(..., *region)].isnan().all()
        whole[(..., *region)] = part
    return whole


def relative_error(a: Tensor, b: Tensor) -> float:
    return ((a - b).norm() / b.norm()).item()


def make_denoiser() -> LatentDenoiser:
    denoiser = LatentDenoiser(DenoiserConfig(channels=(8, 12, 16), context=3, embedding=8), 8, 2)
    torch.nn.init.normal_(denoiser.conv_out.weight, std=0.1)
    return denoiser.eval()


@pytest.mark.parametrize("config", [THICK, CUBIC, PLANAR], ids=["thick", "cubic", "planar"])
@torch.inference_mode()
def test_tiled_encode_equals_whole_encode(config: AutoencoderConfig) -> None:
    torch.manual_seed(0)
    model = SyncreticAutoencoder(config).eval()
    shape = (6, 22, 18)
    x = torch.rand(1, 1, *(n * s for n, s in zip(shape, model.stride, strict=True)))
    tiles = Tiles((3, 7, 5), model.encoder_halo(), per_latent_in=model.stride)
    assert relative_error(assembled(model.encode, shape, tiles, x), model.encode(x)) <= 1e-5


@pytest.mark.parametrize("config", [THICK, CUBIC, PLANAR], ids=["thick", "cubic", "planar"])
@torch.inference_mode()
def test_tiled_decode_equals_whole_decode(config: AutoencoderConfig) -> None:
    torch.manual_seed(0)
    model = SyncreticAutoencoder(config).eval()
    shape = (9, 22, 18)
    z = torch.randn(1, 8, *shape)
    tiles = Tiles((4, 7, 5), model.decoder_halo(), per_latent_out=model.stride)
    assert relative_error(assembled(model.decode, shape, tiles, z), model.decode(z)) <= 1e-5


@torch.inference_mode()
def test_tiled_denoising_equals_whole_denoising() -> None:
    torch.manual_seed(0)
    denoiser, shape = make_denoiser(), (7, 56, 64)
    noisy, ncct, t, phase = torch.randn(1, 8, *shape), torch.randn(1, 8, *shape), torch.tensor([500]), torch.tensor([1])
    tiles = Tiles((3, 8, 12), denoiser.reach())
    tiled = assembled(lambda x, n: denoiser(x, n, t, phase), shape, tiles, noisy, ncct)
    assert count_tiles(shape, tiles) > 20
    assert relative_error(tiled, denoiser(noisy, ncct, t, phase)) <= 1e-5


@torch.inference_mode()
def test_a_smaller_halo_is_not_exact() -> None:
    """The halos are as wide as needed: one latent voxel less is seen in the result."""
    torch.manual_seed(0)
    model = SyncreticAutoencoder(THICK).eval()
    shape, z = (16, 22, 18), torch.randn(1, 8, 16, 22, 18)
    z_halo, *plane = model.decoder_halo()
    tiles = Tiles((4, 22, 18), (z_halo - 1, *plane), per_latent_out=model.stride)
    assert relative_error(assembled(model.decode, shape, tiles, z), model.decode(z)) > 1e-7


@torch.inference_mode()
def test_denoiser_with_given_context_equals_the_inner_slices() -> None:
    torch.manual_seed(0)
    denoiser = make_denoiser()
    noisy, ncct, t, phase = (*torch.randn(2, 1, 8, 6, 8, 8), torch.tensor([9]), torch.tensor([0]))
    inner = denoiser(noisy, ncct, t, phase, context=True)
    assert torch.allclose(inner, denoiser(noisy, ncct, t, phase)[:, :, 1:-1], atol=1e-6)


@pytest.mark.parametrize("budget", [1 << 20, 1 << 24, 1 << 30])
def test_chosen_tiles_start_where_pooling_allows(budget: int) -> None:
    shape, halo, multiple = (40, 136, 104), (2, 48, 48), (1, 8, 8)
    tile = choose_tile(shape, halo, multiple, 1024, budget)
    for axis in range(3):
        assert 1 <= tile[axis] <= shape[axis]
        assert tile[axis] == shape[axis] or tile[axis] % multiple[axis] == 0


def test_more_memory_gives_tiles_at_least_as_large() -> None:
    tiles = [choose_tile((64, 128, 128), (9, 9, 9), (1, 1, 1), 8192, 1 << k) for k in range(20, 36, 2)]
    voxels = [z * y * x for z, y, x in tiles]
    assert voxels == sorted(voxels) and voxels[0] < voxels[-1]


def test_configurations_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        THICK.kernel_z = 1  # type: ignore[misc]
