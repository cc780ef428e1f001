"""Where a model comes from: the bundled demo, a local folder, or a repository on the Hugging Face Hub.

Downloads go through ``huggingface_hub``, which keeps the cache, continues broken transfers and honours
HF_ENDPOINT, HF_HOME, HF_HUB_OFFLINE and HF_TOKEN. Only the files of the model folder are ever requested: a
pickle or a script in a repository stays there. Whatever the client raises reaches the user as one sentence of
what is wrong and one of what to do.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from ..errors import DownloadError, ModelError
from .hub_errors import explained
from .layout import (
    CONFIG_FILES,
    README_FILE,
    REQUIRED_FILES,
    WEIGHT_FILES,
    check_complete,
    check_format,
    check_version,
    weights_digest,
)

BUNDLED, HUB_PREFIX = "bundled", "hf://"

Progress = Callable[[float, str], None]

# The extension keeps the demo among its resources; a pip wheel can only carry what lies inside the package.
_BUNDLED_FOLDERS = (
    Path(__file__).parents[2] / "Resources" / "Models" / "demo",
    Path(__file__).parents[1] / "bundled" / "demo",
)
HUB_NAME = re.compile(r"(?P<repo_id>\w[\w.-]*/\w[\w.-]*)(?:@(?P<revision>[^\s@]+))?", re.ASCII)
_COMMIT_HASH = re.compile(r"[0-9a-f]{40}")
INFO_TIMEOUT_S = 15.0


@dataclass(frozen=True)
class ModelSource:
    """A model that lies on this disk, and what it is called in provenance records.

    Attributes:
        folder: local folder holding the model files.
        model_id: "bundled", the folder's path or the Hub repository id.
        revision: commit hash of the Hub snapshot, or the ``weights_digest`` of a local folder.
    """

    folder: Path
    model_id: str
    revision: str


def resolve_model(
    model: str | Path,
    revision: str | None = None,
    local_files_only: bool = False,
    on_progress: Progress | None = None,
) -> ModelSource:
    """Find a model, downloading it if it is on the Hub and not in the cache yet.

    Args:
        model: "bundled", an existing folder, or a Hub repository "hf://owner/name" or "hf://owner/name@revision".
            Without "hf://" a name that is no folder here means a repository only where its model is in the cache
            already, so that a mistyped path is never sent anywhere.
        revision: branch, tag or commit hash of a repository ("main" if None); for a folder, the digest that
            it must have. A cached model given by its full commit hash needs no network.
        local_files_only: use the cache only, as HF_HUB_OFFLINE=1 does.
        on_progress: called during a download with the fraction of all bytes (0 to 1) and the file's name. An
            exception that it raises, such as ``Cancelled``, ends the download.

    Returns:
        The complete and checked model folder.

    Raises:
        ModelError: there is no such model, or it is incomplete, pickled or of an unknown format.
        DownloadError: the Hub, the network, a permission or the disk is in the way.
    """
    if model == BUNDLED:
        folder = next((folder for folder in _BUNDLED_FOLDERS if folder.is_dir()), None)
        if folder is None:
            raise ModelError("This installation has no bundled model. Install it again or give another model.")
        return _resolve_folder(folder, BUNDLED, revision)
    folder = Path(os.path.expanduser(model))
    if folder.is_dir():
        return _resolve_folder(folder, str(folder), revision)
    if folder.exists():
        raise ModelError(f"{folder} is a file and not a model folder. Give the folder that holds config.json.")
    name = HUB_NAME.fullmatch(model.removeprefix(HUB_PREFIX)) if isinstance(model, str) else None
    if name is None:
        raise ModelError(
            f"There is no model folder {folder}. "
            f"Give an existing folder, a Hub repository as {HUB_PREFIX}owner/name, or '{BUNDLED}'."
        )
    if revision and name["revision"] and revision != name["revision"]:
        raise ModelError(
            f"Two revisions of {name['repo_id']} are given, {name['revision']} and {revision}. Give only one."
        )
    repo_id, revision = name["repo_id"], revision or name["revision"] or "main"
    hub = hub_client()
    offline = local_files_only or hub.constants.is_offline_mode()
    with explained(repo_id, "download", revision):
        is_meant = str(model).startswith(HUB_PREFIX) or offline or _cached_snapshot(hub, repo_id, revision)
        if not is_meant:
            raise ModelError(
                f"There is no folder {folder} here, and no model of that name in the cache. Correct the path, or give "
                f"{HUB_PREFIX}{model} to fetch it from the Hugging Face Hub."
            )
        folder = _snapshot(hub, repo_id, revision, offline, on_progress or (lambda *_: None))
    check_format(folder)
    return ModelSource(folder, repo_id, folder.name)


def _resolve_folder(folder: Path, model_id: str, revision: str | None) -> ModelSource:
    check_format(folder)
    digest = weights_digest(folder)
    if revision not in (None, digest):
        raise ModelError(
            f"The model in {folder} has revision {digest} and not {revision}. "
            "Leave the revision out or give the folder that was meant."
        )
    return ModelSource(folder, model_id, digest)


def _cached_snapshot(hub: ModuleType, repo_id: str, revision: str) -> Path | None:
    found = [hub.try_to_load_from_cache(repo_id, name, revision=revision) for name in REQUIRED_FILES]
    return Path(found[0]).parent if all(isinstance(path, str) for path in found) else None


def _snapshot(hub: ModuleType, repo_id: str, revision: str, offline: bool, on_progress: Progress) -> Path:
    """Return the snapshot folder of a revision, named after its commit, from the cache or the Hub.

    The client's own ``snapshot_download`` would hand out a cached model even where the Hub says that it is gone or
    that the token is not valid, and its progress names no files.
    """
    cached = _cached_snapshot(hub, repo_id, revision)
    if cached and (offline or _COMMIT_HASH.fullmatch(revision)):
        return cached
    if offline:
        raise DownloadError(
            f"Offline mode is on and the cache {hub.constants.HF_HUB_CACHE} lacks {repo_id} ({revision}). "
            "Download it once without HF_HUB_OFFLINE or local_files_only, or give a model folder."
        )
    try:
        commit, sizes = list_files(hub, repo_id, revision)
    except hub.errors.HTTPError as error:
        is_refusal = isinstance(error, hub.errors.HfHubHTTPError) and error.response.status_code < 500
        if is_refusal or not cached:
            raise
        logging.getLogger(__name__).warning("The Hub is out of reach; using %s from the cache.", repo_id)
        return cached
    # Asked by name, the cache notes which commit the branch or tag is, for later use offline.
    for asked in (revision, commit):
        config = hub.hf_hub_download(repo_id, CONFIG_FILES[0], revision=asked, tqdm_class=silent_bar())
    folder = Path(config).parent
    check_version(folder)  # before the weights are requested
    _download(hub, repo_id, commit, sizes, on_progress)
    return folder


def _download(hub: ModuleType, repo_id: str, commit: str, sizes: dict[str, int], on_progress: Progress) -> None:
    """Fetch files of one commit; ``sizes`` are their bytes by name."""
    total, done = max(1, sum(sizes.values())), 0
    for name, size in sizes.items():

        def report(count: int, name: str = name, done: int = done) -> None:
            on_progress(min(done + count, total) / total, name)

        report(0)
        hub.hf_hub_download(repo_id, name, revision=commit, tqdm_class=silent_bar(report))
        done += size
    on_progress(1.0, name)


def list_files(hub: ModuleType, repo_id: str, revision: str) -> tuple[str, dict[str, int]]:
    """Ask the Hub which commit a revision is, and for the sizes of the model's files in it, the weights last.

    Returns:
        The commit hash, and bytes by the name of the file.

    Raises:
        ModelError: files of a model are missing there.
    """
    info = hub.HfApi().model_info(repo_id, revision=revision, files_metadata=True, timeout=INFO_TIMEOUT_S)
    sizes = {sibling.rfilename: sibling.size or 0 for sibling in info.siblings or ()}
    check_complete(sizes, f"{repo_id} at {revision}")
    return info.sha, {name: sizes[name] for name in (*CONFIG_FILES, README_FILE, *WEIGHT_FILES) if name in sizes}


def read_card(hub: ModuleType, repo_id: str, commit: str, token: str | None = None) -> str:
    """Fetch the README of a repository, the one file that says what its licence is."""
    card = hub.hf_hub_download(repo_id, README_FILE, revision=commit, token=token, tqdm_class=silent_bar())
    return Path(card).read_text(encoding="utf-8-sig", errors="replace")


def silent_bar(report: Callable[[int], None] = lambda _: None) -> type:
    """Return a class that the client takes for a tqdm progress bar and that reports the bytes so far."""

    class SilentBar:
        n = 0

        def __init__(self, *_args: object, **_kwargs: object) -> None:
            pass

        def __enter__(self) -> SilentBar:
            return self

        def update(self, count: float | None = 1) -> None:
            self.n += int(count or 0)
            report(self.n)

        def ignore(self, *_args: object, **_kwargs: object) -> None:
            """Do nothing; bytes on the wire (``update_transfer``) are those that ``update`` counts when written."""

        __exit__ = update_transfer = set_postfix_str = set_transfer_postfix_str = ignore

    return SilentBar


def hub_client() -> ModuleType:
    """Import the Hub client, with its usage reporting off."""
    try:
        import huggingface_hub
        import huggingface_hub.constants
        import huggingface_hub.errors
    except ImportError as error:
        raise DownloadError(
            "The package huggingface_hub is missing. Install it with: pip install 'huggingface_hub>=2'."
        ) from error
    # The variable HF_HUB_DISABLE_TELEMETRY would come too late where other code has imported the client.
    huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY = True
    return huggingface_hub
