"""`pinpoint evaluate --cache`: visual tokens read from a feature cache give the scores of pages that are encoded."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from loaders.publishing import publish
from pinpoint_data.errors import TrainingError
from pinpoint_data.workspace import Workspace
from tests.training.blind import BlindBackbone, blind_run
from tests.training.forms import DOCUMENTS, fill_forms
from training.commands.evaluate import evaluate
from training.features import create_cache, extract, plan_extraction
from training.pages.store import PageStore


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cached")
    publish(fill_forms(folder), folder / "dataset")
    blind_run(folder / "run", DOCUMENTS)
    return folder


@pytest.fixture
def invoke(made, tmp_path):
    def run(*arguments, expect=0):
        places = ["--dataset", made / "dataset", "--workspace", made / "ws", "--out", tmp_path / "out"]
        command = [made / "run", *places, "--no-ranker", "--resamples", "20", "--json", *arguments]
        done = CliRunner().invoke(evaluate, list(map(str, command)), catch_exceptions=False)
        assert done.exit_code == expect, done.output
        return json.loads(done.stdout)

    return run


def _extract(folder, made, pages):
    store, backbone = PageStore(Workspace.open(made / "ws")), BlindBackbone()
    cache = create_cache(folder, backbone)
    plan = plan_extraction(cache, backbone, store, pages)
    assert extract(cache, backbone, store, plan).exit_code == 0
    return folder


PAGES = tuple(f"forms/{name}" for name in ("alpha", "bravo", "charlie", "delta"))


def test_scores_are_those_of_encoded_pages(invoke, made, tmp_path, monkeypatch):
    encoded = invoke()
    cache = _extract(tmp_path / "cache", made, PAGES)
    monkeypatch.setattr(BlindBackbone, "encode_page", lambda self, page: pytest.fail("looked at a page again"))
    cached = invoke("--cache", cache)
    assert cached["scores"] == encoded["scores"]
    assert cached["questions"]["scored"] == 4


def test_a_page_that_is_not_in_the_cache_is_refused_for_all(invoke, made, tmp_path):
    cache = _extract(tmp_path / "cache", made, [page for page in PAGES if page != "forms/bravo"])
    printed = invoke("--cache", cache, expect=1)
    assert printed["questions"]["refused"] == {"page-without-tokens": 1}
    (problem,) = printed["refusals"]["problems"]
    assert problem["record"] == "question forms/bravo-sum"
    assert "pinpoint features extract" in problem["remedy"]
    assert {found["top1_accuracy"]["n"] for found in printed["scores"]["all"].values()} == {3}


def test_a_cache_that_is_none(invoke, tmp_path):
    (tmp_path / "cache").mkdir()
    with pytest.raises(TrainingError):
        invoke("--cache", tmp_path / "cache")
