"""Encoding pages into a cache: batches by token count, images decoded ahead, bad pages listed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from PIL import Image

from pinpoint_data.errors import GeometryError, Outcome, PageError, PinpointError, Problem, TrainingError
from pinpoint_data.pages import safe_path
from pinpoint_data.progress import progress
from training.backbones.base import Backbone, EncodedPage, encode_pages
from training.features.cache import FeatureCache
from training.features.plan import Plan, PlannedPage
from training.features.writer import SHARD_BYTES, FeatureWriter
from training.pages.input import PageInput
from training.pages.store import PageStore

BATCH_TOKENS = 16_384


def extract(
    cache: FeatureCache,
    backbone: Backbone,
    store: PageStore,
    plan: Plan,
    *,
    batch_tokens: int = BATCH_TOKENS,
    jobs: int = 1,
    shard_bytes: int = SHARD_BYTES,
    stop: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Encode the planned pages and keep their tokens.

    Args:
        cache: Where to.
        backbone: Whose cache it is.
        store: The pages.
        plan: What to encode.
        batch_tokens: Tokens of the pages that are encoded at once; a larger page makes a batch of its own.
        jobs: Threads that decode the next batch's images while the backbone computes.
        shard_bytes: The largest a shard gets, unless one page is larger.
        stop: Asked between batches; what was encoded is kept.

    Returns:
        The plan's outcome, with the pages that could not be encoded.

    Raises:
        TrainingError: The disk or the backbone fails; what was encoded before is kept.
    """
    encoder = _Encoder(backbone, store, plan.outcome)
    todo = batches(plan.todo, batch_tokens)
    with (
        FeatureWriter(cache, shard_bytes=shard_bytes) as writer,
        progress("encode", len(plan.todo)) as advance,
        ThreadPoolExecutor(jobs, thread_name_prefix="decode-pages") as pool,
    ):
        ahead = encoder.prepare(next(todo, []))
        while ahead and not stop():
            batch, ahead = ahead, encoder.prepare(next(todo, []))
            if encoder.wants_pixels:
                for item in ahead:
                    item.decode_in(pool)
            for item, page in encoder.encode(batch):
                writer.add(item.planned.key, item.planned.page_id, page)
                plan.outcome.counts["encoded"] += 1
            advance(len(batch))
    return plan.outcome


def batches(pages: Sequence[PlannedPage], batch_tokens: int) -> Iterator[list[PlannedPage]]:
    """Pages that are encoded at once: as many as fit, in order."""
    batch: list[PlannedPage] = []
    held = 0
    for page in pages:
        if batch and held + page.tokens > batch_tokens:
            yield batch
            batch, held = [], 0
        batch.append(page)
        held += page.tokens
    if batch:
        yield batch


class _Item:
    """A page on its way to the backbone; its image is decoded when it is asked for, or before."""

    def __init__(self, planned: PlannedPage, page: PageInput, load: Callable[[], Image.Image]) -> None:
        self.planned = planned
        self.page = replace(page, load_image=self._image)
        self.asked = False
        self._load = load
        self._decoded: Future[Image.Image] | None = None

    def decode_in(self, pool: ThreadPoolExecutor) -> None:
        self._decoded = pool.submit(self._load)

    def _image(self) -> Image.Image:
        self.asked = True
        return self._load() if self._decoded is None else self._decoded.result()


class _Encoder:
    """Turns batches into tokens; pages that cannot be used go to the outcome.

    Attributes:
        wants_pixels: Whether the backbone has looked at an image so far; one that does not is spared the decoding.
    """

    def __init__(self, backbone: Backbone, store: PageStore, outcome: Outcome) -> None:
        self.backbone, self.store, self.outcome = backbone, store, outcome
        self.wants_pixels = False
        self._hashes: dict[Path, str] = {}

    def prepare(self, batch: Sequence[PlannedPage]) -> list[_Item]:
        items = []
        for planned in batch:
            page = self.store.input(planned.page_id)
            items.append(_Item(planned, page, partial(self._load, planned, page)))
        return items

    def _load(self, planned: PlannedPage, page: PageInput) -> Image.Image:
        """The pixels, if they are still those of the key."""
        image = page.load_image()
        row = self.store.row(planned.page_id)
        path = safe_path(self.store.workspace.root_of(row["source"]), row["path"])
        if path not in self._hashes:
            with path.open("rb") as file:
                self._hashes[path] = hashlib.file_digest(file, "sha256").hexdigest()
        if self._hashes[path] != planned.key.sha256:
            raise PageError(
                "changed-page",
                "the file is not the one that was ingested: its hash differs",
                file=path,
                remedy="ingest the source again",
            )
        return image

    def encode(self, batch: Sequence[_Item]) -> Iterator[tuple[_Item, EncodedPage]]:
        try:
            encoded = self._encode(batch)
        except (PageError, GeometryError) as error:
            if len(batch) == 1:
                self._refuse(batch[0], error, "unusable-page")
                return
            # One page spoils the batch; the others are encoded one by one.
            for item in batch:
                yield from self.encode([item])
            return
        finally:
            self.wants_pixels |= any(item.asked for item in batch)
        for item, page in zip(batch, encoded, strict=True):
            if page.grid.n_tokens != item.planned.tokens:
                raise TrainingError(
                    f"backbone {self.backbone.name!r} gave {page.grid.n_tokens} tokens, its grid has "
                    f"{item.planned.tokens}",
                    record=item.planned.page_id,
                )
            if torch.isfinite(page.tensor()).all():
                yield item, page
            else:
                self._refuse(item, TrainingError("the backbone gave tokens that are not finite"), "not-finite")

    def _encode(self, batch: Sequence[_Item]) -> list[EncodedPage]:
        try:
            return encode_pages(self.backbone, [item.page for item in batch])
        except torch.OutOfMemoryError as error:
            raise TrainingError(
                f"the device has not enough memory for {sum(item.planned.tokens for item in batch):,} tokens at once",
                record=batch[0].planned.page_id,
                remedy="lower --batch-tokens",
            ) from error

    def _refuse(self, item: _Item, error: PinpointError, code: str) -> None:
        row = self.store.row(item.planned.page_id)
        self.outcome.refuse(Problem.of(error, code=code, file=row["path"], record=item.planned.page_id))
