"""Pictures of questions on documents that a ranker held out: which are chosen, and that they are drawn."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from PIL import Image

from benchmarks import ranker_pictures
from loaders.samples import load_samples
from pinpoint_data.atomic import write_json
from pinpoint_data.cli import root
from tests.training.ranker.build import random_ranker
from training.checkpoint import DOCUMENTS_FILE
from training.ranker.model import RANKER_FILE


def command(*arguments):
    done = CliRunner().invoke(root, [str(argument) for argument in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output


def test_failures_are_the_worst_of_different_documents():
    samples = [SimpleNamespace(question_id=f"{doc}{n}", doc_id=doc) for doc in "ab" for n in range(3)]
    share = {"a0": 0.1, "a1": 0.2, "a2": 0.5, "b0": 0.6, "b1": 0.3, "b2": 0.7}

    def chosen(count):
        return [sample.question_id for sample in ranker_pictures.failures(samples, share, count)]

    assert chosen(2) == ["a0", "b1"]
    assert chosen(3) == ["a0", "b1", "a1"]
    assert len(chosen(9)) == 6
    assert chosen(0) == []


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Four generated forms, and a random ranker that held out two of them."""
    folder = tmp_path_factory.mktemp("pictures")
    command("generate", folder / "drawn", "--layout", "spdocvqa", "--documents", 4, "--seed", 3, "--jobs", 1)
    gold = ("--evidence", folder / "drawn" / "gold_evidence.jsonl")
    command("ingest", "spdocvqa", folder / "drawn", "--workspace", folder / "ws", "--name", "forms", *gold, "--jobs", 1)
    command("words", folder / "ws", "--jobs", 1)
    command("publish", folder / "ws", folder / "dataset")
    samples = list(load_samples(folder / "dataset"))
    documents = sorted({sample.doc_id for sample in samples})
    random_ranker().save(folder / "ranker" / RANKER_FILE)
    write_json(folder / "ranker" / DOCUMENTS_FILE, {"train": documents[:2], "validation": documents[2:]})
    return folder, {sample.question_id for sample in samples if sample.doc_id in documents[2:]}


def test_held_out_questions_are_drawn_and_listed(made, capsys):
    folder, held = made
    places = [str(folder / name) for name in ("dataset", "ws", "ranker", "out")]
    ranker_pictures.main([*places, "--count", "2"])
    lines = (folder / "out" / "pictures.md").read_text().splitlines()
    assert lines[0].startswith("| picture | question")
    assert len(lines) == 2 + 2
    assert {line.split(" | ")[1] for line in lines[2:]} <= held
    assert capsys.readouterr().out.splitlines() == lines
    for number in range(1, 3):
        with Image.open(folder / "out" / f"{number:02d}.png") as picture:
            assert min(picture.size) > 300
            assert len(picture.convert("RGB").getcolors(1 << 24)) > 50


def test_a_missing_ranker_is_named(made):
    folder, _ = made
    places = [str(folder / name) for name in ("dataset", "ws", "none", "out")]
    with pytest.raises(SystemExit, match="none"):
        ranker_pictures.main(places)
