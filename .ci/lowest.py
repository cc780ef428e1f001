"""Prints the lowest versions that pyproject.toml and the lists of requirements allow, as constraints for pip.

PyTorch is left out: which build is installed is the Makefile's TORCH.
"""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OF_DEVELOPERS = ("test", "integration")

project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
extras = project.get("optional-dependencies", {})
requirements = list(project.get("dependencies", []))
for name in extras.keys() - set(OF_DEVELOPERS):
    requirements += extras[name]
for file in ROOT.glob("*/Resources/Requirements/*.txt"):
    requirements += file.read_text(encoding="utf-8").splitlines()
bounds = dict(found.groups() for line in requirements if (found := re.match(r"([\w.-]+)>=([\w.]+)", line)))
for name in sorted(bounds.keys() - {"torch"}):
    print(f"{name}=={bounds[name]}")
