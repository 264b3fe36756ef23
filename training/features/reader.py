"""Visual tokens from a feature cache, in any order, fast enough that a GPU does not wait."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType

import torch
from torch import Tensor

from pinpoint_data.errors import TrainingError
from training.backbones.base import Backbone
from training.features.cache import FeatureCache, open_cache
from training.features.index import Entry
from training.features.keys import page_key
from training.features.prefetch import Prefetcher
from training.features.scanning import scan
from training.features.shard_file import ShardFile
from training.pages.store import PageStore

PREFETCH_BYTES = 2 * 2**30


class FeatureReader:
    """`PageTokens` from a cache; see `open_features`. Safe to use from several threads.

    A page that was not prefetched comes as a view of the mapped shard, without a copy; a prefetched one in memory of
    its own, pinned where there is CUDA (`tensor.to(device, non_blocking=True)` then overlaps with computing). The
    bytes of a page are compared with their checksum the first time it is read.

    Attributes:
        backbone: Whose tokens they are.
        cache: The cache.
    """

    def __init__(
        self,
        cache: FeatureCache,
        entries: dict[str, Entry],
        backbone: Backbone,
        store: PageStore,
        *,
        prefetch_bytes: int = PREFETCH_BYTES,
        pin_memory: bool | None = None,
    ) -> None:
        self.cache, self.backbone, self._store = cache, backbone, store
        self._pin = torch.cuda.is_available() if pin_memory is None else pin_memory
        self._by_key = entries
        self._by_page: dict[str, Entry] = {}
        self._checked: set[str] = set()
        self._shards: dict[str, ShardFile] = {}
        self._closed = False
        self._lock = threading.RLock()
        self._prefetcher = Prefetcher(self._copy, lambda page_id: self._entry(page_id).bytes, prefetch_bytes)

    def __enter__(self) -> FeatureReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def tokens(self, page_id: str) -> Tensor:
        """Tokens (n, d_v) of a page, on the CPU, in the backbone's own precision; not to be written into.

        Raises:
            TrainingError: The page is not in the cache, its tokens are damaged, or they do not fit its grid.
        """
        self._entry(page_id)
        ready = self._prefetcher.take(page_id)
        return self._view(page_id) if ready is None else ready

    def prefetch(self, page_ids: Sequence[str]) -> None:
        """Get pages ready in a thread, as far as the budget reaches.

        Raises:
            TrainingError: A page is not in the cache.
        """
        for page_id in page_ids:
            self._entry(page_id)
        self._prefetcher.want(page_ids)

    def require(self, page_ids: Iterable[str]) -> None:
        """Check that pages are in the cache, before hours of work find that they are not. Tokens are not read.

        Raises:
            TrainingError: Some are not, or one does not fit its grid.
        """
        missing = [page_id for page_id in dict.fromkeys(page_ids) if self._find(page_id) is None]
        if missing:
            raise self._missing(missing[0], f" (nor are those of {len(missing) - 1:,} more)" if missing[1:] else "")

    def close(self) -> None:
        """End the thread and let go of the files. Tensors that were handed out stay good."""
        self._prefetcher.close()
        with self._lock:
            self._closed = True
            for shard in self._shards.values():
                shard.close()
            self._shards.clear()

    def _entry(self, page_id: str) -> Entry:
        entry = self._find(page_id)
        if entry is None:
            raise self._missing(page_id)
        return entry

    def _find(self, page_id: str) -> Entry | None:
        with self._lock:
            if self._closed:
                raise TrainingError("the feature cache was closed", file=self.cache.folder)
            entry = self._by_page.get(page_id)
            if entry is None:
                key = page_key(self._store, page_id, reads_words=self.cache.reads_words)
                entry = self._by_key.get(key.name)
                if entry is not None:
                    self._check_grid(page_id, entry)
                    self._by_page[page_id] = entry
            return entry

    def _missing(self, page_id: str, more: str = "") -> TrainingError:
        return TrainingError(
            f"its tokens are not in the feature cache{more}",
            file=self.cache.folder,
            record=f"page {page_id}",
            remedy=f"run pinpoint features extract {self.cache.folder} --workspace {self._store.workspace.path} with "
            "the same backbone",
        )

    def _check_grid(self, page_id: str, entry: Entry) -> None:
        expected = self.backbone.grid(entry.key.width, entry.key.height)
        shape = (expected.rows, expected.cols, expected.n_tokens, self.backbone.token_dim)
        if (entry.rows, entry.cols, entry.tokens, entry.dim) != shape:
            raise TrainingError(
                f"the cache has {entry.tokens} tokens of width {entry.dim} on a grid of {entry.rows} x {entry.cols}, "
                f"the backbone's are {shape[2]} of width {shape[3]} on {shape[0]} x {shape[1]}",
                file=self.cache.folder / entry.shard,
                record=f"page {page_id}",
                remedy="extract the features anew, into another folder",
            )

    def _view(self, page_id: str) -> Tensor:
        entry = self._entry(page_id)
        with self._lock:
            shard = self._shards.get(entry.shard)
            if shard is None:
                shard = self._shards[entry.shard] = ShardFile(self.cache.folder / entry.shard)
            view = shard.view(entry)
        if entry.tensor not in self._checked:
            shard.check(entry, view)
            self._checked.add(entry.tensor)
        return view

    def _copy(self, page_id: str) -> Tensor:
        view = self._view(page_id)
        return torch.empty(view.shape, dtype=view.dtype, pin_memory=self._pin).copy_(view)


def open_features(
    folder: Path,
    backbone: Backbone,
    store: PageStore,
    *,
    prefetch_bytes: int = PREFETCH_BYTES,
    pin_memory: bool | None = None,
) -> FeatureReader:
    """Open a feature cache for reading.

    Args:
        folder: The cache.
        backbone: Must be the one that made it; its weights are not needed.
        store: The pages that will be asked for.
        prefetch_bytes: Memory for pages that were prefetched and not yet asked for.
        pin_memory: Prefetch into page-locked memory; where there is CUDA by default.

    Raises:
        TrainingError: There is no cache, it is another backbone's, or a part of it is damaged, missing or foreign.
    """
    cache = open_cache(folder, backbone)
    found = scan(cache)
    if found.problems:
        first = found.problems[0]
        more = f" (and {len(found.problems) - 1:,} more: pinpoint features verify)" if len(found.problems) > 1 else ""
        raise TrainingError(first.message + more, file=first.file, remedy=first.remedy)
    return FeatureReader(cache, found.entries, backbone, store, prefetch_bytes=prefetch_bytes, pin_memory=pin_memory)
