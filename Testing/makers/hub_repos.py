"""What the test Hub stores: repositories as lists of whole commits, and how the Hub names their files."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field

import yaml

_LFS_SUFFIXES = (".safetensors", ".bin", ".pt", ".ckpt")
_LICENCES = ("apache-2.0", "mit", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "other")


@dataclass
class Repo:
    """A repository: its commits (hash to path to content, the newest last) and who may read it."""

    private: bool = False
    gated: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)

    def commit(self, files: dict[str, bytes]) -> str:
        """Add a commit that changes these files and return its hash."""
        tree = {**self.commits[self.resolve("main")], **files} if self.commits else dict(files)
        sha = hashlib.sha1(repr((len(self.commits), sorted(tree.items()))).encode()).hexdigest()
        self.commits[sha] = tree
        return sha

    def resolve(self, revision: str) -> str | None:
        """Return the commit hash of "main" or of a commit hash, None if there is no such revision."""
        if revision == "main":
            return next(reversed(self.commits), None)
        return revision if revision in self.commits else None


def is_lfs(path: str) -> bool:
    """Return whether the Hub keeps such a file in large file storage."""
    return path.endswith(_LFS_SUFFIXES)


def blob_id(path: str, content: bytes) -> str:
    """Return the ETag of a file: SHA-256 for LFS files, the git blob hash for others."""
    if is_lfs(path):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def front_matter_errors(card: str) -> list[str]:
    """Return what the Hub would say against a card's front matter; its own list of licences is longer."""
    match = re.match(r"---\r?\n(.*?)\r?\n---\s", card, re.DOTALL)
    try:
        data = yaml.safe_load(match[1]) if match else {}
    except yaml.YAMLError as error:
        return [f"YAML cannot be parsed: {error}"]
    if not isinstance(data, dict):
        return ["The front matter must be an object"]
    errors = [
        f'"{name}" must be an array of strings'
        for name in ("tags", "datasets", "metrics")
        if not all(isinstance(item, str) for item in data.get(name) or [])
    ]
    if data.get("license", "other") not in _LICENCES:
        errors.append(f'"license" must be one of [{", ".join(_LICENCES)}]')
    if data.get("pipeline_tag", "image-to-image") not in ("image-to-image", "image-segmentation", "other"):
        errors.append('"pipeline_tag" must be a known task')
    for index, model in enumerate(data.get("model-index") or []):
        errors += [f'"model-index[{index}].{name}" is required' for name in _missing_of_model(model)]
    return errors


def _missing_of_model(model: dict[str, object]) -> list[str]:
    """The required fields of the model-index specification (modelcard.md of the Hub's documentation)."""
    missing = [name for name in ("name", "results") if not model.get(name)]
    for number, result in enumerate(model.get("results") or []):
        required = {"task": ("type",), "dataset": ("type", "name")}
        missing += [
            f"results[{number}].{part}.{name}"
            for part, names in required.items()
            for name in names
            if not isinstance(result.get(part, {}).get(name), str)
        ]
        for metric in result.get("metrics") or [{}]:
            missing += [f"results[{number}].metrics.{name}" for name in ("type", "value") if metric.get(name) is None]
    return missing
