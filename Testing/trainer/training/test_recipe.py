"""Presets and changes to them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from S2LDMLib.errors import InputError, S2LDMError
from S2LDMTrainerLib.recipe import Recipe, load_preset, preset_names, read_recipe
from S2LDMTrainerLib.training.run_folder import RunFolder


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_is_a_whole_recipe_and_survives_the_run_folder(name: str, tmp_path: Path) -> None:
    recipe = load_preset(name)
    with RunFolder(tmp_path / "run") as run:
        run.begin(recipe)
    assert read_recipe(tmp_path / "run" / "recipe.json") == recipe


def test_the_paper_preset_is_the_papers_recipe_and_marks_what_it_left_open() -> None:
    recipe = load_preset("paper")
    assert (recipe.preprocess.window, recipe.preprocess.level, recipe.preprocess.range) == (400.0, 0.0, (-1.0, 1.0))
    assert recipe.autoencoder_training.crop == recipe.diffusion_training.crop == (48, 256, 256)
    assert (recipe.autoencoder_training.schedule.steps, recipe.diffusion_training.schedule.steps) == (1000, 5000)
    assert (recipe.denoiser.kind, recipe.scheduler.prediction, recipe.scheduler.train_timesteps) == (
        "paper",
        "epsilon",
        1000,
    )
    assert recipe.autoencoder_training.target == "cect" and recipe.autoencoder.num_embeddings > 0
    assert any(key.startswith("open in the paper") for key in recipe.notes)


def test_the_ablation_rows_differ_from_the_paper_in_their_switches_alone() -> None:
    switches = {"a": (False, 0.0, False), "b": (True, 0.0, False), "c": (True, 1.0, False), "d": (True, 0.0, True)}
    whole = load_preset("paper")
    for row, (syncretic, similarity, mask) in switches.items():
        recipe = load_preset(f"ablation_{row}")
        ae, diffusion = recipe.autoencoder_training, recipe.diffusion_training
        assert (ae.syncretic, ae.similarity_weight, diffusion.dynamic_mask) == (syncretic, similarity, mask)
        same = dataclasses.replace(
            recipe, name=whole.name, preset=whole.preset, notes=whole.notes,
            autoencoder_training=dataclasses.replace(ae, syncretic=True, similarity_weight=1.0),
            diffusion_training=dataclasses.replace(diffusion, dynamic_mask=True),
        )  # fmt: skip
        assert same == whole


def test_a_change_reaches_its_place() -> None:
    recipe = load_preset("demo", ["diffusion_training.schedule.steps=7", 'phases=["venous"]', "name=mine"])
    assert (recipe.diffusion_training.schedule.steps, recipe.phases, recipe.name) == (7, ("venous",), "mine")


@pytest.mark.parametrize(
    ("preset", "change", "message"),
    [
        ("demo", "seeds=1", "there is no key 'seeds'. Known here: name, preset, phases"),
        ("demo", "autoencoder_training.schedule.stepz=1", "no key 'autoencoder_training.schedule.stepz'"),
        ("demo", "seed", "has no value"),
        ("demo", "seed=many", "seed must be of type int"),
        ("demo", "precision=int8", "precision is 'int8'. Use one of auto, fp32"),
        ("demo", "autoencoder_training.schedule.batch=0", "batch is 0. Give a number above 0"),
        ("demo", "autoencoder_training.schedule.warmup=0", "warmup is 0. Give a number above 0"),
        ("demo", "diffusion_training.renew_every=0", "renew_every is 0. Give 1 or more"),
        ("demo", "phases=[]", "no phases"),
        ("nothing", "seed=1", "no preset 'nothing'. Use one of ablation_a"),
    ],
)
def test_a_wrong_preset_or_change_is_explained(preset: str, change: str, message: str) -> None:
    with pytest.raises(S2LDMError, match=message.replace("(", r"\(")) as error:
        load_preset(preset, [change])
    assert "\n" not in str(error.value)


def test_an_unknown_key_in_a_preset_file_is_explained(tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text(json.dumps({"extends": "demo", "denoiser": {"chanels": [8]}}))
    with pytest.raises(InputError, match=r"there is no key 'denoiser\.chanels'"):
        load_preset(str(file))


def write_former(file: Path, recipe: Recipe, **changes: dict[str, bool]) -> Path:
    """``recipe.json`` as version 0.1.0 wrote it."""
    former = dataclasses.asdict(recipe)
    former["data"] |= {"pad": True}
    former["diffusion_training"] |= {"mask_loss": False}
    former["denoiser"]["kind"] = former["denoiser"]["kind"].replace("residual_x0", "product")
    for part, values in changes.items():
        former[part] |= values
    file.write_text(json.dumps(former))
    return file


@pytest.mark.parametrize(("preset", "pad"), [("demo", True), ("paper", False)])
def test_a_run_of_version_0_1_0_can_go_on(tmp_path: Path, preset: str, pad: bool) -> None:
    recipe = load_preset(preset)
    file = write_former(tmp_path / "recipe.json", recipe, data={"pad": pad})
    assert read_recipe(file) == recipe
    assert dataclasses.replace(load_preset(str(file)), preset=preset) == recipe
    RunFolder(tmp_path).check(recipe, resume=True)


def test_a_former_run_that_no_longer_trains_alike_is_refused(tmp_path: Path) -> None:
    file = write_former(tmp_path / "recipe.json", Recipe(), diffusion_training={"mask_loss": True})
    for read in (lambda: read_recipe(file), lambda: load_preset(str(file))):
        with pytest.raises(InputError, match=r"mask_loss is True.*version 0\.1\.0"):
            read()


def test_a_run_folder_takes_one_run_at_a_time(tmp_path: Path) -> None:
    with (
        RunFolder(tmp_path / "run"),
        pytest.raises(InputError, match="in use by another run"),
        RunFolder(tmp_path / "run"),
    ):
        pass
    with RunFolder(tmp_path / "run"):  # free again
        pass


def test_a_run_folder_refuses_what_is_not_its_run(tmp_path: Path) -> None:
    recipe, run = Recipe(), RunFolder(tmp_path / "run")
    with run:
        run.begin(recipe)
    with pytest.raises(InputError, match=r"holds a run already\. Go on with --resume"):
        run.check(recipe, resume=False)
    run.check(recipe, resume=True)
    run.check(dataclasses.replace(recipe, name="another name", notes={"why": "free"}), resume=True)
    with pytest.raises(InputError, match="another recipe: seed"):
        run.check(dataclasses.replace(recipe, seed=1), resume=True)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.png").write_bytes(b"")
    with pytest.raises(InputError, match="not empty and holds no run"):
        RunFolder(tmp_path / "photos").check(recipe, resume=False)
