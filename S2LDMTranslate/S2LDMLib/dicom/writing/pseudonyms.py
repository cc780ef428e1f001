"""Pseudonyms of patients, studies and images: the same ones whenever the same key is used, and unguessable without it.

A keyed hash (HMAC-SHA256) of the original. Two phases of one patient, exported on two days, stay one patient and one
study; who has the results but not the key cannot tell whose they are, nor try out patient IDs.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import sys
from pathlib import Path

from ...errors import InputError

_KEY_BYTES = 32
_UID_ROOT = "2.25."  # of UIDs made from a UUID, PS3.5 B.2


def default_key_file() -> Path:
    """The user's own key, in the folder where the system keeps the data of programs."""
    if home := os.environ.get("XDG_DATA_HOME"):
        folder = Path(home)
    elif sys.platform == "win32":
        folder = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        folder = Path.home() / "Library" / "Application Support"
    else:
        folder = Path.home() / ".local" / "share"
    return folder / "s2ldm" / "anonymize.key"


def read_key(file: Path) -> bytes:
    """Read a key; where there is none, make a new one that only its owner may read.

    Raises:
        InputError: the file cannot be read or made, or is no key.
    """
    try:
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
                stream.write(secrets.token_hex(_KEY_BYTES) + "\n")
        key = bytes.fromhex(file.read_text(encoding="ascii"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"The key of --anonymize cannot be read or made in {file} ({error}). Give another with --anonymize-key."
        ) from error
    if len(key) < _KEY_BYTES:
        raise InputError(f"{file} is too short for a key of --anonymize. Give another file with --anonymize-key.")
    return key


class Pseudonyms:
    """What stands for original texts and UIDs under one key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def uid(self, original: str) -> str:
        """A valid UID, at most 44 characters."""
        return _UID_ROOT + str(int.from_bytes(self._digest("uid", original)[:16], "big"))

    def patient(self, original: str) -> str:
        """A patient ID."""
        return "ANON-" + self._digest("patient", original).hex()[:16].upper()

    def _digest(self, kind: str, original: str) -> bytes:
        return hmac.new(self._key, f"{kind}:{original}".encode(), hashlib.sha256).digest()
