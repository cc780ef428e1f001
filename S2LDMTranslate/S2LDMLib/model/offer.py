"""What a model on the Hub would cost to fetch, asked before anything large is fetched."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ..errors import ModelError
from .hub import HUB_NAME, HUB_PREFIX, hub_client, list_files, read_card
from .hub_errors import explained
from .info import licence_of_card
from .layout import README_FILE


@dataclass(frozen=True)
class Offer:
    """A model on the Hub.

    Attributes:
        model: the repository, "owner/name".
        revision: the hash of the commit.
        bytes: size of the model's files.
        missing_bytes: size of those of them that are not in the cache yet.
        licence: the licence that the repository states.
        cache: the folder that the model would lie in.
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
    name = HUB_NAME.fullmatch(model.removeprefix(HUB_PREFIX))
    if name is None or Path(os.path.expanduser(model)).is_dir():
        raise ModelError(f"'{model}' is no Hub repository. Give owner/name or owner/name@revision.")
    repo_id, revision = name["repo_id"], name["revision"] or "main"
    hub = hub_client()
    with explained(repo_id, "download", revision):
        commit, sizes = list_files(hub, repo_id, revision)
        is_cached = {
            name: isinstance(hub.try_to_load_from_cache(repo_id, name, revision=commit), str) for name in sizes
        }
        card = read_card(hub, repo_id, commit) if README_FILE in sizes else ""
    return Offer(
        model=repo_id,
        revision=commit,
        bytes=sum(sizes.values()),
        missing_bytes=sum(size for name, size in sizes.items() if not is_cached[name]),
        licence=licence_of_card(card),
        cache=hub.constants.HF_HUB_CACHE,
    )
