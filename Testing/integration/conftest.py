"""What the integration tests share: one exported series of each kind of input, and a PACS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kinds import KINDS, Exported, export
from pacs import Pacs, orthanc


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.integration)
            item.add_marker(pytest.mark.filterwarnings("ignore:Slices are sheared"))  # one kind of input is


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Exported]:
    """Exports a kind of ``KINDS`` by the command line, once a session."""
    made: dict[str, Exported] = {}

    def give(kind: str) -> Exported:
        if kind not in made:
            made[kind] = export(KINDS[kind], tmp_path_factory.mktemp(kind))
        return made[kind]

    return give


@pytest.fixture(scope="module")
def pacs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pacs]:
    with orthanc(tmp_path_factory.mktemp("orthanc")) as running:
        yield running
