"""The module Sample Data: what is registered with it, and what a click on a sample does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sources: dict[str, list[SampleDataSource]] = {}


@dataclass(frozen=True)
class SampleDataSource:
    sampleName: str
    uris: list[str]
    fileNames: list[str]
    nodeNames: list[str]
    customDownloader: Callable[[Any], Any] | None
    thumbnailFileName: str | None
    loadFileProperties: dict[str, Any] = field(default_factory=dict)


class SampleDataLogic:
    @staticmethod
    def registerCustomSampleDataSource(
        category: str = "Custom",
        sampleName: str | None = None,
        uris: str | list[str] | None = None,
        fileNames: str | list[str] | None = None,
        nodeNames: str | list[str] | None = None,
        customDownloader: Callable[[Any], Any] | None = None,
        thumbnailFileName: str | None = None,
        loadFileType: str = "VolumeFile",
        loadFiles: bool | None = None,
        loadFileProperties: dict[str, Any] | None = None,
        checksums: str | None = None,
    ) -> None:
        lists = [[each] if isinstance(each, str) else each for each in (uris, fileNames, nodeNames)]
        if None in lists or len({len(each) for each in lists if each}) != 1:
            raise ValueError("All fields of sample data source must have the same length")
        if thumbnailFileName and not Path(thumbnailFileName).is_file():
            raise FileNotFoundError(thumbnailFileName)
        source = SampleDataSource(str(sampleName), *lists, customDownloader, thumbnailFileName)
        known = sources.setdefault(category, [])
        if source.sampleName not in [each.sampleName for each in known]:
            known.append(source)

    @staticmethod
    def click(category: str, name: str) -> Any:
        """What a click on the sample's button does, of a sample with its own downloader."""
        source = next(each for each in sources[category] if each.sampleName == name)
        assert source.customDownloader is not None
        return source.customDownloader(source)
