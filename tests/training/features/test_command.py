"""`pinpoint features` as a user sees it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from loaders.publishing import publish
from pinpoint_data.errors import TrainingError, UsageError
from pinpoint_data.workspace import Workspace
from tests.loaders.build import question, regions, write
from tests.training.features.build import FAKE, page_ids, workspace
from tests.training.runs import tiny_run
from training.commands.features import features

BACKBONE = ["--set", f"backbone.name={FAKE}", "--set", "backbone.options={}"]


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(features, [str(argument) for argument in arguments])


def extract(folder: Path, *arguments: object) -> Result:
    return invoke("extract", folder / "cache", "--workspace", folder / "ws", "--jobs", 1, *BACKBONE, *arguments)


def done(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, (result.output, result.exception)
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_from_pages_to_a_verified_cache(tmp_path: Path) -> None:
    workspace(tmp_path)
    first = extract(tmp_path, "--json")
    assert "to encode: 6 pages, 150 tokens x 6 bfloat16 = 1.8 kB" in first.stderr
    found = done(first)
    assert found["plan"] == {
        "pages": 6, "distinct": 6, "cached": 0, "to_encode": 6, "tokens": 150, "bytes": 1800,
        "bytes_of_other_shares": 0,
    }  # fmt: skip
    assert found["counts"] == {"encoded": 6} and found["stopped"] is False
    again = done(extract(tmp_path, "--json"))
    assert again["plan"]["cached"] == 6 and again["counts"] == {}

    described = done(invoke("info", tmp_path / "cache", "--json"))
    assert (described["pages"], described["tokens"], described["bytes"], described["shards"]) == (6, 150, 1800, 1)
    assert described["backbone"]["options"] == {"dtype": "bfloat16", "revision": "a"}
    text = invoke("info", tmp_path / "cache").stdout
    assert 'revision: "a"' in text and "6 pages, 150 tokens x 6 bfloat16 = 1.8 kB; shards: 1," in text

    assert done(invoke("verify", tmp_path / "cache", "--json"))["counts"] == {"shards": 1, "sound entries": 6}
    assert "6 sound entries" in invoke("verify", tmp_path / "cache").stdout
    pruned = done(invoke("prune", tmp_path / "cache", "--workspace", tmp_path / "ws", "--json"))
    assert pruned["freed_bytes"] == 0 and pruned["entries"] == {}


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    workspace(tmp_path)
    result = extract(tmp_path, "--dry-run")
    assert result.exit_code == 0 and "150 tokens" in result.stderr and not (tmp_path / "cache").exists()


def test_a_disk_that_is_too_small_is_told_before_it_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace(tmp_path)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**12, 10**12, 10**6))
    result = extract(tmp_path, "--share", "1/2")
    assert isinstance(result.exception, TrainingError) and not (tmp_path / "cache").exists()
    message = str(result.exception)
    assert "the features take 1.8 kB (shares of other jobs:" in message and "1.00 MB are free" in message
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**12, 0, 10**12))
    assert extract(tmp_path, "--share", "1/2").exit_code == 0
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**12, 10**12, 0))
    assert extract(tmp_path, "--share", "1/2").exit_code == 0  # nothing left to write


def test_unusable_pages_are_listed_with_exit_code_1(tmp_path: Path) -> None:
    ws = workspace(tmp_path)
    (ws.root_of("src") / "3.png").write_bytes(b"no image")
    result = extract(tmp_path)
    assert (
        result.exit_code == 1
        and "5 encoded" in result.stdout
        and "wrong-type: 3.png: src/3" in result.stdout.replace(str(ws.root_of("src")) + "/", "")
    )
    payload = extract(tmp_path, "--json")
    assert payload.exit_code == 1 and json.loads(payload.stdout)["problems"][0]["record"] == "src/3"


def test_damage_gives_exit_code_1(tmp_path: Path) -> None:
    workspace(tmp_path)
    extract(tmp_path)
    (shard,) = (tmp_path / "cache").glob("*.safetensors")
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    result = invoke("verify", tmp_path / "cache")
    assert result.exit_code == 1 and "damaged-tokens" in result.stdout and "page src/" in result.stdout
    assert done(invoke("prune", tmp_path / "cache", "--checksums", "--json"))["entries"] == {"damaged": 1}
    assert invoke("verify", tmp_path / "cache").exit_code == 0
    shard = next((tmp_path / "cache").glob("*.safetensors"))
    shard.unlink()
    assert "warning: missing-shard" in extract(tmp_path).stderr


def test_sources_and_datasets_choose_pages(tmp_path: Path) -> None:
    ws = workspace(tmp_path)
    write(ws, "questions", "src-train", [question(f"src/q{n}", "train", [f"src/{n}"]) for n in (1, 4)])
    gold = [region for n in (1, 4) for region in regions(f"src/q{n}", [(1, 2, 20, 9)])]
    write(ws, "annotations", "src-train.gold", gold)
    publish(Workspace.open(ws.path), tmp_path / "dataset")
    chosen = done(extract(tmp_path, "--dataset", tmp_path / "dataset", "--json"))
    assert chosen["plan"]["pages"] == 2
    assert done(extract(tmp_path, "--source", "src", "--json"))["plan"]["cached"] == 2
    result = extract(tmp_path, "--source", "nowhere")
    assert isinstance(result.exception, UsageError) and "knows no source 'nowhere'" in str(result.exception)


def test_the_backbone_of_a_run(tmp_path: Path) -> None:
    workspace(tmp_path, words=True)
    run = tiny_run(tmp_path / "run")
    plain = ["extract", tmp_path / "cache", "--workspace", tmp_path / "ws"]
    assert done(invoke(*plain, "--run", run, "--json"))["counts"] == {"encoded": 6}
    both = invoke(*plain, "--run", run, "--config", "ocr-grid")
    assert isinstance(both.exception, UsageError) and "--run brings its own settings" in str(both.exception)
    alone = invoke(*plain, "--model", "models/mine")
    assert isinstance(alone.exception, UsageError) and "does not take these options" in str(alone.exception)
    wordy = invoke(*plain, "--run", run, "--model", "models/mine")
    assert isinstance(wordy.exception, TrainingError) and "does not take these options" in str(wordy.exception)
    other = invoke(*plain, "--config", "ocr-grid")
    assert isinstance(other.exception, TrainingError)
    assert "options.lexical_dim is 16 there, 128 here" in str(other.exception)


def test_words_are_asked_for_where_they_are_needed(tmp_path: Path) -> None:
    workspace(tmp_path)
    result = invoke("extract", tmp_path / "cache", "--workspace", tmp_path / "ws", "--config", "ocr-grid")
    assert isinstance(result.exception, TrainingError) and "run pinpoint words" in str(result.exception)


@pytest.mark.parametrize("share", ["0/2", "3/2", "1", "a/b", "1/0", "-1/2", "1/2/3"])
def test_a_share_that_makes_no_sense_is_refused(tmp_path: Path, share: str) -> None:
    workspace(tmp_path)
    result = extract(tmp_path, f"--share={share}")
    assert result.exit_code == 2 and "PART/PARTS" in result.stderr


def test_an_interrupt_keeps_what_was_encoded(tmp_path: Path) -> None:
    ws = workspace(tmp_path)
    options = "backbone.options={interrupt_at = 3}"
    command = ["extract", tmp_path / "cache", "--workspace", ws.path, "--batch-tokens", 1]
    named = ["--set", "backbone.name=tests.training.features.build:InterruptedBackbone"]
    result = invoke(*command, *named, "--set", options, "--json")
    assert result.exit_code == 130 and "SIGINT: stopped" in result.stderr
    payload = json.loads(result.stdout)
    assert payload["stopped"] is True and payload["counts"] == {"encoded": 3}
    again = done(invoke(*command, *named, "--json"))
    assert again["plan"]["cached"] == 3 and again["counts"] == {"encoded": 3}
    assert len(page_ids(ws)) == 6


@pytest.mark.parametrize("command", [[], ["extract"], ["info"], ["verify"], ["prune"]])
def test_help_has_an_example(command: list[str]) -> None:
    assert "pinpoint features" in invoke(*command, "--help").stdout


def test_help_imports_no_torch() -> None:
    code = (
        "import sys; from training.commands.features import features; from click.testing import CliRunner\n"
        "assert CliRunner().invoke(features, ['extract', '--help']).exit_code == 0\n"
        "assert not {'torch', 'pyarrow', 'datasets'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
