"""Two judges that are not ours: dicom3tools' ``dciodvfy``, and ``dicom-validator``."""

from __future__ import annotations

from pathlib import Path

import pytest
from tools import files, run


def dciodvfy_errors(folder: Path) -> list[str]:
    """Its errors over all files of a folder, each once, with the name of the first file that has it."""
    found: dict[str, str] = {}
    for file in files(folder):
        said = run("dciodvfy", "-new", file, check=False).splitlines()
        assert "CTImage" in said, f"{file.name} is no CT image for dciodvfy: {said}"
        for line in said:
            if line.startswith("Error"):
                found.setdefault(line, file.name)
    return [f"{name}: {line}" for line, name in found.items()]


def dicom_validator_errors(folder: Path) -> list[str]:
    """Its errors over all files of a folder: missing, empty, unexpected and malformed attributes, file by file."""
    for package in ("dicom_validator", "highdicom"):
        pytest.importorskip(package, reason="run `make test-integration`, which installs it")
    from dicom_validator.validator.dicom_file_validator import DicomFileValidator
    from standard import ct_standard

    results = DicomFileValidator(ct_standard()).validate(folder)
    assert len(results) == len(files(folder)), "dicom-validator has not looked at every file"
    found = []
    for file, result in results.items():
        if result.status.name != "Passed":
            told = [f"{module} {tag} {error.code.name}" for module, tags in (result.module_errors or {}).items()
                    for tag, error in tags.items()]  # fmt: skip
            found += [f"{Path(file).name}: {each}" for each in told or [result.status.name]]
    return found
