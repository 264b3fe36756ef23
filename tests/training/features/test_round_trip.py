"""What goes into the cache comes out, bit for bit, whoever asks and under whatever name."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from pinpoint_data.errors import TrainingError, UsageError
from tests.training.features.build import FakeBackbone, expected, fill, page_ids, same_bits, workspace
from tests.training.toy import ToyBackbone
from training import features
from training.backbones import OcrGrid
from training.backbones.base import EncodedPage
from training.features import open_features, read_cache, scan
from training.pages.input import PageInput
from training.pages.store import PageStore

BACKBONES = [
    FakeBackbone("bfloat16"),
    FakeBackbone("float16"),
    FakeBackbone("float32"),
    ToyBackbone(),
    OcrGrid(lexical_dim=16),
]


@pytest.mark.parametrize("backbone", BACKBONES, ids=lambda b: f"{b.name}-{b.spec()['options'].get('dtype', '')}")
def test_tokens_come_back_bit_for_bit(tmp_path: Path, backbone: Any) -> None:
    ws = workspace(tmp_path, words=True)
    plan = fill(tmp_path / "cache", ws, backbone, batch_tokens=50, jobs=2)
    wanted = expected(ws, backbone)
    assert plan.outcome.counts["encoded"] == 6
    assert plan.tokens == sum(len(tokens) for tokens in wanted.values())
    with open_features(tmp_path / "cache", backbone, PageStore(ws)) as reader:
        assert reader.backbone is backbone
        for page_id, tokens in wanted.items():
            assert same_bits(reader.tokens(page_id), tokens)
        reader.prefetch(list(wanted))
        for page_id, tokens in reversed(wanted.items()):
            got = reader.tokens(page_id)
            assert same_bits(got, tokens) and not got.is_inference()
    # A consumer may keep what it was given.
    assert same_bits(got, tokens)


def test_any_safetensors_reader_opens_a_shard(tmp_path: Path) -> None:
    backbone, ws = FakeBackbone(), workspace(tmp_path)
    fill(tmp_path / "cache", ws, backbone)
    (shard,) = (tmp_path / "cache").glob("*.safetensors")
    assert {t.dtype for t in load_file(shard).values()} == {torch.bfloat16}


def test_files_under_several_names_are_encoded_once(tmp_path: Path) -> None:
    backbone, ws = FakeBackbone(), workspace(tmp_path)
    rows = ws.read("pages").to_pylist()
    with ws.writer("pages", "src-again") as writer:
        writer.write_rows([row | {"page_id": f"src/again-{n}"} for n, row in enumerate(rows)])
    plan = fill(tmp_path / "cache", ws, backbone)
    assert (plan.pages, plan.distinct, len(plan.todo)) == (12, 6, 6)
    with open_features(tmp_path / "cache", backbone, PageStore(ws)) as reader:
        assert same_bits(reader.tokens("src/2"), reader.tokens("src/again-2"))


def test_other_words_are_another_page_for_who_reads_them(tmp_path: Path) -> None:
    ws = workspace(tmp_path, words=True)
    fill(tmp_path / "toy", ws, ToyBackbone())
    fill(tmp_path / "fake", ws, FakeBackbone())
    rows = ws.read("words").to_pylist()
    with ws.writer("words", "src-train") as writer:
        writer.write_rows([row | {"text": "k4"} if row["page_id"] == "src/1" else row for row in rows])
    assert len(fill(tmp_path / "toy", ws, ToyBackbone()).todo) == 1
    assert not fill(tmp_path / "fake", ws, FakeBackbone()).todo


def test_hostile_page_ids_stay_inside(tmp_path: Path) -> None:
    names = ["../../escape", "/etc/passwd", "a\x1b[31m\nb", "shard-0123456789abcdef", "é" * 300, ""]
    backbone, ws = FakeBackbone(), workspace(tmp_path, names=names)
    fill(tmp_path / "cache", ws, backbone)
    made = {path.name for path in (tmp_path / "cache").iterdir()}
    assert len(made) == 3 and made > {"cache.json"} and not (tmp_path.parent / "escape").exists()
    with open_features(tmp_path / "cache", backbone, PageStore(ws)) as reader:
        for page_id, tokens in expected(ws, backbone).items():
            assert same_bits(reader.tokens(page_id), tokens)


def test_a_page_that_is_not_there_names_itself_and_the_remedy(tmp_path: Path) -> None:
    backbone, ws = FakeBackbone(), workspace(tmp_path)
    fill(tmp_path / "cache", ws, backbone, share=(1, 2))
    with open_features(tmp_path / "cache", backbone, PageStore(ws)) as reader:
        present = {entry.page_id for entry in scan(read_cache(tmp_path / "cache")).entries.values()}
        missing = next(page_id for page_id in page_ids(ws) if page_id not in present)
        for ask in (reader.tokens, lambda page_id: reader.prefetch([page_id])):
            with pytest.raises(TrainingError, match=r"not in the feature cache .*pinpoint features extract") as caught:
                ask(missing)
            assert missing in str(caught.value)


def test_another_backbone_is_refused_with_the_setting_named(tmp_path: Path) -> None:
    ws = workspace(tmp_path)
    fill(tmp_path / "cache", ws, FakeBackbone())
    other = FakeBackbone(dtype="float16", revision="b")
    with pytest.raises(TrainingError) as caught:
        open_features(tmp_path / "cache", other, PageStore(ws))
    assert 'options.revision is "a" there, "b" here' in str(caught.value)
    assert 'options.dtype is "bfloat16" there, "float16" here' in str(caught.value)
    with pytest.raises(TrainingError, match=r"name is \"fake\" there, \"ocr-grid\" here.*another folder"):
        fill(tmp_path / "cache", ws, OcrGrid())
    with pytest.raises(TrainingError, match=r"options.revision is \"a\" there, \"b\" here"):
        fill(tmp_path / "cache", ws, FakeBackbone(revision="b"))


def test_a_foreign_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "to-grandma.txt").write_text("dear", encoding="utf-8")
    with pytest.raises(UsageError, match="neither empty nor a feature cache"):
        fill(tmp_path / "letters", workspace(tmp_path), FakeBackbone())
    assert len(list((tmp_path / "letters").iterdir())) == 1


def test_a_backbone_that_breaks_its_word_is_refused(tmp_path: Path) -> None:
    class Liar(FakeBackbone):
        def spec(self) -> dict[str, Any]:
            return {"name": "fake", "version": 1, "options": {}}

    with pytest.raises(TrainingError, match=r"gave bfloat16 tokens of width 6; its spec and token_dim say float32"):
        fill(tmp_path / "cache", workspace(tmp_path), Liar())


def test_a_page_that_cannot_be_decoded_is_listed_and_the_rest_goes_on(tmp_path: Path) -> None:
    backbone, ws = FakeBackbone(), workspace(tmp_path)
    images = ws.root_of("src")
    (images / "1.png").write_bytes(b"no image")
    (images / "4.png").unlink()
    (images / "5.png").write_bytes((images / "2.png").read_bytes())  # same size, other pixels
    plan = fill(tmp_path / "cache", ws, backbone, batch_tokens=45)
    refused = {problem.record: problem.code for problem in plan.outcome.problems}
    assert refused == {"src/1": "wrong-type", "src/4": "missing-image", "src/5": "changed-page"}
    assert plan.outcome.counts["encoded"] == 3 and plan.outcome.exit_code == 1
    assert max(len(batch) for batch in backbone.batches) == 2


def test_tokens_that_are_not_finite_are_listed(tmp_path: Path) -> None:
    class Overflow(FakeBackbone):
        def _tokens(self, page: PageInput, grid: Any) -> torch.Tensor:
            tokens = super()._tokens(page, grid)
            return tokens * torch.inf if page.page_id == "src/2" else tokens

    plan = fill(tmp_path / "cache", workspace(tmp_path), Overflow())
    assert [(p.code, p.record) for p in plan.outcome.problems] == [("not-finite", "src/2")]
    assert plan.outcome.counts["encoded"] == 5


def test_pages_without_a_hash_are_listed(tmp_path: Path) -> None:
    ws = workspace(tmp_path)
    rows = ws.read("pages").to_pylist()
    with ws.writer("pages", "src-train") as writer:
        writer.write_rows([row | {"sha256": None} if row["page_id"] == "src/0" else row for row in rows])
    plan = fill(tmp_path / "cache", ws, FakeBackbone())
    assert plan.outcome.refused == {"no-page-hash": 1} and plan.outcome.counts["encoded"] == 5


def test_shares_partition_the_pages(tmp_path: Path) -> None:
    ws, done = workspace(tmp_path, 12), []
    for part in (1, 2, 3):
        plan = fill(tmp_path / "cache", ws, FakeBackbone(), share=(part, 3))
        done += [page.page_id for page in plan.todo]
    assert sorted(done) == sorted(page_ids(ws))
    found = scan(read_cache(tmp_path / "cache"))
    assert len(found.entries) == 12 and not found.duplicates and len(found.shards) <= 3


def test_a_backbone_that_looks_at_no_pixels_needs_no_images(tmp_path: Path) -> None:
    ws = workspace(tmp_path, words=True)
    for image in ws.root_of("src").iterdir():
        image.unlink()
    plan = fill(tmp_path / "cache", ws, OcrGrid(lexical_dim=16, pixels=False), batch_tokens=1)
    assert plan.outcome.counts["encoded"] == 6


def test_a_grid_that_changed_since_is_refused(tmp_path: Path) -> None:
    class Coarse(FakeBackbone):
        def grid(self, width: int, height: int) -> Any:
            return super().grid(width, height // 2)

    ws = workspace(tmp_path)
    fill(tmp_path / "cache", ws, FakeBackbone())
    with (
        open_features(tmp_path / "cache", Coarse(), PageStore(ws)) as reader,
        pytest.raises(TrainingError, match=r"20 tokens of width 6 on a grid of 5 x 4, the backbone's are 8 "),
    ):
        reader.tokens("src/0")


def test_many_threads_read_while_pages_are_prefetched(tmp_path: Path) -> None:
    backbone, ws = FakeBackbone(), workspace(tmp_path, 9)
    fill(tmp_path / "cache", ws, backbone, batch_tokens=40)
    wanted, failures = expected(ws, backbone), []
    largest = max(tokens.nbytes for tokens in wanted.values())

    def read(seed: int) -> None:
        order = np.random.default_rng(seed).permutation(sorted(wanted)).tolist()
        for start in range(0, len(order), 3):
            reader.prefetch(order[start : start + 3])
            failures.extend(p for p in order[start : start + 3] if not same_bits(reader.tokens(p), wanted[p]))

    with open_features(tmp_path / "cache", backbone, PageStore(ws), prefetch_bytes=2 * largest) as reader:
        threads = [threading.Thread(target=read, args=(seed,)) for seed in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures and reader._prefetcher.used_bytes <= 2 * largest
    reader.close()  # twice does no harm
    for ask in (reader.tokens, lambda page_id: reader.prefetch([page_id])):
        with pytest.raises(TrainingError, match="was closed"):
            ask("src/0")


def test_files_are_let_go(tmp_path: Path) -> None:
    backbone, ws = FakeBackbone(), workspace(tmp_path)
    fill(tmp_path / "cache", ws, backbone)
    with open_features(tmp_path / "cache", backbone, PageStore(ws)) as reader:
        tokens = reader.tokens("src/0")
        assert f"{tmp_path}/cache/shard-" in Path("/proc/self/maps").read_text(encoding="utf-8")
    before = tokens.clone()
    del reader
    assert same_bits(tokens, before)
    del tokens
    assert f"{tmp_path}/cache/shard-" not in Path("/proc/self/maps").read_text(encoding="utf-8")


def test_shards_of_equal_caches_can_be_joined(tmp_path: Path) -> None:
    backbone, ws = FakeBackbone(), workspace(tmp_path)
    for part in (1, 2):
        fill(tmp_path / f"cache{part}", ws, backbone, share=(part, 2))
    for file in (tmp_path / "cache2").glob("shard-*"):
        file.rename(tmp_path / "cache1" / file.name)
    with open_features(tmp_path / "cache1", backbone, PageStore(ws)) as reader:
        for page_id, tokens in expected(ws, backbone).items():
            assert same_bits(reader.tokens(page_id), tokens)


def test_what_is_public_is_there() -> None:
    assert features.__all__ == sorted(features.__all__)
    assert all(getattr(features, name).__module__.startswith("training.features.") for name in features.__all__)


def test_shards_stay_below_their_limit(tmp_path: Path) -> None:
    backbone, ws = FakeBackbone(), workspace(tmp_path, 9)
    page_bytes = max(tokens.nbytes for tokens in expected(ws, backbone).values())
    fill(tmp_path / "cache", ws, backbone, shard_bytes=2 * page_bytes)
    shards = scan(read_cache(tmp_path / "cache")).shards
    assert 4 <= len(shards) < 9 and max(sum(e.bytes for e in shard.entries) for shard in shards) <= 2 * page_bytes


def test_a_slow_backbone_loses_little(tmp_path: Path) -> None:
    backbone, ws = FakeBackbone(), workspace(tmp_path)
    store = PageStore(ws)
    cache = features.create_cache(tmp_path / "cache", backbone)
    writer = features.FeatureWriter(cache, shard_seconds=0)
    for page_id in page_ids(ws)[:3]:
        page = backbone.encode_page(store.input(page_id))
        writer.add(features.page_key(store, page_id, reads_words=False), page_id, EncodedPage(page.grid, page.tokens))
    assert len(scan(cache).entries) >= 2
    writer.flush()
    assert len(scan(cache).entries) == 3
