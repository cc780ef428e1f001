"""Which files a volume lies in: its own, and for a detached header those that hold its voxels."""

from __future__ import annotations

from pathlib import Path

_HEADERS = {".mhd": ("elementdatafile", "="), ".nhdr": ("data file", ":")}
_LONGEST_HEADER = 1 << 20  # bytes; what follows are voxels


def files_of(volume: Path) -> list[Path]:
    """The file, and for ``.mhd`` and ``.nhdr`` the data files that it names in words; those of a pattern are left out.

    A header that cannot be read names none.
    """
    key, mark = _HEADERS.get(volume.suffix.lower(), ("", ""))
    if not key:
        return [volume]
    try:
        with volume.open("rb") as stream:
            lines = stream.read(_LONGEST_HEADER).decode("utf-8", "replace").splitlines()
    except OSError:
        return [volume]
    fields = [(line.partition(mark)[0].strip().lower(), line.partition(mark)[2].strip()) for line in lines]
    at = next((i for i, (name, _) in enumerate(fields) if name in (key, key.replace(" ", ""))), None)
    if at is None:
        return [volume]
    named = fields[at][1]
    names = [line.strip() for line in lines[at + 1 :]] if named.upper().startswith("LIST") else [named]
    return [volume, *(volume.parent / name for name in names if name and name.upper() != "LOCAL")]
