"""Feature extraction on Ray: the same tokens by checksum, in the same batches; what kills its worker is listed."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner, Result

from pinpoint_data.engines.ray_data import RayWorkers
from pinpoint_data.workspace import Workspace
from tests.engines.doomed_backbone import DeadlyBackbone
from tests.training.features.build import FAKE, FakeBackbone, fill, page_ids, workspace
from training.commands.features import features
from training.features import create_cache, plan_extraction, read_cache, scan, verify
from training.features.blocks import BlockEncoder, cut, extract_blocks
from training.features.extraction import batches
from training.pages.store import PageStore


def checksums(folder: Path) -> dict[str, str]:
    cache = read_cache(folder)
    outcome, _ = verify(cache, scan(cache))
    assert not outcome.refused
    return {name: entry.checksum for name, entry in scan(cache).entries.items()}


def test_blocks_are_whole_batches_of_at_most_a_shard(tmp_path: Path) -> None:
    ws = workspace(tmp_path, 11)
    store, backbone = PageStore(ws), FakeBackbone()
    plan = plan_extraction(create_cache(tmp_path / "cache", backbone), backbone, store, page_ids(ws))
    blocks = list(cut(plan, batch_tokens=60, shard_bytes=1000))
    assert [page for block in blocks for page in block.pages] == plan.todo
    assert len(blocks) > 2 and [block.number for block in blocks] == list(range(len(blocks)))
    assert all(sum(page.tokens for page in block.pages) * plan.row_bytes <= 1000 for block in blocks)
    inside = [batch for block in blocks for batch in batches(block.pages, 60)]
    assert inside == list(batches(plan.todo, 60))


def test_tokens_are_those_of_the_local_engine(tmp_path: Path, cluster: str) -> None:
    workspace(tmp_path)

    def extract(name: str, *options: str) -> Result:
        fixed = ["--workspace", str(tmp_path / "ws"), "--jobs", "1", "--batch-tokens", "60", "--json"]
        backbone = ["--set", f"backbone.name={FAKE}", "--set", "backbone.options={}"]
        return CliRunner().invoke(features, ["extract", str(tmp_path / name), *fixed, *backbone, *options])

    assert extract("local").exit_code == 0
    found = extract("ray", "--engine", "ray", "--ray-address", cluster, "--ray-gpus", "1")
    assert found.exit_code == 0 and json.loads(found.stdout)["counts"] == {"encoded": 6}
    assert checksums(tmp_path / "ray") == checksums(tmp_path / "local") and len(checksums(tmp_path / "ray")) == 6
    assert extract("local", "--ray-gpus", "1").exception is not None


def test_a_block_that_kills_its_worker_is_listed_and_a_rerun_does_it(tmp_path: Path, cluster: str) -> None:
    ws, fuse = workspace(tmp_path), tmp_path / "fuse"
    fuse.touch()
    options = {"fuse": str(fuse)}
    backbone, store = DeadlyBackbone(**options), PageStore(Workspace.open(ws.path))
    cache = create_cache(tmp_path / "cache", backbone)
    encoder = BlockEncoder(cache, ws.path, ("tests.engines.doomed_backbone:DeadlyBackbone", options), 30, 1)
    plan = plan_extraction(cache, backbone, store, page_ids(ws))
    with RayWorkers() as workers:
        outcome = extract_blocks(encoder, store, plan, workers, shard_bytes=1)
    (problem,) = outcome.problems
    assert problem.code == "failed-block" and problem.record == "block 2 (src/2 .. src/2)"
    assert problem.message.startswith("3 workers were killed") and fuse.read_text().count("try") == 3
    assert len(checksums(tmp_path / "cache")) == 5
    fuse.unlink()
    # Here, as processes of Ray would import torch once more: either engine takes up what the other left.
    assert len(fill(tmp_path / "cache", ws, backbone, batch_tokens=30).todo) == 1
    fill(tmp_path / "local", ws, FakeBackbone(), batch_tokens=30)
    assert checksums(tmp_path / "cache") == checksums(tmp_path / "local")
