"""Encoding in blocks: processes on many machines write their own shards into one cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from pinpoint_data.engines import Failed, NodeError
from pinpoint_data.engines.ray_data import RayWorkers
from pinpoint_data.errors import Outcome, PinpointError, Problem
from pinpoint_data.progress import progress
from pinpoint_data.workspace import Workspace
from training.backbones.base import Backbone, make_backbone, spec_differences
from training.features.cache import CACHE_FILE, FeatureCache
from training.features.extraction import batches, extract
from training.features.plan import Plan, PlannedPage
from training.features.writer import SHARD_BYTES
from training.pages.store import PageStore

_DECODERS = 2
"""Threads of each process that decode the next batch's images."""


@dataclass(frozen=True)
class Block:
    """Whole batches that are encoded one after another; about a shard."""

    number: int
    pages: Sequence[PlannedPage]


def cut(plan: Plan, batch_tokens: int, shard_bytes: int = SHARD_BYTES) -> Iterator[Block]:
    """The plan's pages in blocks. Batches stay what they are: other company would change a token's last bits."""
    number, pages, held = 0, list[PlannedPage](), 0
    for batch in batches(plan.todo, batch_tokens):
        size = sum(page.tokens for page in batch) * plan.row_bytes
        if pages and held + size > shard_bytes:
            yield Block(number, pages)
            number, pages, held = number + 1, [], 0
        pages, held = pages + batch, held + size
    if pages:
        yield Block(number, pages)


@dataclass
class BlockEncoder:
    """Encodes blocks in a process of its own, which opens the workspace and the backbone once.

    Attributes:
        cache: Where to.
        workspace: Whose pages.
        backbone: Name and options; where it runs decides on its device.
        batch_tokens: As in `extract`.
        threads: Of PyTorch: sums are rounded otherwise with another number.
    """

    cache: FeatureCache
    workspace: Path
    backbone: tuple[str, Mapping[str, Any]]
    batch_tokens: int
    threads: int

    def __call__(self, block: Block) -> tuple[int, dict[str, Any]]:
        """Encode a block; returns the number of its pages and what `Outcome.to_json` says of them."""
        backbone, store = self._opened
        plan = Plan(self.cache.row_bytes, todo=list(block.pages))
        outcome = extract(self.cache, backbone, store, plan, batch_tokens=self.batch_tokens, jobs=_DECODERS)
        return len(block.pages), outcome.to_json()

    @cached_property
    def _opened(self) -> tuple[Backbone, PageStore]:
        torch.set_num_threads(self.threads)
        try:
            backbone = make_backbone(*self.backbone)
            store = PageStore.of_backbone(Workspace.open(self.workspace), backbone)
        except PinpointError as error:
            raise NodeError(str(error)) from error
        if differences := list(spec_differences(self.cache.spec, FeatureCache.of(self.cache.folder, backbone).spec)):
            raise NodeError(f"the backbone is another one here: {'; '.join(differences)}", remedy="install the same")
        return backbone, store


def extract_blocks(
    encoder: BlockEncoder,
    store: PageStore,
    plan: Plan,
    workers: RayWorkers,
    *,
    gpus: float = 0,
    shard_bytes: int = SHARD_BYTES,
    stop: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Encode the planned pages, block by block, wherever there is room; the tokens are those of `extract`.

    Args:
        encoder: What every process does.
        store: The pages.
        plan: What to encode.
        workers: Where.
        gpus: GPUs of each process.
        shard_bytes: The largest a block gets, unless one batch is larger.
        stop: Asked when the work is interrupted: whether that was a wish to stop. Finished blocks are kept.

    Returns:
        The plan's outcome, with the pages that could not be encoded and the blocks that were given up.

    Raises:
        PinpointError: No block can be encoded; what was encoded before is kept.
    """
    blocks = list(cut(plan, encoder.batch_tokens, shard_bytes))
    needs = [encoder.cache.folder / CACHE_FILE, encoder.workspace / "workspace.json"]
    needs += _page_files(store, plan)
    with progress("encode", len(plan.todo)) as advance:
        try:
            for done in workers.map_with_state(encoder, blocks, needs, gpus=gpus):
                if isinstance(done, Failed):
                    plan.outcome.refuse(_problem(encoder.cache, done))
                    continue
                pages, outcome = done
                plan.outcome.merge(outcome)
                advance(pages)
        except KeyboardInterrupt:
            if not stop():
                raise
    return plan.outcome


def _page_files(store: PageStore, plan: Plan) -> list[Path]:
    """A file of each source: a machine without them would refuse every page."""
    rows = {row["source"]: row for row in (store.row(page.page_id) for page in reversed(plan.todo))}
    files = (store.workspace.root_of(name) / row["path"] for name, row in rows.items())
    return [file for file in files if file.exists()]


def _problem(cache: FeatureCache, failed: Failed[Block]) -> Problem:
    pages = failed.task.pages
    return Problem(
        "failed-block",
        str(cache.folder),
        f"block {failed.task.number} ({pages[0].page_id} .. {pages[-1].page_id})",
        failed.reason,
        "run the same command again, it does what is missing",
    )
