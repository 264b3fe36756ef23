"""`pinpoint benchmark` from the command down to the files: selectors from inside and outside, resumed, refused."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from loaders.samples import load_samples
from pinpoint_data.cli import root
from pinpoint_data.errors import TrainingError, UsageError
from pinpoint_data.workspace import Workspace
from tests.conftest import REPO
from tests.training.ranker.build import random_ranker
from tests.training.runs import tiny_run
from training.commands.benchmark import selector_options
from training.ranker.model import page_key
from training.selectors import base

QUICK = ("--resamples", 20, "--budgets", "0.05,0.25,0.60", "--examples", 1)
PLAIN = ("random", "uniform", "bm25", "oracle-token")


def invoke(*arguments: object):
    return CliRunner().invoke(root, [*map(str, arguments)])


def selected(*names: str) -> list[str]:
    return [part for name in names for part in ("--selector", name)]


def drawn(out: Path, layout: str, documents: int) -> Path:
    """A workspace and a dataset of generated documents with true boxes."""
    gold = out / "drawn" / "gold_evidence.jsonl"
    for arguments in (
        ("generate", out / "drawn", "--layout", layout, "--documents", documents),
        ("ingest", layout, out / "drawn", "--workspace", out / "ws", "--evidence", gold),
        ("words", out / "ws"),
        ("publish", out / "ws", out / "dataset", "--license", "cc-by-4.0"),
    ):
        done = invoke(*arguments)
        assert done.exit_code == 0, done.output
    return out


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forms."""
    return drawn(tmp_path_factory.mktemp("documents"), "spdocvqa", 4)


@pytest.fixture
def data(documents: Path) -> tuple[object, ...]:
    return "--dataset", documents / "dataset", "--workspace", documents / "ws"


def summary_of(out: Path):
    return json.loads((out / "benchmark.json").read_text(encoding="utf-8"))


def test_every_file_is_written_and_they_say_the_same(data, tmp_path) -> None:
    done = invoke("benchmark", *data, "--out", tmp_path / "b", *selected(*PLAIN), *QUICK, "--json")
    assert done.exit_code == 0, done.output
    summary = summary_of(tmp_path / "b")
    assert summary == {k: v for k, v in json.loads(done.stdout).items() if k not in ("refusals", "out")}
    mean = summary["scores"]["bm25"]["evidence_recall@0.25"]["mean"]
    assert summary["scores"]["oracle-token"]["evidence_recall@0.25"]["mean"] >= mean > 0.3
    rows = list(csv.DictReader(io.StringIO((tmp_path / "b/benchmark.csv").read_text(encoding="utf-8"))))
    found = [r for r in rows if r["selector"] == "bm25" and r["score"] == "evidence_recall" and r["budget"] == "0.25"]
    assert mean in [float(row["mean"]) for row in found]
    assert "bm25" in (tmp_path / "b/benchmark.md").read_text(encoding="utf-8")
    page = (tmp_path / "b/benchmark.html").read_text(encoding="utf-8")
    assert summary["examples"][0] in page and "https://" not in page.replace("https://arxiv.org", "")
    assert (tmp_path / "b/curves.svg").read_text(encoding="utf-8").startswith("<?xml")
    with Image.open(tmp_path / "b/examples/example-1.png") as picture:
        assert min(picture.size) > 300


