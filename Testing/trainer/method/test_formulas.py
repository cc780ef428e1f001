"""The paper's parts: each formula has the property that the paper states. Source: arXiv 2406.13977."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from S2LDMLib.model.config import AutoencoderConfig
from S2LDMLib.networks.autoencoder import SyncreticAutoencoder
from S2LDMLib.phantom.scan import PhantomTriple
from S2LDMLib.pipeline import S2LDMPipeline
from S2LDMTrainerLib.method.adversarial import AdversarialLoss, PatchDiscriminator
from S2LDMTrainerLib.method.codebook_learning import CodebookLearner, codebook_usage
from S2LDMTrainerLib.method.high_frequency import high_frequency_target
from S2LDMTrainerLib.method.similarity import adaptive_similarity_loss, dynamic_similarity_mask, similarity
from S2LDMTrainerLib.method.syncretic_step import SyncreticStep
from S2LDMTrainerLib.recipe import AutoencoderTraining, Schedule
from S2LDMTrainerLib.training.averaging import learning_rate, update_average

CONFIG = AutoencoderConfig((6, 8), ((1, 2, 2), (1, 2, 2)), 1, 1, 4, 16)


def embeddings_at(cosine: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Two latents of one voxel with a given cosine."""
    z_n = torch.tensor([1.0, 0.0]).view(1, 2, 1, 1, 1)
    z_c = torch.tensor([cosine, math.sqrt(1 - cosine**2)]).view(1, 2, 1, 1, 1)
    return z_n, z_c


def test_similarity_is_one_for_equal_and_zero_for_opposite_embeddings() -> None:
    z = torch.randn(2, 4, 3, 5, 6)
    assert similarity(z, z).shape == (2, 1, 3, 5, 6)
    assert torch.allclose(similarity(z, 3 * z), torch.ones(1))
    assert similarity(z, -z).abs().max() < 1e-6


def test_similarity_loss_falls_monotonically_to_its_minimum_at_equal_embeddings() -> None:
    losses = [adaptive_similarity_loss(*embeddings_at(c)).item() for c in np.linspace(-1, 1, 101)]
    assert all(a > b for a, b in pairwise(losses))
    assert losses[-1] == pytest.approx(0, abs=1e-6)


def test_similarity_loss_pulls_unequal_embeddings_together() -> None:
    torch.manual_seed(0)
    z_n, z_c = torch.randn(1, 4, 2, 3, 3), torch.randn(1, 4, 2, 3, 3, requires_grad=True)
    optimizer = torch.optim.Adam([z_c], 0.05)
    before = similarity(z_n, z_c).mean().item()
    for _ in range(200):
        optimizer.zero_grad()
        adaptive_similarity_loss(z_n, z_c).backward()
        optimizer.step()
    assert before < 0.7 < 0.9 < similarity(z_n, z_c).mean().item()


def test_similarity_loss_weighs_dissimilar_places_more_than_plain_cross_entropy_does() -> None:
    near, far = embeddings_at(0.8), embeddings_at(-0.2)
    focal, plain = (
        adaptive_similarity_loss(*far, gamma=g) / adaptive_similarity_loss(*near, gamma=g) for g in (2.0, 0.0)
    )
    assert focal > 10 * plain


def test_similarity_loss_counts_valid_places_only() -> None:
    z_n, z_c = (torch.cat(pair, 4) for pair in zip(embeddings_at(1.0), embeddings_at(-0.5), strict=True))
    valid = torch.tensor([1.0, 0.0]).view(1, 1, 1, 1, 2)
    assert adaptive_similarity_loss(z_n, z_c, valid=valid).item() == pytest.approx(0, abs=1e-6)
    assert adaptive_similarity_loss(z_n, z_c, valid=1 - valid) > 0.1


def test_mask_starts_with_structure_and_ends_at_ones() -> None:
    s = torch.rand(1, 1, 4, 6, 6)
    assert torch.equal(dynamic_similarity_mask(s, 0.0), s)
    assert torch.equal(dynamic_similarity_mask(s, 1.0), torch.ones_like(s))


