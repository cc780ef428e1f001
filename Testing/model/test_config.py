"""Configurations are saved and read strictly."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from S2LDMLib.errors import ModelError
from S2LDMLib.model.config import AutoencoderConfig, DenoiserConfig, ModelConfig, PreprocessConfig, SchedulerConfig
from S2LDMLib.model.config_files import load_config, save_config

CONFIGS = [
    ModelConfig(1, "m", ("venous",), PreprocessConfig(spacing=(1.5, 1.5, 5.0)), provenance={"data": "none"}),
    ModelConfig(),
    AutoencoderConfig(),
    DenoiserConfig(window=(8, 16, 16)),
    SchedulerConfig(prediction="epsilon"),
]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: type(c).__name__)
def test_a_configuration_survives_its_file(config: object, tmp_path: Path) -> None:
    save_config(config, tmp_path / "config.json")
    assert load_config(type(config), tmp_path / "config.json") == config
    assert [file.name for file in tmp_path.iterdir()] == ["config.json"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"extra": 1}, "unknown fields .'extra'"),
        ({"steps": None}, "steps must be of type int"),
        ({"steps": True}, "steps must be of type int"),
        ({"prediction": 3}, "prediction must be of type str"),
        ({"beta_start": "0.1"}, "beta_start must be of type float"),
    ],
)
def test_a_wrong_field_is_named(change: dict[str, object], message: str, tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    save_config(SchedulerConfig(), file)
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(ModelError, match=message):
        load_config(SchedulerConfig, file)


def test_a_missing_field_is_named(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    save_config(SchedulerConfig(), file)
    fields = json.loads(file.read_text())
    del fields["steps"]
    file.write_text(json.dumps(fields))
    with pytest.raises(ModelError, match=r"missing fields .'steps'"):
        load_config(SchedulerConfig, file)


@pytest.mark.parametrize(("text", "message"), [("{", "not valid JSON"), ("[1]", "not a JSON object")])
def test_a_broken_file_is_refused(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(text)
    with pytest.raises(ModelError, match=message):
        load_config(SchedulerConfig, file)


def test_a_tuple_of_wrong_length_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    save_config(PreprocessConfig(), file)
    file.write_text(json.dumps(json.loads(file.read_text()) | {"spacing": [1.5, 5.0]}))
    with pytest.raises(ModelError, match="spacing must be a list of 3"):
        load_config(PreprocessConfig, file)
