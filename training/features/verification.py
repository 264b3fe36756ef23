"""Checking a cache: names, shapes and the checksum of every tensor."""

from __future__ import annotations

from collections.abc import Iterator

from pinpoint_data.errors import Outcome, Problem, TrainingError
from pinpoint_data.progress import progress
from training.features.cache import FeatureCache
from training.features.index import Entry
from training.features.scanning import Scan, Shard
from training.features.shard_file import ShardFile


def damaged_entries(shard: Shard) -> Iterator[tuple[Entry, TrainingError | None]]:
    """Every entry of a shard, with what is wrong with it, if anything; reads the whole shard."""
    try:
        file = ShardFile(shard.path)
    except TrainingError as error:
        yield from ((entry, error) for entry in shard.entries)
        return
    with file:
        for entry in shard.entries:
            try:
                if entry.tensor != entry.key.name:
                    raise TrainingError("the index names another page's tensor", file=shard.part)
                file.check(entry, file.view(entry))
            except TrainingError as error:
                yield entry, error
            else:
                yield entry, None


def verify(cache: FeatureCache, found: Scan) -> tuple[Outcome, set[tuple[str, str]]]:
    """Read every tensor of a cache.

    Args:
        cache: The cache.
        found: What `scan` found in it.

    Returns:
        Counts and problems; and the (shard, tensor) names of the entries that are damaged.
    """
    outcome, damaged = Outcome(), set()
    for problem in found.problems:
        outcome.refuse(problem)
    outcome.counts["shards"] = len(found.shards)
    with progress("verify", sum(len(shard.entries) for shard in found.shards)) as advance:
        for shard in found.shards:
            for entry, error in damaged_entries(shard):
                advance(1)
                if error is None:
                    outcome.counts["sound entries"] += 1
                    continue
                damaged.add((entry.shard, entry.tensor))
                record = f"page {entry.page_id}"
                outcome.refuse(Problem.of(error, code="damaged-tokens", file=shard.path, record=record))
    return outcome, damaged
