"""Weights are read strictly, only from safetensors, and written whole or not at all."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from S2LDMLib import atomic
from S2LDMLib.errors import InputError, ModelError
from S2LDMLib.model.layout import sha256_of, weights_digest
from S2LDMLib.model.weights import load_weights, save_weights
from safetensors import safe_open
from safetensors.torch import load_file, save_file


def make_network(channels: int = 2, seed: int = 0) -> torch.nn.Module:
    """Return a small network with weights, buffers and an integer buffer."""
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Conv3d(1, channels, 3), torch.nn.BatchNorm3d(channels))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "autoencoder" / "model.safetensors"
    save_weights(make_network(), path)
    return path


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    return all(torch.equal(one.state_dict()[name], value) for name, value in other.state_dict().items())


def test_saved_weights_load_into_another_network(file: Path) -> None:
    network = make_network(seed=1)
    load_weights(network, file)
    assert same(network, make_network())


def test_file_names_its_format_and_keeps_no_temporary_file(file: Path) -> None:
    with safe_open(file, framework="pt") as stored:
        assert stored.metadata() == {"format": "pt"}
    assert [path.name for path in file.parent.iterdir()] == ["model.safetensors"]


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_file_has_the_permissions_of_any_new_file(file: Path) -> None:
    ordinary = file.with_name("ordinary")
    ordinary.touch()
    assert file.stat().st_mode == ordinary.stat().st_mode


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_storage_takes_the_dtype_of_the_network(tmp_path: Path, dtype: torch.dtype) -> None:
    file = tmp_path / "model.safetensors"
    save_weights(make_network(), file, dtype)
    assert load_file(file)["0.weight"].dtype == dtype
    assert load_file(file)["1.num_batches_tracked"].dtype == torch.int64
    network = make_network(seed=1)
    load_weights(network, file)
    expected = make_network()[0].weight
    assert network[0].weight.dtype == torch.float32
    assert torch.equal(network[0].weight, expected.to(dtype).float())


def test_float32_storage_fills_a_half_precision_network(file: Path) -> None:
    network = make_network(seed=1).half()
    load_weights(network, file)
    assert torch.equal(network[0].weight, make_network()[0].weight.half())


def test_tied_and_strided_weights_are_saved(tmp_path: Path) -> None:
    network = torch.nn.ModuleDict({"a": torch.nn.Linear(2, 2), "b": torch.nn.Linear(2, 2)})
    network["b"].weight = network["a"].weight
    network["a"].bias.data = torch.arange(4.0)[::2]
    save_weights(network, tmp_path / "model.safetensors")
    stored = load_file(tmp_path / "model.safetensors")
    assert torch.equal(stored["a.weight"], stored["b.weight"])
    assert stored["a.bias"].tolist() == [0.0, 2.0]


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"model\.safetensors do not exist\. Check"):
        load_weights(make_network(), tmp_path / "model.safetensors")


@pytest.mark.parametrize("suffix", [".bin", ".pt", ".ckpt", ".pth"])
def test_pickle_beside_a_missing_file_is_refused_with_the_way_out(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"weights{suffix}").write_bytes(b"")
    with pytest.raises(ModelError, match=rf"weights\{suffix}\) are refused .* Save them with safetensors"):
        load_weights(make_network(), tmp_path / "model.safetensors")


class Bomb:
    """A pickle that leaves a mark when it is opened."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("kind", ["zip", "legacy", "plain"])
def test_renamed_pickle_is_recognised_and_never_opened(tmp_path: Path, kind: str) -> None:
    file, mark = tmp_path / "model.safetensors", tmp_path / "mark"
    if kind == "plain":
        file.write_bytes(pickle.dumps(Bomb(mark)))
    else:
        torch.save({"w": Bomb(mark)}, file, _use_new_zipfile_serialization=kind == "zip")
    with pytest.raises(ModelError, match="is a pickle and not a safetensors file"):
        load_weights(make_network(), file)
    assert not mark.exists()


