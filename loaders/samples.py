"""Questions of a published dataset as typed samples, streamed: what training and evaluation start from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loaders.features import question_features
from loaders.folder import settle
from loaders.manifest import Manifest, read_manifest
from loaders.parquet import iter_split
from pinpoint_data.errors import DatasetError, UsageError

_PLAIN = ("question_id", "source", "split", "doc_id", "question", "status")
_PAGE = ("page_id", "page_index", "width", "height")
_COLUMNS = (*_PLAIN, "answers", "pages", "evidence")


@dataclass(frozen=True)
class EvidenceBox:
    """A box that a question's answer rests on.

    Attributes:
        page_index: Index into the sample's pages.
        xyxy: x0, y0, x1, y1 in pixels of that page.
        role: `answer` or `support`.
    """

    page_index: int
    xyxy: tuple[float, float, float, float]
    role: str


@dataclass(frozen=True)
class PageRef:
    """A page of a question; its words and pixels are in the workspace, under `page_id`.

    Attributes:
        page_id: For example `infovqa/30001`.
        page_index: Place in the sample's pages.
        width: Pixels, after EXIF orientation.
        height: Pixels, after EXIF orientation.
        sha256: Of the page's file, if it was known.
    """

    page_id: str
    page_index: int
    width: int
    height: int
    sha256: str | None


@dataclass(frozen=True)
class Sample:
    """A question over its pages, with its evidence; `evidence` is empty unless `status` is `evidence`."""

    question_id: str
    source: str
    split: str
    doc_id: str
    question: str
    answers: tuple[str, ...]
    status: str
    pages: tuple[PageRef, ...]
    evidence: tuple[EvidenceBox, ...]


def load_samples(
    dataset: Path | str, configs: Sequence[str] | None = None, splits: Sequence[str] | None = None
) -> Iterator[Sample]:
    """Samples of a published dataset, in published order, streamed from the files that its manifest names.

    Not through `datasets`: the header of a stranger's README may name files anywhere, on other machines too.

    Args:
        dataset: The dataset folder.
        configs: Names of sources, all by default.
        splits: Names of splits, all by default. A source that lacks one of several splits is no error.

    Raises:
        DatasetError: The folder is no published dataset, or cannot be read.
        UsageError: There is no such source or split.
    """
    folder = settle(Path(dataset))
    manifest = read_manifest(folder)
    chosen = {name: _splits(manifest, name, splits) for name in _sources(folder, manifest, configs)}
    if splits is not None:
        _check_splits(folder, splits, {name for names in chosen.values() for name in names})
    return _stream(folder, manifest, chosen)


def _sources(folder: Path, manifest: Manifest, configs: Sequence[str] | None) -> list[str]:
    known = [config.name for config in manifest.of_kind("questions")]
    for name in configs or ():
        if name not in known:
            raise UsageError(f"has no source {name!r}", file=folder, remedy=f"sources: {', '.join(known)}")
    return known if configs is None else list(dict.fromkeys(configs))


def _splits(manifest: Manifest, config: str, splits: Sequence[str] | None) -> list[str]:
    return [name for name in manifest.config(config).splits if splits is None or name in splits]


def _check_splits(folder: Path, splits: Sequence[str], found: set[str]) -> None:
    if missing := sorted(set(splits) - found):
        raise UsageError(f"has no split {missing[0]!r} in the chosen sources", file=folder)


def _stream(folder: Path, manifest: Manifest, chosen: Mapping[str, Sequence[str]]) -> Iterator[Sample]:
    for config, splits in chosen.items():
        for split in splits:
            info = manifest.config(config).splits[split]
            for number, row in enumerate(iter_split(folder, info, question_features(), _COLUMNS, 500)):
                try:
                    yield _sample(row)
                except (TypeError, ValueError) as error:
                    raise DatasetError(
                        f"a value is missing: {error}",
                        file=folder,
                        record=f"{config}/{split}, row {number}",
                        remedy="publish it again",
                    ) from error


def _sample(row: Mapping[str, Any]) -> Sample:
    return Sample(
        **{name: _given(row, name) for name in _PLAIN},
        answers=tuple(_given(row, "answers")),
        pages=tuple(_page(page) for page in _given(row, "pages")),
        evidence=tuple(_box(box) for box in _given(row, "evidence")),
    )


def _page(page: Mapping[str, Any]) -> PageRef:
    return PageRef(**{name: _given(page, name) for name in _PAGE}, sha256=page["sha256"])


def _box(box: Mapping[str, Any]) -> EvidenceBox:
    x0, y0, x1, y1 = map(float, _given(box, "xyxy"))
    return EvidenceBox(_given(box, "page_index"), (x0, y0, x1, y1), _given(box, "role"))


def _given(row: Mapping[str, Any], name: str) -> Any:
    """A value that no row is published without."""
    if row is None or row[name] is None:
        raise ValueError(name)
    return row[name]
