"""Attach a user's own page images to a dataset that was published without them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
from datasets import Features

from loaders.evidence import RowsByKey
from loaders.features import PAGES, page_features, question_features
from loaders.folder import carry_over, check_replaceable, replaced_folder, settle
from loaders.images import FolderImages
from loaders.manifest import ConfigInfo, Manifest, Publication, SplitInfo, read_manifest
from loaders.metadata import write_metadata
from loaders.parquet import ShardSize, SplitWriter, iter_split
from loaders.verify import verify_dataset
from pinpoint_data.errors import DatasetError, Outcome, UsageError
from pinpoint_data.progress import track


def join_images(
    dataset: Path | str, images: Path | str, out: Path | str, *, inline: bool = False, shards: ShardSize | None = None
) -> Publication:
    """Write `dataset` with page images to `out`; every file is checked against the published hash.

    A page is looked for under its published path in `images`, under `<source>/<path>`, and then by hash anywhere
    below. A page that is missing or differs is reported and has the image None; the rest goes on.

    Args:
        dataset: A published dataset folder.
        images: The folder with the images or PDF files.
        out: The new dataset folder; it may be `dataset` itself.
        inline: Put the images into the rows of the sources instead of the config `pages`.
        shards: When a Parquet file ends and the next begins.

    Raises:
        UsageError: `images` is no folder, `out` holds something else, or the dataset has its images already.
        DatasetError: `dataset` is none, or the result does not load as it was written.
    """
    source, target, root = settle(Path(dataset)), settle(Path(out)), Path(images).resolve()
    manifest = read_manifest(source)
    if not root.is_dir():
        raise UsageError("is not a folder", file=root, remedy="name the folder of the page images")
    if manifest.images != "none":
        raise UsageError(f"has its images already ({manifest.images})", file=source, remedy="use it as it is")
    check_replaceable(target)
    outcome = Outcome()
    with replaced_folder(target) as folder:
        found = FolderImages(root, outcome)
        job = _Join(source, folder, manifest, found, outcome, shards or ShardSize())
        joined = replace(job.run(inline), rendered_pages=len(found.rendered))
        write_metadata(folder, joined)
        verify_dataset(folder, joined)
    return Publication(target, joined, outcome)


@dataclass
class _Join:
    """One run of `join_images`."""

    source: Path
    folder: Path
    manifest: Manifest
    images: FolderImages
    outcome: Outcome
    shards: ShardSize

    def run(self, inline: bool) -> Manifest:
        changed = self.manifest.of_kind("questions") if inline else self.manifest.of_kind("pages")
        kept = {config.name for config in self.manifest.configs} - {config.name for config in changed}
        carry_over(self.source, self.folder, without={path.name for path in self.source.iterdir()} - kept)
        joined = replace(self.manifest, images="inline" if inline else "pages")
        for config in changed:
            joined = joined.with_config(self._questions(config) if inline else self._pages(config))
        return joined

    def _pages(self, config: ConfigInfo) -> ConfigInfo:
        def with_image(row: dict[str, Any]) -> dict[str, Any]:
            return row | {"image": self._image(row)}

        return self._rewritten(config, page_features(images=False), page_features(images=True), with_image)

    def _questions(self, config: ConfigInfo) -> ConfigInfo:
        pages = self._page_index()
        most = max((len(row["pages"] or ()) for row in self._rows(config, question_features(), ["pages"])), default=0)

        def with_images(row: dict[str, Any]) -> dict[str, Any]:
            found = [self._image(self._page(pages, page)) for page in row["pages"] or ()]
            return row | ({"images": found} if most > 1 else {"image": found[0] if found else None})

        after = question_features("images" if most > 1 else "image")
        return self._rewritten(config, question_features(), after, with_images)

    def _page(self, pages: RowsByKey, page: Mapping[str, Any] | None) -> Mapping[str, Any]:
        page_id = page["page_id"] if page else None
        rows = pages.rows(page_id) if page_id else []
        if not rows:
            raise self._damaged(f"page {page_id!r} of a question is not in the config {PAGES!r}")
        return rows[0]

    def _damaged(self, message: str) -> DatasetError:
        return DatasetError(message, file=self.source, remedy="publish the dataset again")

    def _image(self, page: Mapping[str, Any]) -> dict[str, Any] | None:
        if missing := [name for name in ("page_id", "source", "path", "width", "height") if page[name] is None]:
            raise self._damaged(f"a page has no {missing[0]}")
        image = self.images(page)
        self.outcome.counts["images attached" if image is not None else "images left out"] += 1
        return image

    def _page_index(self) -> RowsByKey:
        features = page_features(images=False)
        rows = list(self._rows(self.manifest.config(PAGES), features, list(features)))
        return RowsByKey(pa.Table.from_pylist(rows, schema=features.arrow_schema), "page_id")

    def _rows(self, config: ConfigInfo, features: Features, columns: list[str]) -> Iterator[dict[str, Any]]:
        for split in config.splits.values():
            yield from iter_split(self.source, split, features, columns)

    def _rewritten(self, config: ConfigInfo, before: Features, after: Features, change: Any) -> ConfigInfo:
        splits: dict[str, SplitInfo] = {}
        for name, split in config.splits.items():
            writer = SplitWriter(self.folder, config.name, name, after, self.shards)
            try:
                for row in track(iter_split(self.source, split, before), f"{config.name} {name}", split.rows):
                    writer.write(change(row))
                info = writer.finish(split.facts)
            finally:
                writer.abandon()
            if info is None:
                raise self._damaged(f"split {name!r} of config {config.name!r} has no rows")
            splits[name] = info
        return replace(config, features=after.to_dict(), splits=splits)
