"""Writing shards: buffered tokens become a safetensors file, and then its index part makes it count."""

from __future__ import annotations

import json
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from pinpoint_data.atomic import atomic_path
from pinpoint_data.errors import TrainingError
from training.backbones.base import EncodedPage
from training.features.cache import CACHE_FILE, DTYPES, FORMAT, FeatureCache
from training.features.index import Entry, checksum, write_part
from training.features.keys import PageKey
from training.pages.cache import host_tensor

SHARD_BYTES = 256 * 2**20
SHARD_SECONDS = 300.0


def write_shard(cache: FeatureCache, held: Sequence[tuple[Entry, Tensor]]) -> None:
    """Write one shard and its index part under a new name; until the second is in place there is no shard.

    Raises:
        TrainingError: The disk is full or fails.
    """
    stem = f"shard-{secrets.token_hex(8)}"
    shard, part = cache.folder / f"{stem}.safetensors", cache.folder / f"{stem}.parquet"
    about = {FORMAT: json.dumps({"backbone": cache.digest})}
    try:
        with _remove_unless(part, shard):
            with atomic_path(shard) as beside:
                # Straight from the tensors' memory; nothing is copied.
                save_file({entry.tensor: tensor for entry, tensor in held}, beside, metadata=about)
                # safetensors lets nobody but the owner read its files; a cache is often shared.
                shutil.copymode(cache.folder / CACHE_FILE, beside)
            write_part(cache, part, [replace(entry, shard=shard.name) for entry, _ in held], shard.stat().st_size)
    except (SafetensorError, OSError) as error:
        raise TrainingError(
            f"a shard of {sum(entry.bytes for entry, _ in held):,} bytes cannot be written: {error}",
            file=shard,
            remedy="see to the disk and run the same command again; finished shards are kept",
        ) from error


@contextmanager
def _remove_unless(part: Path, shard: Path) -> Iterator[None]:
    """After a failure remove the shard, unless its index part is in place (a folder's sync fails after the rename)."""
    try:
        yield
    except BaseException:
        if not part.exists():
            shard.unlink(missing_ok=True)
        raise


class FeatureWriter:
    """Adds tokens to a cache; a context that ends, for whatever reason, keeps what was added.

    A shard is written in a thread while the next tokens are made. Memory holds the tokens of one shard and what is
    being added.

    Args:
        cache: Where to.
        shard_bytes: A shard is written before it would grow larger.
        shard_seconds: A shard is written no later than this after its first tokens, so that a slow backbone that is
            killed loses little.
    """

    def __init__(
        self, cache: FeatureCache, *, shard_bytes: int = SHARD_BYTES, shard_seconds: float = SHARD_SECONDS
    ) -> None:
        self.cache, self.shard_bytes, self.shard_seconds = cache, shard_bytes, shard_seconds
        self._held: list[tuple[Entry, Tensor]] = []
        self._held_bytes = 0
        self._since = 0.0
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="write-features")
        self._writing: Future[None] | None = None

    def __enter__(self) -> FeatureWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.flush()
        finally:
            self._pool.shutdown()

    def add(self, key: PageKey, page_id: str, page: EncodedPage) -> None:
        """Take the tokens of a page.

        Raises:
            TrainingError: They have another width or precision than the cache's, or an earlier shard could not be
                written.
        """
        self._settle()
        tokens = host_tensor(page)
        if tokens.shape[1] != self.cache.token_dim or tokens.dtype != DTYPES[self.cache.dtype]:
            raise TrainingError(
                f"the backbone gave {str(tokens.dtype).removeprefix('torch.')} tokens of width {tokens.shape[1]}; its "
                f"spec and token_dim say {self.cache.dtype} and {self.cache.token_dim}",
                record=page_id,
            )
        if self._held_bytes + tokens.nbytes > self.shard_bytes:
            self.flush()
        if not self._held:
            self._since = time.monotonic()
        self._held.append((_entry(key, page_id, page, tokens), tokens))
        self._held_bytes += tokens.nbytes
        # Pages are of about equal size: another one like this would not fit.
        full = self._held_bytes + tokens.nbytes > self.shard_bytes
        if full or time.monotonic() - self._since > self.shard_seconds:
            self._start()

    def flush(self) -> None:
        """Write what is held, and wait until it is on disk."""
        self._settle()
        self._start()
        self._settle()

    def _start(self) -> None:
        held, self._held, self._held_bytes = self._held, [], 0
        if held:
            self._writing = self._pool.submit(write_shard, self.cache, held)

    def _settle(self) -> None:
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()


def _entry(key: PageKey, page_id: str, page: EncodedPage, tokens: Tensor) -> Entry:
    dtype = str(tokens.dtype).removeprefix("torch.")
    rows, cols, (count, dim) = page.grid.rows, page.grid.cols, tokens.shape
    return Entry(key, page_id, "", key.name, rows, cols, count, dim, dtype, tokens.nbytes, checksum(tokens))
