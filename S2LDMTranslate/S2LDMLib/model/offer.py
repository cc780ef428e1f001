"""What a model on the Hub would cost to fetch, asked before anything large is fetched."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from ..errors import ModelError
from .hub import HUB_NAME, INFO_TIMEOUT_S, hub_client, silent_bar
from .hub_errors import explain
from .info import NO_LICENCE, licence_of_card
from .layout import README_FILE, REQUIRED_FILES, check_complete


@dataclass(frozen=True)
class Offer:
    """A model on the Hub.

    model, revision: repository and commit hash.
    bytes, missing_bytes: of its files, and of those that are not in the cache yet.
    licence: as the repository states it.
    cache: the folder that it would lie in.
    """

    model: str
    revision: str
    bytes: int
    missing_bytes: int
    licence: str
    cache: str


def look_up(model: str) -> Offer:
    """Ask the Hub for the size and the licence of ``owner/name`` or ``owner/name@revision``.

    Raises:
        ModelError: that is no name of a repository, there is none, or it holds no complete model.
        DownloadError: the Hub, the network or a permission is in the way.
    """
    name = HUB_NAME.fullmatch(model)
    if name is None or Path(os.path.expanduser(model)).is_dir():
        raise ModelError(f"'{model}' is no Hub repository. Give owner/name or owner/name@revision.")
    repo_id, revision = name["repo_id"], name["revision"] or "main"
    hub = hub_client()
    try:
        info = hub.HfApi().model_info(repo_id, revision=revision, files_metadata=True, timeout=INFO_TIMEOUT_S)
    except Exception as error:
        raise explain(error, repo_id, "download", revision) from error
    sizes = {sibling.rfilename: sibling.size or 0 for sibling in info.siblings or ()}
    check_complete(sizes, f"{repo_id} at {revision}")
    wanted = [name for name in (*REQUIRED_FILES, README_FILE) if name in sizes]
    missing = [
        name for name in wanted if not isinstance(hub.try_to_load_from_cache(repo_id, name, revision=info.sha), str)
    ]
    return Offer(
        model=repo_id,
        revision=info.sha,
        bytes=sum(sizes[name] for name in wanted),
        missing_bytes=sum(sizes[name] for name in missing),
        licence=_licence(hub, repo_id, info.sha) if README_FILE in sizes else NO_LICENCE,
        cache=hub.constants.HF_HUB_CACHE,
    )


def _licence(hub: ModuleType, repo_id: str, commit: str) -> str:
    """As the README states it, which is the one file that is fetched for this."""
    try:
        card = hub.hf_hub_download(repo_id, README_FILE, revision=commit, tqdm_class=silent_bar(lambda _: None))
    except Exception as error:
        raise explain(error, repo_id, "download", commit) from error
    return licence_of_card(Path(card).read_text(encoding="utf-8-sig", errors="replace"))