@pytest.mark.parametrize(("layout", "with_run"), [("spdocvqa", False), ("mpdocvqa", True)])
def test_figures_equal_those_of_evaluate(documents, tmp_path, layout, with_run) -> None:
    folder = documents if layout == "spdocvqa" else drawn(tmp_path, layout, 4)
    data = ("--dataset", folder / "dataset", "--workspace", folder / "ws")
    pairs = {"bm25": "bm25", "ranker": "ranker", "oracle-window": "oracle"}
    random_ranker().save(tmp_path / "ranker.safetensors")
    run: tuple[object, ...] = ("--grid", "patches")
    if with_run:
        pairs |= {"pinpoint": "pinpoint"}
        run = (tiny_run(tmp_path / "run", validation=tuple(sorted({s.doc_id for s in load_samples(data[1])}))),)
    chosen = (*selected(*pairs), "--set", f"ranker.ranker={tmp_path / 'ranker.safetensors'}")
    ours = invoke("benchmark", *run[: int(with_run)], *data, "--out", tmp_path / "b", *chosen, *QUICK)
    assert ours.exit_code == 0, ours.output
    asked = ("--ranker", tmp_path / "ranker.safetensors", "--budgets", "0.05,0.25,0.60", "--resamples", 20, "--json")
    theirs = invoke("evaluate", *run, *data, *asked)
    assert theirs.exit_code == 0, theirs.output
    summary, evaluated = summary_of(tmp_path / "b"), json.loads(theirs.stdout)
    assert summary["questions"] == evaluated["questions"]
    assert (summary["questions"]["pages_per_question"] > 2) == (layout == "mpdocvqa")
    for mine, other in pairs.items():
        found, expected = summary["scores"][mine], evaluated["scores"]["all"][other]
        shared = [name for name in found if "@" in name and name in expected]
        assert len(shared) >= 3 * (7 + with_run), "recall, hits and budget, over all boxes and by role, at each budget"
        shared += ["full_coverage_budget"] if mine == "ranker" else []  # the others' windows are taken whole there
        assert {name: found[name] for name in shared} == {name: expected[name] for name in shared}
    costs = summary["costs"]["ranker"]
    assert set(costs["seconds"]) == {"choice", "read"} and costs["seconds"]["read"]["mean"] > 0
    assert costs["flops"]["choice"]["mean"] > 0 and costs["flops"]["read"]["mean"] == 0


def test_pages_that_a_ranker_has_learnt_from_are_named_whether_rows_are_new_or_known(data, documents, tmp_path) -> None:
    keys = [page_key(row) for row in Workspace.open(documents / "ws").iter_rows("pages")]
    random_ranker(pages=keys[:1]).save(tmp_path / "known.safetensors")
    command = ("benchmark", *data, "--out", tmp_path / "b", *selected("ranker", "random"), *QUICK)
    for _ in range(2):
        done = invoke(*command, "--set", f"ranker.ranker={tmp_path / 'known.safetensors'}")
        assert done.exit_code == 0, done.output
        [warning] = [line for line in summary_of(tmp_path / "b")["warnings"] if "learnt" in line]
        assert warning.startswith(f"ranker known has learnt from 1 of the {len(keys)} pages")
    assert summary_of(tmp_path / "b")["rows"]["reused"] > 0


def test_all_that_can_run_without_a_model_run_and_the_others_are_named(data, tmp_path) -> None:
    done = invoke("benchmark", *data, "--out", tmp_path / "b", "--limit", 3, *QUICK)
    assert done.exit_code == 0, done.output
    summary = summary_of(tmp_path / "b")
    embedded = {"random", "uniform", "downsample", "text-density", "bm25", "refit", "divprune", "zspaprune", "cdpruner"}
    assert embedded | {"ranker", "docprune", "crop-oracle", "oracle-window", "oracle-token"} <= set(
        summary["selectors"]
    )
    assert {"pinpoint", "fastv", "visionzip", "crop"} <= set(summary["unavailable"])
    assert "RUN" in summary["unavailable"]["pinpoint"] and "--model" in summary["unavailable"]["fastv"]
    assert summary["questions"]["scored"] == 3
    assert summary["questions"]["left_out"]["beyond --limit"] > 0


def test_the_same_command_goes_on_where_it_was(data, tmp_path) -> None:
    out = tmp_path / "b"
    command = ("benchmark", *data, "--out", out, "--limit", 5, *QUICK)
    assert invoke(*command, *selected("random", "bm25")).exit_code == 0
    log = out / "samples.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    assert len(lines) == 10
    log.write_bytes(b"".join(lines[:7]) + lines[7][:20])  # killed in the middle of a line
    first = summary_of(out)
    assert invoke(*command, *selected("random", "bm25")).exit_code == 0
    assert len(log.read_bytes().splitlines()) == 10
    assert log.read_bytes().splitlines(keepends=True)[:7] == lines[:7]
    again = summary_of(out)
    assert again["scores"] == first["scores"] and again["differences"] == first["differences"]
    assert invoke(*command, *selected("random", "bm25", "uniform")).exit_code == 0
    assert len(log.read_bytes().splitlines()) == 15


