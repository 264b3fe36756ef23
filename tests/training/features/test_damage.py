"""A cache that somebody hurt: `verify` and the reader name the file and the remedy, and `prune` puts it right."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pinpoint_data.errors import PinpointError, TrainingError, UsageError
from pinpoint_data.workspace import Workspace
from tests.training.features.build import FakeBackbone, expected, fill, names, page_ids, same_bits, workspace
from training.features import open_features, page_key, prune, read_cache, scan, verify
from training.pages.store import PageStore


@pytest.fixture
def made(tmp_path: Path) -> tuple[Path, Workspace]:
    """Six pages in three shards."""
    ws, folder = workspace(tmp_path), tmp_path / "cache"
    backbone = FakeBackbone()
    largest = max(tokens.nbytes for tokens in expected(ws, backbone).values())
    fill(folder, ws, backbone, batch_tokens=1, shard_bytes=2 * largest)
    assert len(scan(read_cache(folder)).shards) == 3
    return folder, ws


def shards(folder: Path, kind: str = "safetensors") -> list[Path]:
    return sorted(folder.glob(f"shard-*.{kind}"))


def truncate(folder: Path) -> str:
    path = shards(folder)[1]
    path.write_bytes(path.read_bytes()[:-20])
    return "truncated-shard"


def remove(folder: Path) -> str:
    shards(folder)[1].unlink()
    return "missing-shard"


def scribble_index(folder: Path) -> str:
    path = shards(folder, "parquet")[1]
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 0xFF
    path.write_bytes(data)
    return "damaged-index"


def flip(folder: Path) -> str:
    path = shards(folder)[1]
    data = bytearray(path.read_bytes())
    data[-3] ^= 0x01
    path.write_bytes(data)
    return "damaged-tokens"


def scribble_header(folder: Path) -> str:
    path = shards(folder)[1]
    data = bytearray(path.read_bytes())
    data[20] ^= 0xFF
    path.write_bytes(data)
    return "damaged-tokens"


@pytest.mark.parametrize("hurt", [truncate, remove, scribble_index, flip, scribble_header])
def test_damage_is_named_and_put_right(made: tuple[Path, Workspace], hurt: Callable[[Path], str]) -> None:
    folder, ws = made
    backbone, cache = FakeBackbone(), read_cache(folder)
    code = hurt(folder)
    outcome, _ = verify(cache, scan(cache))
    assert code in outcome.refused and set(outcome.refused) == {code} and outcome.exit_code == 1
    bad = shards(folder, "parquet")[1].stem
    assert all(bad in problem.file and "pinpoint features prune" in problem.remedy for problem in outcome.problems)

    with pytest.raises(TrainingError, match=rf"{bad}.*pinpoint features prune") as caught:  # noqa: SIM117
        with open_features(folder, backbone, PageStore(ws)) as reader:
            for page_id in page_ids(ws):
                reader.tokens(page_id)
    assert isinstance(caught.value, PinpointError)

    before = {path: path.read_bytes() for path in folder.iterdir()}
    dry = prune(cache, checksums=True, dry_run=True)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before and dry.freed_bytes > 0
    prune(cache, checksums=True)
    assert fill(folder, ws, backbone).outcome.counts["encoded"] in (1, 2)
    outcome, _ = verify(cache, scan(cache))
    assert not outcome.refused and outcome.counts["sound entries"] == 6


def test_damage_is_found_when_prefetched_too(made: tuple[Path, Workspace]) -> None:
    folder, ws = made
    flip(folder)
    with open_features(folder, FakeBackbone(), PageStore(ws)) as reader:
        reader.prefetch(page_ids(ws))
        with pytest.raises(TrainingError, match="checksum differs"):
            for page_id in page_ids(ws):
                reader.tokens(page_id)


def test_extraction_makes_up_for_damage_that_sizes_tell(made: tuple[Path, Workspace]) -> None:
    folder, ws = made
    truncate(folder)
    assert len(fill(folder, ws, FakeBackbone()).todo) == 2


@pytest.mark.parametrize("name", ["notes.parquet", "shard-0123456789abcdef.parquet"])
def test_a_foreign_table_is_reported_and_never_removed(made: tuple[Path, Workspace], name: str) -> None:
    folder, ws = made
    pq.write_table(pa.table({"dear": ["grandma"]}), folder / name)
    cache = read_cache(folder)
    assert verify(cache, scan(cache))[0].refused == {"foreign-index": 1}
    with pytest.raises(TrainingError, match=rf"{name}.*is no index part.*move the file out"):
        open_features(folder, FakeBackbone(), PageStore(ws))
    prune(cache, grace_hours=0)
    assert (folder / name).exists()


def test_shards_of_another_backbone_are_foreign(made: tuple[Path, Workspace], tmp_path: Path) -> None:
    folder, ws = made
    fill(tmp_path / "other", ws, FakeBackbone(revision="b"))
    for file in (tmp_path / "other").glob("shard-*"):
        file.rename(folder / file.name)
    with pytest.raises(TrainingError, match="another backbone made"):
        open_features(folder, FakeBackbone(), PageStore(ws))
    prune(read_cache(folder), grace_hours=0)
    assert len(shards(folder)) == 4


def test_a_renamed_part_is_foreign(made: tuple[Path, Workspace]) -> None:
    folder, _ = made
    part = shards(folder, "parquet")[0]
    part.rename(folder / "shard-ffffffffffffffff.parquet")
    assert "foreign-index" in verify(read_cache(folder), scan(read_cache(folder)))[0].refused


@settings(max_examples=25, deadline=None)
@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_no_flipped_bit_goes_unseen(tmp_path_factory: pytest.TempPathFactory, where: float, bit: int) -> None:
    """Of index and shard alike: what is read is what was written, or an error of this program."""
    folder, ws, wanted = _small(tmp_path_factory)
    files = [*shards(folder), *shards(folder, "parquet")]
    sizes = [file.stat().st_size for file in files]
    place = int(where * sum(sizes))
    file, place = (files[0], place) if place < sizes[0] else (files[1], place - sizes[0])
    before = file.read_bytes()
    data = bytearray(before)
    data[place] ^= 1 << bit
    file.write_bytes(data)
    try:
        with open_features(folder, FakeBackbone(), PageStore(ws)) as reader:
            assert all(same_bits(reader.tokens(page_id), tokens) for page_id, tokens in wanted.items())
    except TrainingError:
        pass
    finally:
        file.write_bytes(before)


_MADE: dict[str, tuple[Path, Workspace, dict[str, torch.Tensor]]] = {}


def _small(factory: pytest.TempPathFactory) -> tuple[Path, Workspace, dict[str, torch.Tensor]]:
    if "small" not in _MADE:
        place = factory.mktemp("bits")
        ws = workspace(place, 2)
        fill(place / "cache", ws, FakeBackbone())
        _MADE["small"] = place / "cache", ws, expected(ws, FakeBackbone())
    return _MADE["small"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "does not say whose tokens"),
        ("[]", "does not say whose tokens"),
        ('{"format": "pinpoint-features", "format_version": 99, "backbone": {}, "token_dim": 1, "dtype": "float32", '
         '"reads_words": false}', "newer than this program"),
        ('{"format": "x", "format_version": 1, "backbone": {}, "token_dim": 1, "dtype": "float32", '
         '"reads_words": false}', "does not say whose tokens"),
    ],
)  # fmt: skip
def test_a_damaged_cache_json_is_one_line(made: tuple[Path, Workspace], text: str, message: str) -> None:
    folder, ws = made
    (folder / "cache.json").write_text(text, encoding="utf-8")
    with pytest.raises(TrainingError, match=message):
        open_features(folder, FakeBackbone(), PageStore(ws))


def test_a_removed_cache_json_is_written_anew_and_the_shards_stay(made: tuple[Path, Workspace]) -> None:
    folder, ws = made
    (folder / "cache.json").unlink()
    with pytest.raises(TrainingError, match="is no feature cache"):
        open_features(folder, FakeBackbone(), PageStore(ws))
    assert fill(folder, ws, FakeBackbone()).cached == 6


def test_pruning_drops_pages_that_the_workspace_no_longer_has(made: tuple[Path, Workspace]) -> None:
    folder, ws = made
    rows = ws.read("pages").to_pylist()
    with ws.writer("pages", "src-train") as writer:
        writer.write_rows(rows[:3])
    cache, size = read_cache(folder), sum(f.stat().st_size for f in folder.iterdir())
    plan = prune(cache, wanted=names(ws, cache))
    assert plan.entries == {"page not in the workspace": 3}
    assert sum(f.stat().st_size for f in folder.iterdir()) < size
    with open_features(folder, FakeBackbone(), PageStore(ws)) as reader:
        for page_id, tokens in expected(ws, FakeBackbone()).items():
            assert same_bits(reader.tokens(page_id), tokens)
    with pytest.raises(UsageError, match="would drop every entry"):
        prune(cache, wanted={"0" * 32})
    assert len(scan(cache).entries) == 3


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ("[]", "valid dictionary|should be an object"),
        ("null", "valid dictionary|should be an object"),
        ("{", "invalid json"),
        ({"format": "other"}, "format: input should be .pinpoint-features."),
        ({"token_dim": float("inf")}, "token_dim: "),
        ({"token_dim": -4}, "token_dim: "),
        ({"token_dim": 10**30}, "token_dim: "),
        ({"dtype": "float64"}, "dtype: "),
        ({"backbone": {"options": [1]}}, "backbone.options: "),
        ({"backbone": 3}, "backbone: "),
        ({"reads_words": "no"}, "reads_words: "),
        ({"format_version": 0}, "format_version: "),
        ({"format_version": 2, "token_dim": "many"}, "newer than this program's 1"),
    ],
)
def test_a_cache_json_that_says_nonsense_is_refused(
    made: tuple[Path, Workspace], contents: str | dict[str, Any], message: str
) -> None:
    folder, _ = made
    file = folder / "cache.json"
    text = contents if isinstance(contents, str) else json.dumps(json.loads(file.read_text()) | contents)
    file.write_text(text)
    with pytest.raises(TrainingError, match=f"cache.json: .*({message})"):
        read_cache(folder)
    (folder / "cache.json").unlink()
    (folder / "cache.json").mkdir()
    with pytest.raises(TrainingError, match=r"cache\.json: cannot be read"):
        read_cache(folder)


def test_folders_are_nobodys_shards(made: tuple[Path, Workspace]) -> None:
    folder, ws = made
    for suffix in ("parquet", "safetensors"):
        (folder / f"shard-{suffix.encode().hex()[:16]:0<16}.{suffix}").mkdir()
    cache = read_cache(folder)
    assert not scan(cache).problems and not scan(cache).unindexed
    prune(cache, grace_hours=0)
    with open_features(folder, FakeBackbone(), PageStore(ws)) as reader:
        reader.require(page_ids(ws))
    assert sum(path.is_dir() for path in folder.iterdir()) == 2


def test_shards_are_as_readable_as_the_cache(made: tuple[Path, Workspace]) -> None:
    folder, _ = made
    modes = {path.stat().st_mode & 0o777 for path in folder.iterdir()}
    assert modes == {(folder / "cache.json").stat().st_mode & 0o777}


def test_pages_that_are_missing_are_counted_before_they_are_needed(made: tuple[Path, Workspace]) -> None:
    folder, ws = made
    prune(read_cache(folder), wanted={page_key(PageStore(ws), page_ids(ws)[0], reads_words=False).name})
    with open_features(folder, FakeBackbone(), PageStore(ws)) as reader:
        reader.require(page_ids(ws)[:1])
        with pytest.raises(TrainingError, match=r"page src/1: .*nor are those of 4 more.*pinpoint features extract"):
            reader.require(page_ids(ws))
