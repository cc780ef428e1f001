"""What the test Hub stores: repositories as lists of whole commits, and how the Hub names their files."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

_LFS_SUFFIXES = (".safetensors", ".bin", ".pt", ".ckpt")


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


def tree_entry(path: str, content: bytes) -> dict[str, object]:
    """Return what the tree endpoint lists of a file."""
    entry: dict[str, object] = {
        "type": "file",
        "path": path,
        "size": len(content),
        "oid": blob_id(path, content),
    }
    if is_lfs(path):
        entry["lfs"] = {"oid": entry["oid"], "size": len(content), "pointerSize": 134}
    return entry
