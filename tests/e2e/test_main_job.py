"""The whole main job as a user runs it: the demo on generated documents, and on files of one's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from datasets import load_dataset

from pinpoint_data.generate import generate_documents
from pinpoint_data.workspace import Workspace

pytestmark = pytest.mark.e2e

HOSTILE = "<script>alert('what')</script> & \"who\" is the ${7*7} {{ 7*7 }}?"


def demo(out: Path, *options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "pinpoint_data", "demo", str(out), "--documents", "4", *map(str, options)]
    # One thread: what a small model loses by it is less than two test processes lose by sharing two cores.
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", env=environment)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    out = tmp_path_factory.mktemp("demo") / "out"
    done = demo(out)
    assert done.returncode == 0, done.stdout + done.stderr
    return out, done.stdout


def test_every_command_is_printed_before_it_runs(finished: tuple[Path, str]) -> None:
    shown = [line.split()[2] for line in finished[1].splitlines() if line.startswith("$ pinpoint ")]
    order = ["generate", "ingest", "words", "propose", "evaluate-proposals", "label-studio", "validate"]
    order += ["publish", "windows", "train", "evaluate", "select"]
    assert list(dict.fromkeys(shown)) == order
    assert "load_dataset" in finished[1]


def test_gold_boxes_survive_to_the_last_bit(finished: tuple[Path, str], tmp_path: Path) -> None:
    out, _ = finished
    compared = 0
    for layout in ("infovqa", "spdocvqa", "mpdocvqa"):
        lines = (out / "generated" / layout / "gold_evidence.jsonl").read_text(encoding="utf-8").splitlines()
        gold = {str(line["questionId"]): line["evidence"] for line in map(json.loads, lines)}
        name = f"generated-{layout}"
        rows = load_dataset(str(out / "dataset"), name, split="train", cache_dir=str(tmp_path / layout))
        assert len(rows) == len(gold)
        for row in rows:
            expected = gold[row["question_id"].removeprefix(f"{name}/")]
            assert [(b["page_index"], b["xyxy"]) for b in row["evidence"]] == [(b["page"], b["xyxy"]) for b in expected]
            compared += len(expected)
    assert compared > 100


def test_labels_have_a_positive_window_for_every_page_with_evidence(finished: tuple[Path, str], tmp_path: Path) -> None:
    rows = load_dataset(str(finished[0] / "dataset"), "windows_qwen2-vl", split="train", cache_dir=str(tmp_path))
    for row in rows:
        has_evidence = max(row["evidence_recall"], default=0.0) > 0
        assert (1 in row["label"]) == has_evidence


def test_scores_of_all_scorers_come_with_intervals(finished: tuple[Path, str]) -> None:
    found = json.loads((finished[0] / "evaluation" / "evaluation.json").read_text(encoding="utf-8"))
    assert set(found["scorers"]) >= {"random", "text-density", "bm25", "oracle", "ranker", "pinpoint"}
    means = {name: found["scores"]["all"][name]["evidence_recall@0.25"]["mean"] for name in found["scorers"]}
    finer = means.pop("ranker")  # takes single tokens, so it may beat the oracle of windows
    assert finer > means["random"]
    assert means["oracle"] >= max(means.values()) - 1e-9, "nothing beats the oracle"
    assert means["pinpoint"] > means["random"], "something was learnt"
    assert np.isfinite(list(means.values())).all()


def test_the_page_at_the_end_shows_pictures_that_exist(finished: tuple[Path, str]) -> None:
    out, _ = finished
    html = (out / "index.html").read_text(encoding="utf-8")
    pictures = {part.split('"')[0] for part in html.split('src="')[1:]}
    assert len(pictures) == 9, "three selections of ranker and aligner each, three pages with gold boxes"
    assert all((out / picture).stat().st_size > 1000 for picture in pictures)


def test_a_folder_with_something_in_it_is_left_alone(finished: tuple[Path, str]) -> None:
    again = demo(finished[0])
    assert again.returncode == 2
    assert "is not empty" in again.stderr


def test_own_files_without_boxes_and_with_a_hostile_question(tmp_path: Path) -> None:
    own, out = tmp_path / "own files", tmp_path / "out"
    generate_documents(own, layout="infovqa", documents=2, seed=7, split="validation")
    (own / "gold_evidence.jsonl").unlink()
    file = next(own.rglob("infographicsVQA_*.json"))
    content = json.loads(file.read_text(encoding="utf-8"))
    content["data"][0]["question"] = HOSTILE
    file.write_text(json.dumps(content), encoding="utf-8")
    done = demo(out, "--source", "infovqa", own)
    assert done.returncode == 0, done.stdout + done.stderr
    html = (out / "index.html").read_text(encoding="utf-8")
    assert "<script" not in html
    assert "&lt;script&gt;alert" in html
    assert {"infovqa", "generated-infovqa"} <= set(Workspace.open(out / "workspace").sources)
    assert sorted(path.name for path in out.glob("select-*")) == [
        "select-0",
        "select-0-aligner",
        "select-1",
        "select-1-aligner",
    ]