def test_a_trained_run_brings_its_grid_and_its_held_out_documents(data, documents, tmp_path) -> None:
    docs = sorted({sample.doc_id for sample in load_samples(documents / "dataset")})
    run = tiny_run(tmp_path / "run", tuple(docs[:2]), tuple(docs[2:]))
    done = invoke("benchmark", run, *data, "--out", tmp_path / "b", *selected("pinpoint", "random"), *QUICK)
    assert done.exit_code == 0, done.output
    summary = summary_of(tmp_path / "b")
    assert (summary["run"], summary["split"], summary["questions"]["documents"]) == ("run", "validation", 2)
    scores = invoke("evaluate", run, *data, "--budgets", "0.05,0.25,0.60", "--resamples", 20, "--json")
    expected = json.loads(scores.stdout)["scores"]["all"]["pinpoint"]["evidence_recall@0.25"]
    assert summary["scores"]["pinpoint"]["evidence_recall@0.25"] == pytest.approx(expected)


@pytest.fixture
def documented(tmp_path, monkeypatch) -> Iterator[tuple[str, str]]:
    """The Python of docs/selectors.md: a selector, as the module `ideas`, and who calls it."""
    document = (REPO / "docs" / "selectors.md").read_text(encoding="utf-8")
    selector, caller = re.findall(r"```python\n(.*?)```", document, re.DOTALL)
    (tmp_path / "ideas.py").write_text(selector, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield selector, caller
    sys.modules.pop("ideas", None)


def test_the_documented_call_from_python_works(documents, documented, tmp_path, monkeypatch) -> None:
    (tmp_path / "my-dataset").symlink_to(documents / "dataset")
    (tmp_path / "ws").symlink_to(documents / "ws")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("training.selectors.base._FACTORIES", dict(base._FACTORIES))
    found: dict[str, Any] = {}
    exec(documented[1], found)
    assert list(found["summary"]["scores"]) == found["data"].selectors == ["random", "top-of-page"]
    *_, last = documented[1].strip().splitlines()
    assert 0 <= eval(last, found) <= 1
    assert (tmp_path / "bench" / "benchmark.html").is_file()


def test_the_documented_selector_of_ones_own_works(data, documented, tmp_path) -> None:
    code, _ = documented
    done = invoke("benchmark", *data, "--out", tmp_path / "b", *selected("ideas:TopOfPage", "random"), *QUICK)
    assert done.exit_code == 0, done.output
    summary = summary_of(tmp_path / "b")
    assert summary["selectors"] == ["top-of-page", "random"]
    top, bottom = (summary["strata"]["position"][fifth]["scores"] for fifth in list(summary["strata"]["position"])[:2])
    assert top["top-of-page"]["evidence_recall@0.25"]["mean"] >= bottom["top-of-page"]["evidence_recall@0.25"]["mean"]
    body = code.split('name = "top-of-page"')[1]
    assert len([line for line in code.splitlines() if line.strip()]) <= 10 and "select" in body


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--selector", "fastv"), "needs decoder"),
        (("--selector", "nonsense"), "no selector 'nonsense'"),
        (("--selector", "pinpoint"), "needs run"),
        (("--selector", "crop"), "boxes"),
        (("--selector", "bm25", "--selector", "bm25"), "different"),
        (("--selector", "bm25", "--set", "bm25.nope=1"), "does not take these options"),
        (("--selector", "bm25", "--set", "random.seed=1"), "not among the selectors"),
        (("--set", "bm25=1"), "SELECTOR.KEY=VALUE"),
        (("--budgets", "0.5,0.5"), "different shares"),
        (("--budgets", "1.5"), "different shares"),
        (("--example-budget", "nan"), "example_budget must be"),
        (("--dtype", "float32"), "belong to a model"),
        (("--answers", "--answer-budgets", "0.05"), "vision-language model"),
        (("--answers",), "must be among the budgets"),
        (("--selector", "bm25", "--question", "no/such"), "no/such"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(data, tmp_path, arguments, message) -> None:
    done = CliRunner().invoke(root, [*map(str, ("benchmark", *data, "--out", tmp_path / "b", *QUICK, *arguments))])
    assert done.exit_code != 0
    assert message in str(done.exception if done.exception else "") + done.output


def test_data_must_be_named() -> None:
    done = invoke("benchmark")
    assert isinstance(done.exception, UsageError) and "--dataset" in str(done.exception)


def test_the_list_of_selectors_says_what_each_needs() -> None:
    done = invoke("benchmark", "--list", "--json")
    rows = {row["selector"]: row for row in json.loads(done.stdout)["selectors"]}
    assert rows["fastv"]["needs"] == ["decoder"] and rows["random"]["needs"] == []
    assert all(row["about"] for row in rows.values())
    assert len({row["about"] for row in rows.values()}) == len(rows)  # variants of one method too
    text = invoke("benchmark", "--list").output
    assert all(name in text for name in rows)
    assert max(map(len, text.splitlines())) <= 100
    assert "boxes: a JSON Lines file" in re.sub(r"\s+", " ", text)  # what crop lacks, with the remedy


def test_every_selector_is_in_the_document() -> None:
    from training.selectors import selector_names

    document = (REPO / "docs" / "selectors.md").read_text(encoding="utf-8")
    assert [name for name in selector_names() if f"`{name}`" not in document] == []


@pytest.fixture
def copied(documents: Path, tmp_path: Path) -> tuple[Path, list[Path], tuple[object, ...]]:
    """A copy to damage: its folder, its pages' files, and the arguments that name it."""
    folder = tmp_path / "copy"
    shutil.copytree(documents, folder)
    config = folder / "ws" / "workspace.json"
    config.write_text(config.read_text(encoding="utf-8").replace(str(documents), str(folder)), encoding="utf-8")
    pages = sorted((folder / "drawn" / "documents").iterdir())
    return folder, pages, ("--dataset", folder / "dataset", "--workspace", folder / "ws")


def test_a_page_that_cannot_be_read_refuses_its_question_and_the_rest_goes_on(copied, tmp_path) -> None:
    folder, pages, data = copied
    pages[0].write_bytes(b"no picture")
    done = invoke("benchmark", *data, "--out", tmp_path / "b", *selected("docprune-background", "random"), *QUICK)
    assert done.exit_code == 1, done.output
    assert pages[0].name in done.output
    scored = summary_of(tmp_path / "b")["questions"]["scored"]
    assert scored > 0 and f"{scored} questions scored\nrefused " in done.output
    [(code, refused)] = summary_of(tmp_path / "b")["questions"]["refused"].items()
    assert code in done.output and refused == _questions_of(folder, pages[0])


def test_where_no_page_can_be_read_the_first_one_is_named(copied, tmp_path) -> None:
    _, pages, data = copied
    for page in pages:
        page.unlink()
    done = invoke("benchmark", *data, "--out", tmp_path / "b", *selected("docprune-background", "random"), *QUICK)
    assert isinstance(done.exception, TrainingError) and done.exception.exit_code == 1
    said = str(done.exception)
    assert "no question can be scored: all " in said and "missing-image" in said and pages[0].parent.name in said
    assert not (tmp_path / "b" / "benchmark.md").exists()


def test_a_picture_that_cannot_be_drawn_costs_no_figures(copied, tmp_path) -> None:
    _, pages, data = copied
    for page in pages:
        page.unlink()
    done = invoke("benchmark", *data, "--out", tmp_path / "b", *selected("bm25", "random"), *QUICK)
    assert done.exit_code == 0, done.output
    summary = summary_of(tmp_path / "b")
    assert summary["examples"] == [] and summary["scores"]["bm25"]["evidence_recall@0.25"]["mean"] > 0.3
    [told] = [line for line in summary["warnings"] if "is not drawn" in line]
    assert "no such file" in told and pages[0].parent.name in told


def _questions_of(folder: Path, page: Path) -> int:
    samples = list(load_samples(folder / "dataset"))
    return sum(any(page.stem in ref.page_id for ref in s.pages) and bool(s.evidence) for s in samples)


def test_options_of_selectors_are_typed() -> None:
    found = selector_options(("fastv.layer=3", "fopru-row.strategy=row", "my.module:Thing.flag=true"))
    assert found == {"fastv": {"layer": 3}, "fopru-row": {"strategy": "row"}, "my.module:Thing": {"flag": True}}


def test_two_runs_give_the_same_figures(data, tmp_path) -> None:
    scores = []
    for name in ("a", "b"):
        done = invoke(
            "benchmark", *data, "--out", tmp_path / name, "--limit", 4, *selected("random", "divprune"), *QUICK
        )
        assert done.exit_code == 0, done.output
        scores.append(summary_of(tmp_path / name)["scores"])
    assert scores[0] == scores[1]
    assert np.isfinite(scores[0]["random"]["evidence_recall@0.05"]["mean"])
