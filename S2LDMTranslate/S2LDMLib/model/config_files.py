"""Configurations as JSON files. Reading is strict: an unknown, missing or wrongly typed field is an error, so that a
model made by a newer version is never half understood.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from ..atomic import atomic_write
from ..errors import ModelError, one_line

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Config = TypeVar("Config", bound="DataclassInstance")


def save_config(config: DataclassInstance, file: Path) -> None:
    """Write a configuration as JSON: to a temporary name first, then renamed."""
    with atomic_write(file) as partial:
        partial.write_text(json.dumps(dataclasses.asdict(config), indent=2) + "\n", encoding="utf-8")


def load_config(cls: type[Config], file: Path) -> Config:
    """Read a configuration of the given class.

    Raises:
        ModelError: the file is missing, is not JSON, or its fields are not exactly those of ``cls``.
    """
    if not file.is_file():
        raise ModelError(f"The model has no {file.parent.name}/{file.name}. Get the whole model folder.")
    return build_config(cls, read_json(file), str(file))


def read_json(file: Path) -> dict[str, Any]:
    """Read a file that holds one JSON object.

    Raises:
        ModelError: it cannot be read, or holds something else.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{file} is not valid JSON ({one_line(error)}). Copy or download it again.") from error
    if not isinstance(content, dict):
        raise ModelError(f"{file} is not a JSON object. Copy or download it again.")
    return content


def build_config(cls: type[Config], data: Any, where: str) -> Config:
    """Turn what JSON gave into a configuration; ``where`` is named in errors.

    Raises:
        ModelError: a field is unknown, missing or of the wrong type.
    """
    if not isinstance(data, dict):
        raise ModelError(f"{where}: an object is expected, not {type(data).__name__}.")
    hints = get_type_hints(cls)
    names = {f.name for f in dataclasses.fields(cls)}
    if set(data) != names:
        unknown, missing = sorted(set(data) - names), sorted(names - set(data))
        raise ModelError(f"{where}: unknown fields {unknown}, missing fields {missing}; is it of another version?")
    return cls(**{name: _convert(hints[name], data[name], f"{where}: {name}") for name in names})


def _convert(hint: Any, value: Any, where: str) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if origin in (UnionType, Union):
        return None if value is None else _convert(next(a for a in args if a is not type(None)), value, where)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return build_config(hint, value, where)
    if origin is tuple:
        if not isinstance(value, list) or (args[-1] is not Ellipsis and len(value) != len(args)):
            length = "" if args[-1] is Ellipsis else f" of {len(args)}"
            raise ModelError(f"{where} must be a list{length}, not {value!r}.")
        kinds = [args[0]] * len(value) if args[-1] is Ellipsis else args
        return tuple(_convert(kind, item, where) for kind, item in zip(kinds, value, strict=True))
    if origin is dict:
        if not isinstance(value, dict):
            raise ModelError(f"{where} must be an object, not {value!r}.")
        return {str(key): _convert(args[1], item, f"{where}: {key}") for key, item in value.items()}
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is not hint:
        raise ModelError(f"{where} must be of type {hint.__name__}, not {value!r}.")
    return value
