"""Errors that a user can act on.

Every message is one sentence saying what is wrong and one saying what to do. The command line prints the message
alone on standard error and ends with ``exit_code``; Slicer shows it in the panel.
"""

from __future__ import annotations


class S2LDMError(Exception):
    """Base of all errors that this library raises on purpose."""

    exit_code = 1


class InputError(S2LDMError):
    """The input volume, an option or the output path cannot be used."""

    exit_code = 2


class ModelError(S2LDMError):
    """A model folder or repository cannot be used: missing, corrupt, unsafe, or of an unknown format."""

    exit_code = 2


class DownloadError(ModelError):
    """A model could not be fetched from the Hub for a reason outside the model itself (network, permission)."""

    exit_code = 1


class Cancelled(S2LDMError):
    """The user asked to stop; nothing was written."""

    exit_code = 130


class S2LDMWarning(UserWarning):
    """Something that the user should know and that does not end the run."""


def one_line(error: BaseException) -> str:
    """An error's own words as one line without a full stop, to stand inside a message of ours."""
    words = (getattr(error, "strerror", None) or str(error)).strip() or type(error).__name__
    return words.splitlines()[0].rstrip(".:")
