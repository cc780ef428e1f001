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
def test_a_configuration_survives_its_file(
    config: ModelConfig | AutoencoderConfig | DenoiserConfig | SchedulerConfig, tmp_path: Path
) -> None:
    save_config(config, tmp_path / "config.json")
    assert load_config(type(config), tmp_path / "config.json") == config
    assert [file.name for file in tmp_path.iterdir()] == ["config.json"]


@pytest.mark.parametrize(
    ("config", "change", "message"),
    [
        (SchedulerConfig(), {"extra": 1}, "unknown fields .'extra'"),
        (SchedulerConfig(), {"steps": ...}, "missing fields .'steps'"),
        (SchedulerConfig(), {"steps": None}, "steps must be of type int"),
        (SchedulerConfig(), {"steps": True}, "steps must be of type int"),
        (SchedulerConfig(), {"prediction": 3}, "prediction must be of type str"),
        (SchedulerConfig(), {"beta_start": "0.1"}, "beta_start must be of type float"),
        (PreprocessConfig(), {"spacing": [1.5, 5.0]}, "spacing must be a list of 3"),
        (ModelConfig(), {"preprocess": 1}, "preprocess: an object is expected"),
        (ModelConfig(), {"provenance": []}, "provenance must be an object"),
    ],
)
def test_a_wrong_field_is_named(
    config: SchedulerConfig | PreprocessConfig | ModelConfig, change: dict[str, object], message: str, tmp_path: Path
) -> None:
    file = tmp_path / "config.json"
    save_config(config, file)
    fields = json.loads(file.read_text()) | change
    file.write_text(json.dumps({name: value for name, value in fields.items() if value is not ...}))
    with pytest.raises(ModelError, match=message):
        load_config(type(config), file)


@pytest.mark.parametrize(
    ("text", "message"), [(None, "has no .*config.json"), ("{", "not valid JSON"), ("[1]", "not a JSON object")]
)
def test_a_broken_file_is_refused(text: str | None, message: str, tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ModelError, match=message):
        load_config(SchedulerConfig, file)
