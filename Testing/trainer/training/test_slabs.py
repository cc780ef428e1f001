"""Training samples: where they are cut, what they hold, and that each depends on its number alone."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from prepared_maker import write_case, write_manifest
from S2LDMLib.errors import InputError
from S2LDMLib.model.config import PreprocessConfig
from S2LDMLib.networks.autoencoder import SyncreticAutoencoder
from S2LDMTrainerLib.data import Case, load_cases
from S2LDMTrainerLib.recipe import DataRecipe, load_preset
from S2LDMTrainerLib.training.augment import AIR, Slab, _other_blood, augment
from S2LDMTrainerLib.training.latent_pool import LatentPool
from S2LDMTrainerLib.training.machine import Machine
from S2LDMTrainerLib.training.slabs import Cut, SlabDataset, check_spacing, slab_batches

SHAPE = (10, 24, 20)


def coded(shape: tuple[int, int, int], offset: int = 0) -> np.ndarray:
    """HU that tell where a voxel is: 400 z + 10 y + x / 2, roughly; above air everywhere."""
    z, y, x = np.indices(shape)
    return (300 * z + 10 * y + x // 2 + offset).astype(np.int16)


@pytest.fixture
def cases(tmp_path: Path) -> list[Case]:
    """A pair with both phases, one with the venous alone, and a CECT without an NCCT."""
    ones = np.ones(SHAPE, np.uint8)
    both = {"ncct": coded(SHAPE), "arterial": coded(SHAPE, 1), "venous": coded(SHAPE, 2)}
    both |= {"arterial_valid": ones, "venous_valid": ones}
    write_case(tmp_path / "both", both, kind="pair")
    venous = {"ncct": coded(SHAPE, 4), "venous": coded(SHAPE, 6), "venous_valid": ones}
    write_case(tmp_path / "venous_only", venous, kind="pair")
    write_case(tmp_path / "without", {"cect": coded(SHAPE, 8)}, kind="cect")
    write_manifest(tmp_path, dict.fromkeys(("both", "venous_only", "without"), "train"))
    return load_cases(tmp_path)


def dataset(cases: list[Case], cut: Cut, augmentation: str = "none", seed: int = 0, **more: bool) -> SlabDataset:
    return SlabDataset(cases, ("arterial", "venous"), DataRecipe(), cut, augmentation, (seed, 1), **more)


def same(a: Slab, b: Slab) -> bool:
    return all(torch.equal(getattr(a, name), getattr(b, name)) for name in ("ncct", "cect", "valid"))


@pytest.mark.parametrize("augmentation", ["none", "light", "full"])
def test_a_sample_is_a_function_of_the_seed_and_its_number(cases: list[Case], augmentation: str) -> None:
    first, again, other = (dataset(cases, Cut(3, (16, 16)), augmentation, seed) for seed in (0, 0, 1))
    for number in (7, 0, 7):
        assert same(first[number], again[number])
    assert not same(first[7], first[8]) and not same(first[7], other[7])


def test_a_crop_is_taken_at_one_place_of_all_images(cases: list[Case]) -> None:
    samples = dataset(cases[:1], Cut(3, (16, 12)))
    for number in range(8):
        slab = samples[number]
        assert slab.ncct.shape == (3, 16, 12) and slab.cect.shape == slab.valid.shape == (2, 3, 16, 12)
        assert torch.equal(slab.cect[0] - slab.ncct, torch.ones(3, 16, 12))
        z, y = int(slab.ncct[0, 0, 0]) // 300, int(slab.ncct[0, 0, 0]) % 300 // 10
        inside = coded(SHAPE)[z : z + 3, y : y + 16].astype(np.float32)
        assert any(np.array_equal(slab.ncct, inside[:, :, x : x + 12]) for x in range(9))


def test_a_volume_smaller_than_the_plane_is_padded_with_air_that_does_not_count(cases: list[Case]) -> None:
    slab = dataset(cases[:1], Cut(4, (32, 32)))[0]
    top, left = (32 - 24) // 2, (32 - 20) // 2
    core = (slice(None), slice(top, top + 24), slice(left, left + 20))
    assert (slab.ncct[core] > AIR).all() and slab.valid[0][core].all()
    slab.ncct[core] = AIR
    slab.valid[0][core] = 0
    assert (slab.ncct == AIR).all() and not slab.valid[0].any()


def test_context_beyond_an_end_is_missing_and_told(cases: list[Case]) -> None:
    samples = dataset(cases[:1], Cut(4, (16, 16), context=2))
    seen = Counter()
    for number in range(60):
        slab = samples[number]
        assert len(slab.ncct) + sum(slab.ends) == 8
        seen[slab.ends] += 1
    assert {(0, 0), (2, 0), (0, 2)} <= set(seen) <= {(0, 0), (1, 0), (2, 0), (0, 1), (0, 2)}


def test_a_missing_phase_is_nowhere_valid(cases: list[Case]) -> None:
    slab = dataset(cases[1:2], Cut(2, (16, 16)))[0]
    assert not slab.valid[0].any() and slab.valid[1].all()
    assert torch.equal(slab.cect[0], slab.ncct) and torch.equal(slab.cect[1], slab.ncct + 2)


def test_the_autoencoder_gets_one_phase_that_is_there_and_cects_without_an_ncct(cases: list[Case]) -> None:
    samples = dataset(cases, Cut(1, (16, 16)), single=True)
    steps = Counter(int((slab.cect[0] - slab.ncct).mean()) for slab in map(samples.__getitem__, range(80)))
    assert set(steps) == {0, 1, 2}  # without an NCCT; arterial; venous, of either pair
    assert all(slab.valid.all() and len(slab.cect) == 1 for slab in map(samples.__getitem__, range(20)))


def test_kinds_are_drawn_by_their_shares(cases: list[Case]) -> None:
    samples = SlabDataset(
        cases, ("venous",), DataRecipe(share={"pair": 0.25, "cect": 0.75}), Cut(1, (16, 16)), "none", (0,), single=True
    )
    drawn = [bool((slab.cect[0] == slab.ncct).all()) for slab in map(samples.__getitem__, range(400))]
    assert 0.68 < np.mean(drawn) < 0.82


def test_processes_share_the_samples_of_one(cases: list[Case]) -> None:
    samples = dataset(cases, Cut(2, (16, 16)), "light")
    whole = list(islice(slab_batches(samples, range(4), 4, 5, 0), 3))
    parts = [list(islice(slab_batches(samples, slots, 4, 5, 0), 3)) for slots in (range(2), range(2, 4))]
    for step in range(3):
        for a, b in zip(whole[step], parts[0][step] + parts[1][step], strict=True):
            assert same(a, b)


@pytest.mark.slow
def test_workers_read_the_same_samples(cases: list[Case]) -> None:
    samples = dataset(cases, Cut(2, (16, 16)), "full")
    alone, ahead = (list(islice(slab_batches(samples, range(2), 2, 0, n), 4)) for n in (0, 2))
    assert all(same(a, b) for ours, theirs in zip(alone, ahead, strict=True) for a, b in zip(ours, theirs, strict=True))


def test_full_augmentation_never_invents_enhancement() -> None:
    rng = np.random.default_rng(0)
    ncct = torch.full((4, 32, 32), 40.0)
    slab = Slab(ncct, ncct[None].clone(), torch.ones(1, 4, 32, 32))
    added = []
    for _ in range(20):
        made = augment(slab, "full", rng)
        difference = (made.cect[0] - made.ncct)[made.valid[0] > 0]
        assert set(made.valid.unique().tolist()) <= {0.0, 1.0}
        added.append(difference.median().item())  # edges differ: the NCCT alone is softened
    assert max(abs(value) for value in added) < 4  # only noise of the NCCT, up to 12 HU


def test_too_small_volumes_and_other_spacings_are_refused_by_name(cases: list[Case]) -> None:
    with pytest.raises(InputError, match="both has 10 slices, less than the crop of 12"):
        dataset(cases, Cut(12, (16, 16)))
    with pytest.raises(InputError, match="No case with arterial or venous"):
        dataset(cases[2:], Cut(1, (16, 16)))
    with pytest.raises(InputError, match=r"both has voxels of 2\.00 x 2\.00 x 5\.00 mm.*--spacing 1 1 5"):
        check_spacing(cases[0], PreprocessConfig(spacing=(1.0, 1.0, 5.0)))


def test_blood_of_another_haematocrit_changes_in_all_images_alike() -> None:
    """Enhancement stays, and tissue without contrast medium too; the vessel alone gets other HU."""
    ncct = torch.full((4, 32, 32), 45.0)
    enhancement = torch.zeros(2, 4, 32, 32)
    enhancement[0, :, 8:24, 8:24] = 280
    slab = Slab(ncct, ncct + enhancement, torch.ones(2, 4, 32, 32))
    changes = []
    for seed in range(12):
        made = _other_blood(slab, np.random.default_rng(seed))
        assert torch.allclose(made.cect - made.ncct, enhancement, atol=1e-3)
        assert (made.ncct[:, :4] == 45).all()
        changes.append(float(made.ncct[2, 16, 16]) - 45)
    assert min(changes) < -8 and max(changes) > 5
    unknown = Slab(ncct, ncct + enhancement, torch.zeros(2, 4, 32, 32))
    assert torch.equal(_other_blood(unknown, np.random.default_rng(0)).ncct, ncct)


def test_error_counts_where_contrast_goes() -> None:
    """In full in soft tissue, a tenth of it in fat and bone, not at all where the pair is not valid."""
    recipe = load_preset("demo")
    machine, autoencoder = Machine("cpu", "fp32", 1), SyncreticAutoencoder(recipe.autoencoder)
    pool = LatentPool(None, autoencoder, recipe, machine, reach=0)
    ncct = torch.full((2, 16, 16), 40.0)
    ncct[:, :8, 8:], ncct[:, 8:, :8] = -100, 700
    valid = torch.ones(1, 2, 16, 16)
    valid[:, :, 8:, 8:] = 0
    weight = pool._weight(Slab(ncct, ncct[None], valid))
    assert weight.shape == (1, 1, 2, 4, 4) and recipe.diffusion_training.elsewhere_weight == 0.1
    corners = weight[0, 0, 0, [0, 0, 3, 3], [0, 3, 0, 3]]
    assert torch.allclose(corners, torch.tensor([1.0, 0.1, 0.1, 0.0]))
    with pytest.raises(InputError, match="elsewhere_weight is 2"):
        load_preset("demo", ["diffusion_training.elsewhere_weight=2.0"])
