"""A run is what its recipe, data and seed say, whatever stands in the environment or in a file's first bytes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState
from S2LDMLib.errors import InputError
from S2LDMTrainerLib.preparing.sources import read_manifest
from S2LDMTrainerLib.recipe import load_preset
from S2LDMTrainerLib.training.machine import OF_A_LAUNCHER, Machine

MARK = b"\xef\xbb\xbf"


def gradient_of_a_step() -> torch.Tensor:
    machine = Machine("cpu", "fp32", 1)
    network = torch.nn.Linear(3, 1, bias=False)
    torch.nn.init.ones_(network.weight)
    raw = torch.optim.SGD(network.parameters(), lr=1.0)
    wrapped, optimizer = machine.accelerator.prepare(network, raw)
    machine.optimizer_step(wrapped, optimizer, [lambda: wrapped(torch.ones(2, 3)).mean()], clip=1e9)
    return network.weight.detach().clone()


@pytest.mark.parametrize(
    ("name", "value"), [("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4"), ("ACCELERATE_MIXED_PRECISION", "bf16")]
)
def test_variables_of_accelerate_change_no_weight(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = gradient_of_a_step()
    monkeypatch.setenv(name, value)
    assert torch.equal(gradient_of_a_step(), expected)


@pytest.fixture
def fresh_process() -> Iterator[None]:
    """What accelerate knows of processes is one for all: forgotten before and after."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.mark.parametrize(
    ("name", "value"),
    [("WORLD_SIZE", "2"), ("WORLD_SIZE", "two"), ("OMPI_COMM_WORLD_SIZE", "2"), ("PMI_SIZE", "2"), ("LOCAL_RANK", "0")],
)
def test_what_a_launcher_has_left_over_is_told(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, fresh_process: None
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for each in (*OF_A_LAUNCHER, "LOCAL_WORLD_SIZE"):
        monkeypatch.setenv(each, "")  # accelerate sets some of them; only what was set here is taken back
        monkeypatch.delenv(each)
    monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=f"{name}={value}.*torchrun") as error:
        Machine("cpu", "fp32", 1)
    assert "\n" not in str(error.value)


def test_a_preset_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    (tmp_path / "own.json").write_bytes(MARK + b'{"extends": "phantoms", "seed": 5}')
    assert load_preset(str(tmp_path / "own.json")).seed == 5


def test_a_preset_that_extends_itself_is_told(tmp_path: Path) -> None:
    for one, other in (("a", "b"), ("b", "a")):
        (tmp_path / f"{one}.json").write_text(json.dumps({"extends": str(tmp_path / f"{other}.json")}))
    with pytest.raises(InputError, match="extends itself"):
        load_preset(str(tmp_path / "a.json"))


def test_rows_of_nothing_but_commas_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "ncct.nrrd").touch()
    (tmp_path / "pairs.csv").write_text("case,ncct,arterial\nA,ncct.nrrd,\n,,\n , ,\n")
    sources, skipped = read_manifest(tmp_path / "pairs.csv", ("arterial",), None)
    assert [each.case for each in (*sources, *skipped)] == ["A"]