def test_low_similarity_regions_catch_up_with_high_ones_and_never_fall_back() -> None:
    s = torch.tensor([0.2, 0.9])
    masks = [dynamic_similarity_mask(s, u) for u in np.linspace(0, 1, 51)]
    ratios = [(low / high).item() for low, high in masks]
    assert all(a <= b for a, b in pairwise(ratios))
    assert ratios[0] < 0.3 and ratios[-1] == 1


def test_literal_mask_turns_from_the_similar_to_the_dissimilar() -> None:
    s = torch.tensor([0.2, 0.9])
    assert torch.allclose(dynamic_similarity_mask(s, 0.0, formula="literal"), s)
    assert torch.allclose(dynamic_similarity_mask(s, 1.0, formula="literal"), 1 - s)


@pytest.mark.parametrize("formula", ["structural_first", "literal"])
def test_mask_carries_no_gradient(formula: str) -> None:
    z_n, z_c = (torch.randn(1, 4, 2, 2, 2, requires_grad=True) for _ in range(2))
    assert not dynamic_similarity_mask(similarity(z_n, z_c), 0.3, formula=formula).requires_grad


def edge_image() -> torch.Tensor:
    image = torch.zeros(1, 1, 2, 32, 32)
    image[..., 10:22, 10:22] = 0.8
    return image


def test_high_frequency_target_leaves_flat_regions_and_the_mean_unchanged() -> None:
    x = edge_image()
    hf = high_frequency_target(x, 0.7, 1.0)
    assert torch.allclose(hf.mean(), x.mean(), atol=1e-6)
    assert torch.allclose(hf[..., :5, :5], x[..., :5, :5], atol=1e-6)
    assert torch.allclose(hf[..., 15:17, 15:17], x[..., 15:17, 15:17], atol=1e-4)
    flat = torch.full((1, 1, 2, 9, 9), 0.37)
    assert torch.allclose(high_frequency_target(flat, 0.7, 1.5), flat, atol=1e-6)


def test_high_frequency_target_steepens_edges_by_the_amount() -> None:
    x = edge_image()
    steps = [high_frequency_target(x, a, 1.0).diff(dim=-1).abs().max().item() for a in (0.0, 0.5, 1.0)]
    assert steps[0] == pytest.approx(0.8) and steps[1] > 1.2 * steps[0]
    assert steps[2] - steps[1] == pytest.approx(steps[1] - steps[0], rel=1e-3)


def step_outputs(recipe: AutoencoderTraining) -> tuple[SyncreticStep, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    step = SyncreticStep(SyncreticAutoencoder(CONFIG), recipe)
    return step, torch.rand(2, 1, 1, 16, 16), torch.rand(2, 1, 1, 16, 16)


def test_the_encoder_of_both_inputs_is_one_object() -> None:
    step, x_n, x_c = step_outputs(AutoencoderTraining(similarity_weight=1.0))
    seen: list[int] = []
    step.autoencoder.encoder.register_forward_hook(
        lambda module, inputs, output: seen.extend([id(module)] * len(output))
    )
    step(x_n, x_c, torch.ones_like(x_n), quantised=False)
    assert len(seen) == 4 and len(set(seen)) == 1
    assert sum("encoder.0" in name for name, _ in step.named_parameters()) == 2  # one weight and one bias


def test_both_inputs_move_the_encoder_only_with_the_syncretic_encoder() -> None:
    for syncretic in (True, False):
        step, x_n, x_c = step_outputs(AutoencoderTraining(syncretic=syncretic, target="cect"))
        x_n.requires_grad_(True)
        losses = step(x_n, x_c, torch.ones_like(x_n), quantised=False).losses
        step.weighted(losses).backward()
        assert (x_n.grad is not None and bool(x_n.grad.abs().sum() > 0)) == syncretic


def test_the_paper_decoder_makes_the_cect_of_either_embedding_and_ours_gives_back_its_own() -> None:
    for target in ("cect", "own"):
        step, x_n, x_c = step_outputs(AutoencoderTraining(target=target))
        reals = step(x_n, x_c, torch.ones_like(x_n), quantised=False).reals
        assert torch.equal(reals[:2], x_c if target == "cect" else x_n)
        assert torch.equal(reals[2:], x_c)


def test_the_decoder_never_sees_the_cect_at_inference(small: S2LDMPipeline, phantom: PhantomTriple) -> None:
    """All that is encoded is the NCCT, once; all that is decoded is its latent, and the one sampled from it."""
    encoded, decoded = [], []
    networks = small.autoencoder
    hooks = [
        networks.encoder.register_forward_hook(lambda module, inputs, output: encoded.append(inputs[0].clone())),
        networks.decoder.register_forward_hook(lambda module, inputs, output: decoded.append(inputs[0].clone())),
    ]
    try:
        small(phantom.ncct, "arterial", steps=2)
    finally:
        for hook in hooks:
            hook.remove()
    assert len(encoded) == 1 and torch.equal(encoded[0], small.prepare(phantom.ncct).ncct)
    with torch.inference_mode():
        z_n = networks.encoder(encoded[0])
    assert len(decoded) == 2 and torch.allclose(decoded[1], z_n, atol=1e-5)
    assert not torch.allclose(decoded[0], z_n, atol=1e-2)


def test_quantised_training_lets_the_gradient_through_to_the_encoder() -> None:
    step, x_n, x_c = step_outputs(AutoencoderTraining(target="cect"))
    output = step(x_n, x_c, torch.ones_like(x_n), quantised=True)
    output.losses["l1"].backward()
    assert "vq" in output.losses
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in step.autoencoder.encoder.parameters())


