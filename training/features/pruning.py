"""Dropping what a cache does not need: leftovers of killed writers, duplicates, damage, pages that are gone."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import filelock

from pinpoint_data.errors import UsageError
from training.features.cache import FeatureCache
from training.features.index import Entry
from training.features.scanning import Scan, Shard, scan
from training.features.shard_file import ShardFile
from training.features.verification import verify
from training.features.writer import write_shard

GRACE_HOURS = 24.0


@dataclass
class PrunePlan:
    """What would be dropped.

    Attributes:
        delete: Files, in an order in which they may go.
        rewrite: Shards that lose some entries, with those they keep.
        entries: Number of entries dropped, by reason.
        leftovers: Number of files of killed writers and of damaged shards.
        waiting: Leftovers that are too young: a living writer's, perhaps.
        freed_bytes: On disk.
    """

    delete: list[Path] = field(default_factory=list)
    rewrite: list[tuple[Shard, list[Entry]]] = field(default_factory=list)
    entries: Counter[str] = field(default_factory=Counter)
    leftovers: int = 0
    waiting: list[Path] = field(default_factory=list)
    freed_bytes: int = 0


def plan_prune(
    cache: FeatureCache,
    found: Scan,
    *,
    grace_hours: float = GRACE_HOURS,
    damaged: Set[tuple[str, str]] = frozenset(),
    wanted: Set[str] | None = None,
) -> PrunePlan:
    """Decide what to drop.

    Args:
        cache: The cache.
        found: What `scan` found in it.
        grace_hours: Unindexed shards and temporary files younger than this are left to their writers.
        damaged: (shard, tensor) names of entries to drop, from `verify`.
        wanted: Key names of the pages to keep; None keeps all.

    Raises:
        UsageError: Not one entry is wanted.
    """
    plan = PrunePlan()
    if wanted is not None and found.entries and not wanted & found.entries.keys():
        raise UsageError(
            "holds no page of the workspace; pruning would drop every entry",
            file=cache.folder,
            remedy="name the workspace whose pages it holds, or remove the folder yourself",
        )
    limit = time.time() - 3600 * grace_hours
    for path in [*found.unfinished, *found.unindexed]:
        try:
            young = path.stat().st_mtime > limit
        except FileNotFoundError:
            continue
        if young:
            plan.waiting.append(path)
        else:
            _leftover(plan, path)
    for path in found.damaged:
        _leftover(plan, path)
    seen: set[str] = set()
    for shard in found.shards:
        _plan_shard(plan, shard, seen, damaged, wanted)
    return plan


def _leftover(plan: PrunePlan, path: Path) -> None:
    plan.delete.append(path)
    plan.leftovers += 1
    plan.freed_bytes += path.stat().st_size


def _plan_shard(
    plan: PrunePlan, shard: Shard, seen: set[str], damaged: Set[tuple[str, str]], wanted: Set[str] | None
) -> None:
    kept = []
    for entry in shard.entries:
        if (entry.shard, entry.tensor) in damaged:
            plan.entries["damaged"] += 1
        elif wanted is not None and entry.tensor not in wanted:
            plan.entries["page not in the workspace"] += 1
        elif entry.tensor in seen:
            plan.entries["duplicate"] += 1
        else:
            seen.add(entry.tensor)
            kept.append(entry)
    if len(kept) == len(shard.entries) and kept:
        return
    if kept:
        plan.rewrite.append((shard, kept))
        plan.freed_bytes += sum(entry.bytes for entry in shard.entries) - sum(entry.bytes for entry in kept)
    else:
        # The index part first: a shard without one is a leftover, one without a shard is damage.
        plan.delete += [shard.part, shard.path]
        plan.freed_bytes += shard.bytes + shard.part.stat().st_size


def prune(
    cache: FeatureCache,
    *,
    grace_hours: float = GRACE_HOURS,
    checksums: bool = False,
    wanted: Set[str] | None = None,
    dry_run: bool = False,
    report: Callable[[PrunePlan], None] = lambda plan: None,
) -> PrunePlan:
    """Drop what a cache does not need. Killed at any point it leaves every kept entry readable.

    Args:
        cache: The cache.
        grace_hours: See `plan_prune`.
        checksums: Read every tensor, and drop the damaged ones too.
        wanted: See `plan_prune`.
        dry_run: Only plan.
        report: Called with the plan before anything is dropped.

    Raises:
        UsageError: Another process prunes the cache, or not one entry is wanted.
        TrainingError: A shard that loses some entries cannot be read or written anew.
    """
    with nullcontext() if dry_run else _alone(cache):
        found = scan(cache)
        damaged = verify(cache, found)[1] if checksums else frozenset()
        plan = plan_prune(cache, found, grace_hours=grace_hours, damaged=damaged, wanted=wanted)
        report(plan)
        if not dry_run:
            _carry_out(cache, plan)
    return plan


@contextmanager
def _alone(cache: FeatureCache) -> Iterator[None]:
    """Two that decide at different moments could each drop the copy that the other one keeps."""
    guard = filelock.FileLock(cache.folder / ".prune.lock", timeout=0)
    try:
        guard.acquire()
    except filelock.Timeout as error:
        raise UsageError(
            "is being pruned by another command", file=cache.folder, remedy="wait for it to end"
        ) from error
    try:
        yield
    finally:
        guard.release()


def _carry_out(cache: FeatureCache, plan: PrunePlan) -> None:
    for path in plan.delete:
        # A shard whose index part is there: its writer has finished it since.
        if path.suffix != ".safetensors" or not path.with_suffix(".parquet").exists():
            path.unlink(missing_ok=True)
    for shard, kept in plan.rewrite:
        with ShardFile(shard.path) as file:
            # The new shard first: for a moment the entries are there twice, never not at all.
            write_shard(cache, [(entry, file.view(entry)) for entry in kept])
        shard.part.unlink(missing_ok=True)
        shard.path.unlink(missing_ok=True)
