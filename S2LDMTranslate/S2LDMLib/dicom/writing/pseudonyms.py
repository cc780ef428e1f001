"""Pseudonyms of patients, studies and images: the same ones whenever the same key is used, and unguessable without it.

A keyed hash (HMAC-SHA256) of the original. Two phases of one patient, exported on two days, stay one patient and one
study; who has the results but not the key cannot tell whose they are, nor try out patient IDs.
"""

from __future__ import annotations

import hmac
import os
import secrets
import sys
import tempfile
import warnings
from pathlib import Path

from ...errors import InputError, S2LDMWarning

_KEY_BYTES = 32
_UID_ROOT = "2.25."  # of UIDs made from a UUID, PS3.5 B.2


def default_key_file() -> Path:
    """The user's own key, in the folder where the system keeps the data of programs.

    Raises:
        RuntimeError: the user has no home.
    """
    if home := os.environ.get("XDG_DATA_HOME"):
        folder = Path(home)
    elif sys.platform == "win32":
        folder = Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming")
    elif sys.platform == "darwin":
        folder = Path.home() / "Library" / "Application Support"
    else:
        folder = Path.home() / ".local" / "share"
    return folder / "s2ldm" / "anonymize.key"


def read_key(file: Path | None = None) -> bytes:
    """Read a key; where there is none, make a new one that only its owner may read, and warn of it.

    Args:
        file: the key; None for the user's own, whose folder is made too.

    Raises:
        InputError: the file cannot be read or made, or is no key.
    """
    try:
        place = file or default_key_file()
        if not place.exists():
            if file is None:
                place.parent.mkdir(parents=True, exist_ok=True)
            _make_key(place)
        key = bytes.fromhex(place.read_text(encoding="ascii"))
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(
            f"The key of --anonymize cannot be read or made ({error}). Give another file with --anonymize-key."
        ) from error
    if len(key) < _KEY_BYTES:
        raise InputError(f"{place} is too short for a key of --anonymize. Give another file with --anonymize-key.")
    return key


def _make_key(place: Path) -> None:
    """Make a whole key or none; of two processes that do so at once, one makes it for both."""
    handle, name = tempfile.mkstemp(prefix=".s2ldm-", dir=place.parent)  # which nobody else may read
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(_KEY_BYTES) + "\n")
        try:
            os.link(name, place)  # unlike a rename, it never replaces another process's key
        except FileExistsError:
            return
        except OSError:  # a disk without links
            os.replace(name, place)
    finally:
        Path(name).unlink(missing_ok=True)
    warnings.warn(
        f"A new key of pseudonyms is in {place}. Keep it, and keep it secret: with it alone, the next result of a "
        "patient gets the same pseudonym.", S2LDMWarning, stacklevel=2,
    )  # fmt: skip


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
        return hmac.digest(self._key, f"{kind}:{original}".encode(errors="surrogatepass"), "sha256")