def test_the_codebook_does_not_collapse() -> None:
    torch.manual_seed(0)
    autoencoder = SyncreticAutoencoder(CONFIG)
    learner, accelerator = CodebookLearner(autoencoder.codebook, 0.9, seed=0), Accelerator(cpu=True)
    clusters = torch.randn(12, 4) * 5
    latents = clusters[torch.randint(12, (2, 600))] + 0.1 * torch.randn(2, 600, 4)
    volume = latents.movedim(-1, 1).reshape(2, 4, 6, 10, 10)
    far_off = codebook_usage(autoencoder.codebook, volume + 100)["perplexity"]
    for step in range(30):
        learner.update(autoencoder.codebook, latents, range(2), step, accelerator)
    usage = codebook_usage(autoencoder.codebook, volume)
    assert far_off < 2 < 8 < usage["perplexity"]
    assert (autoencoder.codebook(volume) - volume).square().mean() < 0.1 * volume.var()
    assert usage["codes_used"] >= 11


def test_the_discriminator_learns_only_from_its_own_loss() -> None:
    torch.manual_seed(0)
    discriminator, loss = PatchDiscriminator(1, 4, 2), AdversarialLoss()
    fakes = torch.rand(2, 1, 1, 32, 32, requires_grad=True)
    loss.generator(discriminator, fakes).backward()
    assert fakes.grad.abs().sum() > 0 and all(p.grad is None for p in discriminator.parameters())
    fakes.grad = None
    loss.discriminator(discriminator, torch.rand(2, 1, 1, 32, 32), fakes).backward()
    assert fakes.grad is None and all(p.grad is not None for p in discriminator.parameters())


def test_learning_rate_warms_up_and_ends_low() -> None:
    schedule = Schedule(steps=100, learning_rate=1.0, warmup=10)
    rates = [learning_rate(step, schedule) for step in range(100)]
    assert rates[0] == pytest.approx(0.1) and max(rates) == rates[9] > 0.95 and rates[-1] < 0.02
    assert all(a > b for a, b in pairwise(rates[9:]))


def test_average_follows_the_weights_and_copies_the_buffers() -> None:
    model, average = (SyncreticAutoencoder(CONFIG) for _ in range(2))
    model.latent_mean.fill_(3.0)
    for step in range(400):
        update_average(average, model, step, 0.9)
    assert torch.equal(average.latent_mean, model.latent_mean)
    for kept, new in zip(average.parameters(), model.parameters(), strict=True):
        assert torch.allclose(kept, new, atol=1e-4)
