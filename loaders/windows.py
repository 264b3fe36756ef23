"""Window labels as a config `windows_<grid>` of a published dataset, added or replaced as a whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from loaders.card import update_card
from loaders.features import WINDOWS_PREFIX, window_features
from loaders.folder import carry_over, replaced_folder, settle
from loaders.manifest import CARD, CROISSANT, MANIFEST, ConfigInfo, Manifest, Publication, SplitInfo, read_manifest
from loaders.metadata import write_metadata
from loaders.parquet import ShardSize, SplitWriter
from loaders.samples import PageRef, Sample, load_samples
from loaders.verify import verify_dataset
from pinpoint_data.errors import DatasetError, GeometryError, Outcome, Problem, UsageError
from pinpoint_data.grids import GRID_NAMES, TokenGrid, make_grid
from pinpoint_data.progress import track
from pinpoint_data.small_files import read_small_text
from pinpoint_data.windows import (
    IGNORED,
    NEGATIVE,
    POSITIVE,
    LabelRule,
    Windows,
    WindowSpec,
    label_windows_many,
    make_windows,
)

_QUESTIONS_AT_ONCE = 500
_LABELS = {POSITIVE: "positive", NEGATIVE: "negative", IGNORED: "ignored"}


@dataclass(frozen=True)
class _Entry:
    """A page of a question, to be labelled."""

    sample: Sample
    page: PageRef
    grid: TokenGrid
    windows: Windows


def add_windows(
    dataset: Path | str,
    grid: str,
    spec: WindowSpec | None = None,
    rule: LabelRule | None = None,
    shards: ShardSize | None = None,
) -> Publication:
    """Label the windows of every page of every question whose status is `evidence`.

    The dataset folder is replaced as a whole by one that has the config `windows_<grid>` too; the files of the
    other configs are linked, not copied, and what a person added to the folder or its README stays.

    Args:
        dataset: The dataset folder.
        grid: One of `pinpoint_data.grids.GRID_NAMES`.
        spec: Size and stride of the windows, in tokens.
        rule: When a window is positive or negative.
        shards: When a Parquet file ends and the next begins.

    Raises:
        UsageError: No such grid, or no question has evidence.
        DatasetError: The folder is no published dataset, or the labels do not load as they were written.
    """
    if grid not in GRID_NAMES:
        raise UsageError(f"no grid {grid!r}", remedy=f"grids: {', '.join(GRID_NAMES)}")
    target = settle(Path(dataset))
    read_manifest(target)  # before anything is written beside a folder that is no dataset
    with replaced_folder(target) as folder:
        before = read_manifest(target)
        name = f"{WINDOWS_PREFIX}{grid}"
        carry_over(target, folder, without=(name, CARD, CROISSANT, MANIFEST))
        job = _Labelling(target, folder, name, grid, spec or WindowSpec(), rule or LabelRule(), shards or ShardSize())
        manifest = before.with_config(job.run(before))
        write_metadata(folder, manifest, update_card(_card(target), before, manifest))
        verify_dataset(folder, manifest, [name])
    return Publication(target, manifest, job.outcome)


def _card(folder: Path) -> str:
    """The README, "" where there is none."""
    try:
        return read_small_text(folder / CARD)
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"is not UTF-8 text: {error.reason}", file=folder / CARD, remedy="store it as UTF-8, or remove it"
        ) from error


class _Labelling:
    """One run of `add_windows`."""

    def __init__(
        self, source: Path, folder: Path, name: str, grid: str, spec: WindowSpec, rule: LabelRule, shards: ShardSize
    ) -> None:
        self.source, self.folder, self.name, self.shards = source, folder, name, shards
        self.grid, self.spec, self.rule = grid, spec, rule
        self.features = window_features()
        self.outcome = Outcome()
        self._windows: dict[tuple[int, int], tuple[TokenGrid, Windows] | GeometryError] = {}
        self._without_grid: set[str] = set()

    def run(self, manifest: Manifest) -> ConfigInfo:
        splits: dict[str, SplitInfo] = {}
        for split in dict.fromkeys(name for config in manifest.of_kind("questions") for name in config.splits):
            info = self._split(
                split, sum(c.splits[split].rows for c in manifest.of_kind("questions") if split in c.splits)
            )
            if info is not None:
                splits[split] = info
        if not splits:
            raise UsageError(
                f"no page can be labelled: {self.outcome.text()}",
                file=self.source,
                remedy="publish questions whose status is evidence",
            )
        config = ConfigInfo(self.name, "windows", self.features.to_dict(), splits, self._settings())
        self.outcome.counts["pages of questions"] = config.rows
        self.outcome.counts.update({f"{label} windows": n for label, n in config.fact("label").items()})
        return config

    def _settings(self) -> dict[str, Any]:
        left_out = {key: n for key, n in sorted(self.outcome.counts.items()) if key.startswith("questions ")}
        if self._without_grid:
            left_out["pages without such a grid"] = len(self._without_grid)
        spec = {"width": self.spec.width, "height": self.spec.height, "stride": self.spec.stride}
        rule = {"positive": self.rule.positive, "negative": self.rule.negative}
        return {"grid": self.grid, **spec, **rule, "left_out": left_out}

    def _split(self, split: str, questions: int) -> SplitInfo | None:
        writer = SplitWriter(self.folder, self.name, split, self.features, self.shards)
        labels: Counter[str] = Counter()
        samples = track(load_samples(self.source, splits=[split]), f"{self.name} {split}", questions)
        try:
            while some := list(islice(samples, _QUESTIONS_AT_ONCE)):
                for row in self._rows([entry for sample in some for entry in self._entries(sample)]):
                    labels.update(_LABELS[label] for label in row["label"])
                    writer.write(row)
            return writer.finish({"label": labels})
        finally:
            writer.abandon()

    def _entries(self, sample: Sample) -> Iterator[_Entry]:
        if sample.status != "evidence":
            self.outcome.counts[f"questions with status {sample.status}"] += 1
            return
        for page in sample.pages:
            found = self._page_windows(page)
            if isinstance(found, GeometryError):
                if page.page_id not in self._without_grid:
                    self._without_grid.add(page.page_id)
                    self.outcome.refuse(
                        Problem("no-grid", self.source.name, page.page_id, f"{self.grid}: {found.message}")
                    )
            else:
                yield _Entry(sample, page, *found)

    def _page_windows(self, page: PageRef) -> tuple[TokenGrid, Windows] | GeometryError:
        size = (page.width, page.height)
        if size not in self._windows:
            if len(self._windows) >= 4096:
                self._windows.clear()
            try:
                grid = make_grid(self.grid, *size)
                self._windows[size] = (grid, make_windows(grid, self.spec))
            except GeometryError as error:
                self._windows[size] = error
        return self._windows[size]

    def _rows(self, entries: list[_Entry]) -> Iterator[dict[str, Any]]:
        boxes, owner = [], []
        for index, entry in enumerate(entries):
            mine = [box.xyxy for box in entry.sample.evidence if box.page_index == entry.page.page_index]
            boxes += mine
            owner += [index] * len(mine)
        batch = label_windows_many(
            [entry.windows for entry in entries],
            np.arange(len(entries)),
            np.array(boxes, np.float64).reshape(-1, 4),
            np.array(owner, np.intp),
            self.rule,
        )
        for entry, labels in zip(entries, batch, strict=True):
            if labels.clipped_share > 0:
                self.outcome.counts["pages with evidence outside the grid"] += 1
            yield {
                "question_id": entry.sample.question_id,
                "source": entry.sample.source,
                "page_id": entry.page.page_id,
                "page_index": entry.page.page_index,
                "rows": entry.grid.rows,
                "cols": entry.grid.cols,
                "windows": entry.windows.rows_cols.tolist(),
                "xyxy": entry.windows.xyxy.tolist(),
                "label": labels.label.tolist(),
                "evidence_recall": labels.evidence_recall.tolist(),
                "evidence_density": labels.evidence_density.tolist(),
                "clipped_share": labels.clipped_share,
            }
