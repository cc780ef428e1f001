"""The layout of a model folder, as diffusers has it: a ``config.json`` at the top and one folder a component.

Weights are not opened here: see :mod:`S2LDMLib.model.weights`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from ..errors import ModelError, one_line
from .config import FORMAT_VERSION
from .config_files import read_json

CONFIG_FILES = ("config.json", "autoencoder/config.json", "denoiser/config.json", "scheduler/config.json")
WEIGHT_FILES = ("autoencoder/model.safetensors", "denoiser/model.safetensors")
REQUIRED_FILES = CONFIG_FILES + WEIGHT_FILES
README_FILE = "README.md"
PICKLE_SUFFIXES = (".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth")
HOW_TO_CONVERT = "Save them with safetensors (safetensors.torch.save_file) and use that file instead."


def check_format(folder: Path) -> None:
    """Check that a folder is a complete model of a format that this version reads; weights are not opened.

    Args:
        folder: a model folder.

    Raises:
        ModelError: config.json is missing, is not valid JSON or names an unknown format_version; or another
            file of the model is missing.
    """
    check_version(folder)
    present = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    check_complete(present, str(folder))
    for name in CONFIG_FILES:
        read_json(folder / name)


def check_complete(names: Iterable[str], where: str) -> None:
    """Check that the ``names`` include every file of a model.

    Raises:
        ModelError: some are missing from ``where``, which it names.
    """
    names = set(names)
    missing = [name for name in REQUIRED_FILES if name not in names]
    if not missing:
        return
    pickles = sorted(name for name in names if Path(name).suffix.lower() in PICKLE_SUFFIXES)
    if pickles and not names.intersection(WEIGHT_FILES):
        raise ModelError(
            f"{where} holds only pickled weights ({', '.join(pickles[:3])}), refused because opening them "
            f"can run code. {HOW_TO_CONVERT}"
        )
    raise ModelError(f"{where} lacks {', '.join(missing)}. Ask its author for a complete S2LDM model.")


def sha256_of(file: Path) -> str:
    """Return the SHA-256 of a file's bytes in hexadecimal, as ``sha256sum`` prints it."""
    with Path(file).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def weights_digest(folder: Path) -> str:
    """Return one hash over all configurations and weights of a model folder, to serve as its revision.

    It is the SHA-256 of the listing ``sha256sum`` gives for these files in sorted order, so it depends
    neither on the folder's place nor on its README, and can be checked by hand.

    Args:
        folder: a model folder.

    Returns:
        64 hexadecimal digits.

    Raises:
        ModelError: the folder holds no model file or one cannot be read.
    """
    present = [name for name in sorted(REQUIRED_FILES) if (Path(folder) / name).is_file()]
    if not present:
        raise ModelError(f"{folder} holds no model files. Choose the folder that holds config.json.")
    try:
        listing = "".join(f"{sha256_of(Path(folder) / name)}  {name}\n" for name in present)
    except OSError as error:
        raise ModelError(f"Cannot read the model {folder}: {one_line(error)}. Check its permissions.") from error
    return hashlib.sha256(listing.encode()).hexdigest()


def check_version(folder: Path) -> None:
    """Check that this version reads the format that the ``config.json`` of a folder names.

    Raises:
        ModelError: it does not, or the file is missing or damaged.
    """
    config = folder / CONFIG_FILES[0]
    if not config.is_file():
        raise ModelError(f"{folder} has no config.json. Give the folder that holds config.json.")
    version = read_json(config).get("format_version")
    if type(version) is not int or version < 1:
        raise ModelError(f"{config} has no valid format_version. Give a model that S2LDM has saved.")
    if version > FORMAT_VERSION:
        raise ModelError(
            f"{config} has format {version}, but this S2LDM reads formats up to {FORMAT_VERSION}. Update S2LDM."
        )
