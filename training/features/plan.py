"""What an extraction will do, before it does it: pages, tokens and bytes, from sizes alone."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pinpoint_data.errors import GeometryError, Outcome, PageError, Problem, TrainingError
from pinpoint_data.progress import track
from training.backbones.base import Backbone
from training.features.cache import FeatureCache
from training.features.keys import PageKey, in_share, page_key
from training.features.writer import SHARD_BYTES
from training.pages.store import PageStore

_MARGIN = 1.02
"""Headers, index parts, and the file system's own blocks."""


@dataclass(frozen=True, slots=True)
class PlannedPage:
    """A page to encode.

    Attributes:
        page_id: Of the first page with this key.
        key: What it is.
        tokens: How many it will have.
    """

    page_id: str
    key: PageKey
    tokens: int


@dataclass
class Plan:
    """What an extraction will do.

    Attributes:
        pages: Number of page ids asked for.
        distinct: Number of different pages among those that can be used.
        cached: How many of these are in the cache already.
        todo: Pages to encode: missing, and of this job's share.
        others: Bytes that other shares' jobs will write.
        row_bytes: Bytes of a token.
        outcome: Pages that cannot be used.
    """

    row_bytes: int
    pages: int = 0
    distinct: int = 0
    cached: int = 0
    todo: list[PlannedPage] = field(default_factory=list)
    others: int = 0
    outcome: Outcome = field(default_factory=Outcome)

    @property
    def tokens(self) -> int:
        """Tokens to encode."""
        return sum(page.tokens for page in self.todo)

    @property
    def bytes(self) -> int:
        """Bytes of tokens to write."""
        return self.tokens * self.row_bytes

    def to_json(self) -> dict[str, int]:
        """A JSON-ready summary."""
        return {
            "pages": self.pages,
            "distinct": self.distinct,
            "cached": self.cached,
            "to_encode": len(self.todo),
            "tokens": self.tokens,
            "bytes": self.bytes,
            "bytes_of_other_shares": self.others,
        }


def plan_extraction(
    cache: FeatureCache,
    backbone: Backbone,
    store: PageStore,
    page_ids: Sequence[str],
    cached: Collection[str] = (),
    share: tuple[int, int] = (1, 1),
) -> Plan:
    """Look up the sizes of pages; neither pixels nor weights are touched.

    Args:
        cache: `FeatureCache.of(folder, backbone)`, or the cache that is there.
        backbone: Whose grids.
        store: The workspace's pages.
        page_ids: Pages wanted.
        cached: Key names that are in the cache already.
        share: Part and number of parts that several jobs divide the work into.

    Raises:
        TrainingError: The workspace lacks one of the pages.
    """
    plan = Plan(cache.row_bytes, pages=len(page_ids))
    seen: set[str] = set()
    for page_id in track(page_ids, "plan"):
        try:
            key = page_key(store, page_id, reads_words=cache.reads_words)
            name = key.name
            if name in seen:
                continue
            tokens = backbone.grid(key.width, key.height).n_tokens
        except (PageError, GeometryError) as error:
            file = store.row(page_id)["path"]
            plan.outcome.refuse(Problem.of(error, code="no-grid", file=file, record=page_id))
            continue
        seen.add(name)
        plan.distinct += 1
        if name in cached:
            plan.cached += 1
        elif in_share(name, share):
            plan.todo.append(PlannedPage(page_id, key, tokens))
        else:
            plan.others += tokens * plan.row_bytes
    return plan


def check_space(folder: Path, plan: Plan) -> None:
    """Refuse to start what cannot fit on the disk, the shares of other jobs included.

    Raises:
        TrainingError: It does not fit; the message has the numbers.
    """
    if not plan.todo:
        return
    there = next(place for place in (folder.resolve(), *folder.resolve().parents) if place.exists())
    free = shutil.disk_usage(there).free
    needed = int((plan.bytes + plan.others) * _MARGIN) + SHARD_BYTES
    if needed > free:
        of_others = f" (shares of other jobs: {in_gb(plan.others)})" if plan.others else ""
        raise TrainingError(
            f"the features take {in_gb(plan.bytes + plan.others)}{of_others}, with a margin {in_gb(needed)}; "
            f"{in_gb(free)} are free",
            file=folder,
            remedy="free some space, name a folder on another disk, or take fewer pages with --source or --dataset",
        )


def in_gb(count: int) -> str:
    """Bytes for people: `1.25 GB`, as disks are sold."""
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:,.2f} {unit}"
    return f"{count / 1e3:,.1f} kB"