@pytest.mark.parametrize("length", [0, 5, 100, -1])
def test_truncated_file_is_refused(file: Path, length: int) -> None:
    file.write_bytes(file.read_bytes()[:length])
    with pytest.raises(ModelError, match="is truncated or corrupt"):
        load_weights(make_network(), file)


def test_git_lfs_pointer_is_recognised(file: Path) -> None:
    file.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n")
    with pytest.raises(ModelError, match="git lfs pull"):
        load_weights(make_network(), file)


def test_missing_and_unexpected_tensors_are_named_in_part(file: Path) -> None:
    with pytest.raises(ModelError, match=r"lacks bias, weight and has the unexpected 0\.bias, .* and 4 more"):
        load_weights(torch.nn.Linear(2, 2), file)


def test_wrong_shapes_are_given_with_the_expected_ones(file: Path) -> None:
    with pytest.raises(ModelError, match=r"0\.bias is \(2,\), expected \(4,\); .* and 3 more"):
        load_weights(make_network(channels=4), file)


@pytest.mark.parametrize(
    ("value", "half", "message"),
    [
        (torch.tensor([float("nan"), 1]), False, r"1\.weight that are not finite in torch\.float32"),
        (torch.tensor([float("inf"), 1]), False, r"1\.weight that are not finite in torch\.float32"),
        (torch.tensor([1e6, 1]), True, r"1\.weight that are not finite in torch\.float16"),
        (torch.tensor([1, 1]), False, r"stores 1\.weight as torch\.int64, expected torch\.float32"),
    ],
)
def test_values_that_do_not_fit_are_refused_and_the_network_stays(
    file: Path, value: torch.Tensor, half: bool, message: str
) -> None:
    save_file({**load_file(file), "1.weight": value}, file)
    network, untouched = make_network(seed=1), make_network(seed=1)
    if half:
        network, untouched = network.half(), untouched.half()
    with pytest.raises(ModelError, match=message):
        load_weights(network, file)
    assert same(network, untouched)


def test_failed_save_keeps_the_former_file_and_leaves_nothing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    before = file.read_bytes()
    monkeypatch.setattr(atomic.os, "replace", fail)
    with pytest.raises(InputError, match="No space left on device"):
        save_weights(make_network(seed=1), file)
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


def test_save_where_no_folder_can_be_says_so(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(InputError, match=r"Cannot write the weights .*model\.safetensors"):
        save_weights(make_network(), tmp_path / "taken" / "model.safetensors")


def test_sha256_is_that_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_of(tmp_path / "a").startswith("ba7816bf8f01cfea")


def test_digest_covers_configurations_and_weights_only(file: Path) -> None:
    folder = file.parent.parent
    (folder / "config.json").write_text("{}")
    before = weights_digest(folder)
    (folder / "README.md").write_text("A model.")
    (folder / "notes.json").write_text("{}")
    assert weights_digest(folder) == before
    for changed in (folder / "config.json", file):
        changed.write_bytes(changed.read_bytes() + b" ")
        assert weights_digest(folder) != before
        before = weights_digest(folder)


def test_digest_does_not_depend_on_the_place(file: Path, tmp_path: Path) -> None:
    moved = file.parent.parent / "moved"
    here = weights_digest(tmp_path)
    moved.mkdir()
    file.parent.rename(moved / "autoencoder")
    assert weights_digest(moved) == here


def test_digest_of_a_folder_without_model_files_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no model files"):
        weights_digest(tmp_path)


def test_the_bundled_model_is_described_without_any_package() -> None:
    """Nor the Hub client: the panel asks for facts of a model inside Slicer before either is installed."""
    script = (
        "import sys, S2LDMLib.model.weights; from S2LDMLib.model import hub, info; "
        "info.describe_model(hub.resolve_model('bundled')); "
        "print({'torch', 'safetensors', 'huggingface_hub', 'yaml'} & set(sys.modules))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
    assert done.stdout.strip() == "set()", done.stderr
