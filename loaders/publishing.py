"""From a workspace to a published dataset folder, streamed, loaded back and compared before anybody sees it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
from datasets import Features

from loaders.evidence import EvidenceIndex, RowsByKey
from loaders.features import (
    ANNOTATIONS,
    IMAGE_MODES,
    PAGES,
    WINDOWS_PREFIX,
    ImageMode,
    annotation_features,
    page_features,
    question_features,
)
from loaders.folder import check_replaceable, replaced_folder, settle
from loaders.images import PageImages
from loaders.manifest import ConfigInfo, ConfigKind, Manifest, Publication, SplitInfo
from loaders.metadata import write_metadata
from loaders.parquet import ShardSize, SplitWriter
from loaders.verify import verify_dataset
from pinpoint_data import __version__
from pinpoint_data.errors import Outcome, Problem, UsageError
from pinpoint_data.progress import track
from pinpoint_data.schema import SPLITS, TABLES
from pinpoint_data.tables import iter_part
from pinpoint_data.workspace import Workspace

Inline = Literal["image", "images"] | None

_COUNTED: dict[ConfigKind, str] = {"questions": "questions", "pages": "pages", "annotations": "annotation rows"}


def publish(
    workspace: Workspace | Path | str,
    out: Path | str,
    *,
    images: ImageMode = "none",
    annotator: str | None = None,
    sources: Sequence[str] = (),
    license: str | None = None,
    title: str | None = None,
    shards: ShardSize | None = None,
) -> Publication:
    """Write a dataset folder that `load_dataset` opens without our code.

    Args:
        workspace: A workspace, or its folder.
        out: The dataset folder; replaced as a whole if it is a published dataset, refused if it is something else.
        images: `none`; `pages`: in the config `pages`; `inline`: in every question's row (`image`, or `images` for
            a source with several pages a question). Original bytes; a PDF page is rendered to PNG.
        annotator: Whose regions stand for a question that was not adjudicated; by default those of `gold:*`.
        sources: The sources to publish, all by default. The first one is the default config.
        license: Of the annotations: an identifier of the Hub such as `cc-by-4.0`, or a sentence.
        title: Of the card.
        shards: When a Parquet file ends and the next begins.

    Raises:
        UsageError: The target or an option makes no sense; nothing was written.
        DatasetError: What was written does not load as it should; the old dataset is untouched.
    """
    ws = workspace if isinstance(workspace, Workspace) else Workspace.open(workspace)
    if images not in IMAGE_MODES:
        raise UsageError(f"images must be one of {', '.join(IMAGE_MODES)}, got {images!r}")
    target = settle(Path(out))
    if target.is_relative_to(ws.path.resolve()):
        raise UsageError("is inside the workspace", file=target, remedy="name a folder beside it")
    before = check_replaceable(target)
    with ws.lock("publish"):
        plan = _plan(ws, sources)
        with replaced_folder(target) as folder:
            outcome = Outcome()
            job = _Job(ws, folder, plan, images, shards or ShardSize(), outcome)
            manifest = job.run(_text(title, "title") or "Evidence boxes", _text(license, "license"), annotator)
            # Loading the dataset takes as much memory as making it did.
            del job
            pa.default_memory_pool().release_unused()
            write_metadata(folder, manifest)
            verify_dataset(folder, manifest)
    dropped = () if before is None else tuple(config.name for config in before.of_kind("windows"))
    return Publication(target, manifest, outcome, dropped)


def _text(value: str | None, name: str) -> str | None:
    """Free text from the command line, which need not be valid Unicode."""
    try:
        return value if value is None else value.encode("utf-8").decode("utf-8").strip() or None
    except UnicodeEncodeError as error:
        raise UsageError(f"the {name} is not valid text: {error}") from error


Plan = dict[str, dict[str, list[str]]]
"""Source -> split -> parts of the table `questions` that hold rows of both."""


def _plan(ws: Workspace, sources: Sequence[str]) -> Plan:
    found: dict[str, dict[str, list[str]]] = {}
    for part in ws.parts("questions"):
        table = ws.read("questions", [part], ["source", "split"])
        for row in table.group_by(["source", "split"]).aggregate([]).to_pylist():
            found.setdefault(row["source"], {}).setdefault(row["split"], []).append(part)
    if not found:
        raise UsageError("has no questions to publish", file=ws.path, remedy="ingest a source first")
    names = list(dict.fromkeys(sources)) or sorted(found)
    for name in names:
        if name not in found:
            raise UsageError(
                f"no questions of source {name!r}", file=ws.path, remedy=f"sources: {', '.join(sorted(found))}"
            )
        if unknown := sorted(found[name].keys() - set(SPLITS)):
            raise UsageError(f"source {name!r} has a split {unknown[0]!r}", remedy=f"splits: {', '.join(SPLITS)}")
        if name in (PAGES, ANNOTATIONS) or name.startswith(WINDOWS_PREFIX):
            raise UsageError(
                f"a source cannot be published as {name!r}, which is the name of another config",
                remedy="ingest it again with --name",
            )
    return {name: {split: found[name][split] for split in SPLITS if split in found[name]} for name in names}


class _Job:
    """One run of `publish`, from the checked plan to the files of every config."""

    def __init__(
        self, ws: Workspace, folder: Path, plan: Plan, images: ImageMode, shards: ShardSize, outcome: Outcome
    ) -> None:
        self.ws, self.folder, self.plan, self.images, self.shards = ws, folder, plan, images, shards
        self.outcome = outcome
        self.page_images = PageImages(ws.root_of, self.outcome)
        self.pages = RowsByKey(ws.read("pages"), "page_id")
        self.published: dict[str, list[str]] = {}
        self.used_pages: dict[str, dict[str, None]] = {}

    def run(self, title: str, license: str | None, annotator: str | None) -> Manifest:
        evidence = EvidenceIndex(self.ws, annotator)
        configs = [self._questions(source, evidence) for source in self.plan]
        del evidence
        configs += [self._pages(), self._annotations()]
        kept = tuple(config for config in configs if config.splits)
        for config in kept:
            self.outcome.counts[_COUNTED[config.kind]] += config.rows
            self.outcome.counts["evidence boxes"] += sum(config.fact("boxes by role").values())
        if not any(config.kind == "questions" for config in kept):
            raise UsageError(
                f"no question can be published: {self.outcome.text()}", file=self.ws.path, remedy="ingest it again"
            )
        rendered = len(self.page_images.rendered)
        return Manifest(title, license, self.images, rendered, f"pinpoint-data {__version__}", kept)

    @contextmanager
    def _split(self, config: str, split: str, features: Features) -> Iterator[SplitWriter]:
        writer = SplitWriter(self.folder, config, split, features, self.shards)
        try:
            yield writer
        finally:
            writer.abandon()

    def _questions(self, source: str, evidence: EvidenceIndex) -> ConfigInfo:
        inline = self._inline(source)
        features = question_features(inline)
        splits: dict[str, SplitInfo] = {}
        for split, parts in self.plan[source].items():
            facts: dict[str, Counter[str]] = {name: Counter() for name in ("status", "policy", "boxes by role")}
            with self._split(source, split, features) as writer:
                total = self.ws.count("questions", parts)
                for question in track(self._rows(source, split, parts), f"{source} {split}", total):
                    row = self._question(question, inline, evidence)
                    if row is None:
                        continue
                    writer.write(row)
                    facts["status"][row["status"]] += 1
                    facts["policy"][row["policy"]] += 1
                    facts["boxes by role"].update(box["role"] for box in row["evidence"])
                _keep(splits, split, writer.finish(facts))
        reader = self.ws.sources[source].reader if source in self.ws.sources else "unknown"
        return _config(source, "questions", features, splits, {"reader": reader})

    def _rows(self, source: str, split: str, parts: Sequence[str]) -> Iterator[dict[str, Any]]:
        for part in parts:
            for batch in iter_part("questions", self.ws.part_path("questions", part), batch_rows=1000):
                mine = pc.and_(pc.equal(batch["source"], source), pc.equal(batch["split"], split))
                yield from batch.filter(mine).to_pylist()

    def _inline(self, source: str) -> Inline:
        if self.images != "inline":
            return None
        parts = {part for names in self.plan[source].values() for part in names}
        page_ids = self.ws.read("questions", sorted(parts), ["source", "page_ids"])
        mine = page_ids.filter(pc.equal(page_ids["source"], source))
        most = pc.max(pc.list_value_length(mine["page_ids"])).as_py()
        return "images" if most > 1 else "image"

    def _question(self, question: Mapping[str, Any], inline: Inline, evidence: EvidenceIndex) -> dict[str, Any] | None:
        question_id, split = question["question_id"], question["split"]
        found = [self.pages.rows(page_id)[-1:] for page_id in question["page_ids"]]
        if not all(found):
            lost = [page_id for page_id, rows in zip(question["page_ids"], found, strict=True) if not rows]
            message = f"left out: the workspace has no page {', '.join(lost)}"
            self.outcome.refuse(Problem("unknown-page", "questions", question_id, message, "ingest the source again"))
            return None
        pages = [rows[0] for rows in found]
        verdict, problems = evidence.of(question_id, question["source"], len(pages))
        for problem in problems:
            self.outcome.refuse(problem)
        self.published.setdefault(split, []).append(question_id)
        self.used_pages.setdefault(split, {}).update(dict.fromkeys(question["page_ids"]))
        row = {name: question[name] for name in question if name != "page_ids"}
        row |= {"status": verdict.status, "policy": verdict.policy, "evidence": verdict.boxes}
        row["pages"] = [
            {"page_index": index} | {name: page[name] for name in ("page_id", "width", "height", "sha256")}
            for index, page in enumerate(pages)
        ]
        if inline == "image":
            row["image"] = self.page_images(pages[0]) if pages else None
        elif inline == "images":
            row["images"] = [self.page_images(page) for page in pages]
        return row

    def _pages(self) -> ConfigInfo:
        with_images = self.images == "pages"
        features = page_features(images=with_images)
        columns = [name for name in features if name != "image"]
        splits: dict[str, SplitInfo] = {}
        for split in self._in_order(self.used_pages):
            with self._split(PAGES, split, features) as writer:
                for page_id in track(self.used_pages[split], f"{PAGES} {split}"):
                    page = self.pages.rows(page_id)[-1]
                    row = {name: page[name] for name in columns}
                    writer.write(row | {"image": self.page_images(page)} if with_images else row)
                _keep(splits, split, writer.finish())
        return _config(PAGES, "pages", features, splits, {})

    def _annotations(self) -> ConfigInfo:
        features = annotation_features()
        splits: dict[str, SplitInfo] = {}
        table = self.ws.parts("annotations")
        for split in self._in_order(self.published):
            known = set(self.published[split])
            facts: dict[str, Counter[str]] = {"annotator": Counter(), "origin": Counter()}
            with self._split(ANNOTATIONS, split, features) as writer:
                for part in track(table, f"{ANNOTATIONS} {split}"):
                    for batch in iter_part("annotations", self.ws.part_path("annotations", part), batch_rows=1000):
                        # Not `is_in`, which takes up all the questions anew for every batch.
                        mine = [question_id in known for question_id in batch["question_id"].to_pylist()]
                        for row in batch.filter(pa.array(mine, pa.bool_())).to_pylist():
                            writer.write(_annotation(row))
                            facts["annotator"][row["annotator"]] += 1
                            facts["origin"][row["origin"]] += 1
                _keep(splits, split, writer.finish(facts))
        written = sum(split.rows for split in splits.values())
        if left := self.ws.count("annotations") - written:
            self.outcome.counts["annotation rows of other questions"] = left
        return _config(ANNOTATIONS, "annotations", features, splits, {})

    @staticmethod
    def _in_order(by_split: Mapping[str, Any]) -> list[str]:
        return [split for split in SPLITS if split in by_split]


def _annotation(row: Mapping[str, Any]) -> dict[str, Any]:
    corners = [row["x0"], row["y0"], row["x1"], row["y1"]]
    plain = {name: row[name] for name in TABLES["annotations"].names if name not in ("x0", "y0", "x1", "y1")}
    # A verdict has no box; a box that lacks a side is none either, and its raw JSON still tells.
    return plain | {"xyxy": None if None in corners else corners}


def _keep(splits: dict[str, SplitInfo], name: str, info: SplitInfo | None) -> None:
    if info is not None:
        splits[name] = info


def _config(
    name: str, kind: ConfigKind, features: Features, splits: dict[str, SplitInfo], settings: dict[str, Any]
) -> ConfigInfo:
    return ConfigInfo(name, kind, features.to_dict(), splits, settings)
