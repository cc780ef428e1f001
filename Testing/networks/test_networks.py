"""Codebook, autoencoder and denoiser: what each promises."""

from __future__ import annotations

import pytest
import torch
from monai.networks.layers.vector_quantizer import EMAQuantizer
from S2LDMLib.errors import ModelError
from S2LDMLib.model.config import AutoencoderConfig, DenoiserConfig
from S2LDMLib.networks.autoencoder import SyncreticAutoencoder
from S2LDMLib.networks.codebook import CHUNK, Codebook
from S2LDMLib.networks.denoiser import ChannelNorm, LatentDenoiser
from S2LDMLib.networks.paper_denoiser import PaperDenoiser


def test_codebook_gives_the_indices_of_monai() -> None:
    torch.manual_seed(0)
    monai = EMAQuantizer(3, 64, 8).eval()
    ours = Codebook(64, 8)
    ours.embedding.copy_(monai.embedding.weight)
    z = torch.randn(1, 8, 3, 80, 80)
    assert z[0, 0].numel() > CHUNK
    assert torch.equal(ours.indices(z), monai.quantize(z)[2])


def test_codebook_stays_fp32_under_autocast() -> None:
    torch.manual_seed(0)
    book, z = Codebook(512, 8), torch.randn(1, 8, 4, 16, 16)
    with torch.autocast("cpu", torch.bfloat16):
        indices = book.indices(z)
    assert torch.equal(indices, book.indices(z))
    assert book(z).dtype == torch.float32


def test_strides_differ_per_axis() -> None:
    model = SyncreticAutoencoder(AutoencoderConfig((4, 8), ((1, 2, 2), (2, 2, 2)), 3, 1, 8, 16))
    z = model.encode(torch.rand(1, 1, 6, 16, 24))
    assert model.stride == (2, 4, 4)
    assert z.shape == (1, 8, 3, 4, 6)
    assert model.decode(model.quantize(z)).shape == (1, 1, 6, 16, 24)


def test_standardised_latents_undo_in_decoding() -> None:
    torch.manual_seed(0)
    model = SyncreticAutoencoder(AutoencoderConfig((4, 8), ((1, 2, 2), (1, 2, 2)), 1, 1, 8, 0)).eval()
    x = torch.rand(1, 1, 2, 16, 16)
    before = model.decode(model.encode(x))
    model.latent_mean.normal_()
    model.latent_std.uniform_(0.5, 2)
    assert torch.allclose(model.decode(model.encode(x)), before, atol=1e-5)


def test_quantised_latents_are_codes() -> None:
    model = SyncreticAutoencoder(AutoencoderConfig((4, 8), ((1, 2, 2), (1, 2, 2)), 1, 1, 8, 16))
    model.latent_mean.normal_()
    codes = model.quantize(torch.randn(1, 8, 2, 4, 4)) * model.latent_std + model.latent_mean
    distances = torch.cdist(codes.movedim(1, -1).reshape(-1, 8), model.codebook.embedding)
    assert distances.min(1).values.max() < 2e-3  # cdist in fp32; codes lie 3 apart


def test_an_untrained_denoiser_returns_the_ncct_latent() -> None:
    denoiser = LatentDenoiser(DenoiserConfig(channels=(8, 12), context=3, embedding=8), 8, 2)
    ncct = torch.randn(1, 8, 2, 8, 8)
    x0 = denoiser(torch.randn_like(ncct), ncct, torch.tensor([999]), torch.tensor([0]))
    assert torch.equal(x0, ncct)


def test_the_phase_changes_the_prediction() -> None:
    torch.manual_seed(0)
    denoiser = LatentDenoiser(DenoiserConfig(channels=(8, 12), context=3, embedding=8), 8, 2)
    torch.nn.init.normal_(denoiser.conv_out.weight)
    ncct, t = torch.randn(1, 8, 2, 8, 8), torch.tensor([999])
    arterial, venous = (denoiser(ncct * 0, ncct, t, torch.tensor([phase])) for phase in (0, 1))
    assert (arterial - venous).abs().max() > 1e-3


def test_the_mask_hides_the_ncct_from_the_network_alone() -> None:
    """With a mask of zeros the network sees nothing, and its change is still made to the NCCT's latent."""
    torch.manual_seed(0)
    denoiser = LatentDenoiser(DenoiserConfig(channels=(8, 12), context=3, embedding=8), 8, 2)
    torch.nn.init.normal_(denoiser.conv_out.weight)
    a, b, t, phase = (*torch.randn(2, 1, 8, 2, 8, 8), torch.tensor([999]), torch.tensor([0]))
    hidden = torch.zeros(1, 1, 2, 8, 8)
    assert torch.allclose(denoiser(a * 0, a, t, phase, hidden) - a, denoiser(a * 0, b, t, phase, hidden) - b, atol=1e-5)
    assert not torch.allclose(denoiser(a * 0, a, t, phase) - a, denoiser(a * 0, b, t, phase) - b, atol=1e-2)


def test_the_norm_looks_at_one_voxel_only() -> None:
    norm, x = ChannelNorm(4), torch.randn(1, 4, 2, 3, 3)
    changed = x.clone()
    changed[..., 0, 0, 0] *= 100
    difference = (norm(changed) - norm(x)).abs().sum(1)[0]
    assert difference[0, 0, 0] < 1e-2  # scaled channels are normalised away
    assert difference.flatten()[1:].max() == 0


@pytest.mark.parametrize("window", [None, (3, 8, 8)])
def test_a_paper_denoiser_needs_a_window_that_it_can_halve(window: tuple[int, int, int] | None) -> None:
    with pytest.raises(ModelError, match="multiples of 2"):
        PaperDenoiser(DenoiserConfig("paper", (8, 16), window=window), 8, 2)
