"""The phantom keeps what it promises: one grid, published enhancement, CT-like noise, a patient per seed."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from S2LDMLib.errors import InputError
from S2LDMLib.phantom.scan import PhantomTriple, make_phantom
from S2LDMLib.phantom.tissues import LABELS
from S2LDMLib.volume.grid import Grid

SIZE, SPACING = (176, 124, 26), (2.0, 2.0, 8.0)
SMALL = (64, 48, 5), (6.0, 6.0, 6.0)
NOISE = 12.0
PHASES = ("ncct", "arterial", "venous")


def arrays(triple: PhantomTriple) -> dict[str, np.ndarray]:
    return {name: sitk.GetArrayFromImage(getattr(triple, name)) for name in (*PHASES, "labels")}


@pytest.fixture(scope="module")
def images() -> PhantomTriple:
    return make_phantom(3, SIZE, SPACING, noise_hu=NOISE, oral_contrast=True)


@pytest.fixture(scope="module")
def volumes(images: PhantomTriple) -> dict[str, np.ndarray]:
    return arrays(images)


def core(labels: np.ndarray, organ: str) -> np.ndarray:
    """Voxels of an organ whose four in-plane neighbours belong to it too."""
    inside = labels == LABELS[organ]
    return np.all([np.roll(inside, shift, (1, 2)) for shift in ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0))], axis=0)


def rise(volumes: dict[str, np.ndarray], organ: str, phase: str) -> float:
    """Median enhancement of an organ above its NCCT, HU."""
    mask = core(volumes["labels"], organ)
    assert mask.sum() >= 20, f"{organ} has no core to measure"
    return float(np.median(volumes[phase][mask].astype(int) - volumes["ncct"][mask]))


def test_same_seed_gives_identical_arrays_and_another_seed_another_patient() -> None:
    first, again, other = (arrays(make_phantom(seed, *SMALL)) for seed in (5, 5, 6))
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])
    assert np.mean(first["labels"] != other["labels"]) > 0.05


def test_phases_and_labels_share_one_centred_grid(images: PhantomTriple) -> None:
    for name in PHASES:
        image = getattr(images, name)
        assert image.GetPixelID() == sitk.sitkInt16 and Grid.of(image) == Grid.of(images.labels)
    assert images.labels.GetPixelID() == sitk.sitkUInt8
    origin = tuple(-step * (count - 1) / 2 for step, count in zip(SPACING, SIZE, strict=True))
    assert Grid.of(images.ncct) == Grid(SIZE, SPACING, origin, (1, 0, 0, 0, 1, 0, 0, 0, 1))


def test_every_anatomy_label_is_present(volumes: dict[str, np.ndarray]) -> None:
    present = set(np.unique(volumes["labels"]).tolist())
    assert [name for name, value in LABELS.items() if value not in present] == []


# Published ranges, HU above NCCT, widened by the noise of a median and by partial volume in small vessels.
@pytest.mark.parametrize(
    ("organ", "arterial", "venous", "slack"),
    [
        ("aorta", (300, 336), (117, 125), 6),
        ("portal_vein", (75, 104), (87, 93), 8),
        ("hepatic_vein", (24, 51), (84, 94), 8),
        ("liver", (15, 25), (59, 63), 2),
        ("spleen", (97, 108), (73, 82), 5),
        ("kidney_cortex", (195, 217), (140, 176), 6),
        ("kidney_medulla", (55, 107), (140, 150), 8),
    ],
)
def test_enhancement_lies_in_the_published_range(
    volumes: dict[str, np.ndarray], organ: str, slack: float, arterial: tuple[float, float], venous: tuple[float, float]
) -> None:
    for phase, (low, high) in (("arterial", arterial), ("venous", venous)):
        assert low - slack <= rise(volumes, organ, phase) <= high + slack, phase


def test_corticomedullary_contrast_is_arterial_only(volumes: dict[str, np.ndarray]) -> None:
    cortex, medulla = (core(volumes["labels"], f"kidney_{part}") for part in ("cortex", "medulla"))
    gap = {p: float(np.median(volumes[p][cortex]) - np.median(volumes[p][medulla])) for p in PHASES}
    assert 102 <= gap["arterial"] <= 148
    assert abs(gap["venous"]) < 30


def test_arterial_pancreas_has_the_published_density(volumes: dict[str, np.ndarray]) -> None:
    assert 108 <= np.median(volumes["arterial"][core(volumes["labels"], "pancreas")]) <= 132


def test_infrarenal_cava_is_unenhanced_while_the_suprarenal_is_mixed(volumes: dict[str, np.ndarray]) -> None:
    mask = core(volumes["labels"], "ivc")
    change = volumes["arterial"].astype(int) - volumes["ncct"]
    low, high = (np.median(change[part][mask[part]]) for part in (slice(0, 7), slice(16, 20)))
    assert low < 30 < 60 < high


@pytest.mark.parametrize("organ", ["oral_contrast", "bone", "fat", "muscle", "bowel_gas", "stool", "gallbladder"])
def test_tissue_without_enhancement_stays_the_same(volumes: dict[str, np.ndarray], organ: str) -> None:
    for phase in ("arterial", "venous"):
        assert abs(rise(volumes, organ, phase)) < 0.8 * NOISE


def test_ncct_densities_are_typical(volumes: dict[str, np.ndarray]) -> None:
    expected = {
        "liver": (50, 62), "spleen": (42, 54), "kidney_cortex": (27, 38), "aorta": (34, 48), "fat": (-120, -90),
        "muscle": (38, 58), "lung": (-900, -800), "oral_contrast": (200, 430),
    }  # fmt: skip
    for organ, (low, high) in expected.items():
        assert low <= np.median(volumes["ncct"][core(volumes["labels"], organ)]) <= high, organ
    assert np.median(volumes["ncct"][volumes["labels"] == 0]) == pytest.approx(-1000, abs=5)
    assert volumes["ncct"].min() >= -1024


def test_noise_is_band_limited_and_independent_between_phases() -> None:
    # One slice through the liver, minus the same slice without noise, leaves the noise alone.
    grid = (220, 160, 1), (1.5, 1.5, 5.0)
    noisy, clean = arrays(make_phantom(1, *grid, noise_hu=NOISE)), arrays(make_phantom(1, *grid, noise_hu=0))
    liver = core(clean["labels"], "liver")[0]
    assert liver.sum() > 500
    noise = {p: (noisy[p][0].astype(float) - clean[p][0]) for p in PHASES}
    assert 0.75 * NOISE < noise["ncct"][liver].std() < 1.25 * NOISE
    both = liver[:, 1:] & liver[:, :-1]
    assert np.corrcoef(noise["ncct"][:, 1:][both], noise["ncct"][:, :-1][both])[0, 1] > 0.2
    # White noise has a flat spectrum; filtered back-projection removes the lowest frequencies.
    power = np.abs(np.fft.fft2(noise["ncct"])) ** 2
    radius = np.hypot(*np.meshgrid(np.fft.fftfreq(160, 1.5), np.fft.fftfreq(220, 1.5), indexing="ij"))
    assert power[radius < 0.03].mean() < 0.6 * power[(radius > 0.07) & (radius < 0.15)].mean()
    assert abs(np.corrcoef(noise["ncct"][liver], noise["arterial"][liver])[0, 1]) < 0.12


def test_oral_contrast_can_be_chosen() -> None:
    with_it, without = (arrays(make_phantom(0, *SMALL, oral_contrast=choice))["labels"] for choice in (True, False))
    assert (with_it == LABELS["oral_contrast"]).any()
    assert not (without == LABELS["oral_contrast"]).any()


@pytest.mark.parametrize(
    ("size", "spacing", "noise"), [((0, 8, 8), (1, 1, 1), 0), ((8, 8, 8), (1, -1, 1), 0), ((8, 8, 8), (1, 1, 1), -1)]
)
def test_impossible_request_is_an_input_error(size: tuple, spacing: tuple, noise: float) -> None:
    with pytest.raises(InputError):
        make_phantom(0, size, spacing, noise)
