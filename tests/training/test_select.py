"""Selecting regions: whole windows within a share of tokens, joined to boxes, from Python and from the command."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pinpoint_data.errors import PageError, PinpointError, UsageError
from pinpoint_data.grids import llava_next_grid, patch_grid
from pinpoint_data.scores import TokenRanking, windows_to_coverage
from pinpoint_data.windows import WindowSpec
from tests.training.answering.vlm_runs import vlm_run
from tests.training.blind import blind_run
from tests.training.ranker.build import random_ranker
from tests.training.runs import tiny_run
from tests.training.views import page_view, square_grid, words_of
from tests.training.vlm.tiny import tiny_model_folder
from tests.words.build import pdf
from training.checkpoint import load_run
from training.commands.select import select
from training.opening import open_run
from training.pages.cache import PageCache
from training.pages.input import PageInput
from training.pages.lone import read_pages
from training.ranker import SHIPPED, Ranker
from training.selection.select import select_many, select_regions
from training.window_scorers import PinpointScorer, RankerScorer, window_places

GRID = square_grid(6, 8)


class Given:
    """Scores that are given."""

    name = "given"

    def __init__(self, *scores):
        self.scores = scores

    def score(self, view):
        return [np.asarray(page, dtype=float) for page in self.scores]


class TestSelectRegions:
    def test_best_windows_become_boxes(self):
        # Windows of 2 x 2 cells in 3 rows and 4 columns; the best two touch, the third stands alone.
        scores = np.zeros(12)
        scores[[0, 1, 11]] = 0.9, 0.8, 0.7
        selection = select_regions(Given(scores), [page_view(GRID)], "Where?", budget=0.25)
        assert [(box.xyxy, box.score, box.region) for box in selection.boxes] == [
            ((0.0, 0.0, 40.0, 20.0), 0.9, 1),
            ((60.0, 40.0, 80.0, 60.0), 0.7, 2),
        ]
        assert selection.budget_used == 0.25
        assert selection.pages[0].places.tolist().index(1) == 0

    def test_pages_compete(self):
        views = [page_view(GRID), page_view(GRID), page_view(GRID)]
        scores = [np.linspace(0, 0.1, 12), np.linspace(0, 0.1, 12), np.linspace(0.5, 0.6, 12)]
        selection = select_regions(Given(*scores), views, "Where?", budget=0.1, numbers=[4, 6, 9])
        assert {box.page_index for box in selection.boxes} == {2}
        assert selection.to_json()["boxes"][0]["number"] == 9

    def test_one_window_is_taken_even_where_it_is_too_large(self):
        selection = select_regions(Given(np.arange(12)), [page_view(GRID)], "Where?", budget=0.001)
        assert selection.tokens_used == 4
        assert selection.boxes[0].xyxy == (60.0, 40.0, 80.0, 60.0)

    @given(st.integers(0, 10**6), st.floats(0.01, 1), st.booleans())
    @settings(max_examples=60, deadline=None)
    def test_shares_hold_and_boxes_cover(self, seed, share, by_budget):
        rng = np.random.default_rng(seed)
        views = [page_view(square_grid(*rng.integers(1, 12, 2)), spec=WindowSpec(4, 3, 2)) for _ in range(2)]
        scorer = Given(*[rng.integers(0, 5, len(view.windows)) for view in views])
        wanted = {"budget": share} if by_budget else {"coverage": share}
        selection = select_regions(scorer, views, "Where?", **wanted)
        if by_budget:
            largest = max(int(np.prod(v.windows.rows_cols[0, 2:] - v.windows.rows_cols[0, :2])) for v in views)
            assert selection.budget_used <= share + 1e-9 or selection.tokens_used <= largest
        else:
            order = np.argsort(np.concatenate(window_places(scorer.score(None), "select/Where?")))
            expected = windows_to_coverage(order, [view.windows for view in views], share)
            for page, mask in zip(selection.pages, expected, strict=True):
                assert np.array_equal(page.mask.ravel(), mask)
        for index, page in enumerate(selection.pages):
            boxes = np.array([box.xyxy for box in selection.boxes if box.page_index == index]).reshape(-1, 4)
            covered = page.view.grid.evidence_area(boxes).reshape(page.mask.shape) > 0
            assert covered[page.mask].all()
            assert covered.sum() <= page.mask.sum() / (1 - 0.15) + 1e-9

    @given(st.integers(0, 10**6), st.floats(0.01, 1))
    @settings(max_examples=60, deadline=None)
    def test_whole_windows_within_a_budget_one_by_one(self, seed, budget):
        rng = np.random.default_rng(seed)
        views = [page_view(square_grid(*rng.integers(1, 12, 2)), spec=WindowSpec(4, 3, 2)) for _ in range(2)]
        scorer = Given(*[rng.random(len(view.windows)) for view in views])
        expected = [np.zeros((view.grid.rows, view.grid.cols), bool) for view in views]
        total = sum(mask.size for mask in expected)
        best = sorted((-score, page, i) for page, row in enumerate(scorer.scores) for i, score in enumerate(row))
        for place, (_, page, window) in enumerate(best):
            r0, c0, r1, c1 = views[page].windows.rows_cols[window]
            more = [mask.copy() for mask in expected]
            more[page][r0:r1, c0:c1] = True
            if place and sum(mask.sum() for mask in more) > budget * total + 1e-9:
                break
            expected = more
        selection = select_regions(scorer, views, "Where?", budget=budget)
        assert all(np.array_equal(page.mask, mask) for page, mask in zip(selection.pages, expected, strict=True))

    @given(st.integers(0, 10**6), st.floats(0.01, 1))
    @settings(max_examples=60, deadline=None)
    def test_an_exact_budget_takes_the_best_tokens(self, seed, budget):
        rng = np.random.default_rng(seed)
        views = [page_view(square_grid(*rng.integers(1, 12, 2)), spec=WindowSpec(4, 3, 2)) for _ in range(2)]
        scorer = Given(*[rng.integers(0, 5, len(view.windows)) for view in views])
        selection = select_regions(scorer, views, "Where?", budget=budget, exact=True)
        order = np.argsort(np.concatenate(window_places(scorer.score(None), "select/Where?")))
        (expected,) = TokenRanking.of(order, [view.windows for view in views]).top([budget])
        assert np.array_equal(np.concatenate([page.mask.ravel() for page in selection.pages]), expected)
        assert selection.tokens_used == max(1, int(budget * selection.tokens + 1e-9))
        assert selection.to_json()["exact"] is True
        best = max(float(np.max(row)) for row in scorer.scores)
        assert selection.boxes[0].score == best
        for index, page in enumerate(selection.pages):
            boxes = np.array([box.xyxy for box in selection.boxes if box.page_index == index]).reshape(-1, 4)
            assert (page.view.grid.evidence_area(boxes).reshape(page.mask.shape) > 0)[page.mask].all()

    def test_a_box_stays_on_the_page(self):
        grid = llava_next_grid(1000, 1413)  # its mosaic sticks out of the page
        view = page_view(grid, spec=WindowSpec())
        selection = select_regions(Given(np.ones(len(view.windows))), [view], "Where?", budget=1.0)
        x0, y0, x1, y1 = selection.boxes[0].xyxy
        assert (x0, y0) >= (0, 0)
        assert x1 <= 1000
        assert y1 <= 1413

    def test_is_the_same_twice(self):
        views = [page_view(GRID)]
        first, second = (select_regions(Given(np.zeros(12)), views, "Where?").to_json() for _ in range(2))
        assert first == second

    @pytest.mark.parametrize(
        ("pages", "question", "shares", "message"),
        [
            (0, "Where?", {}, "no page"),
            (1, " \n", {}, "question is empty"),
            (1, "Where?", {"budget": 0.2, "coverage": 0.2}, "not both"),
            (1, "Where?", {"budget": 0.0}, "budget must be in"),
            (1, "Where?", {"coverage": 1.5}, "coverage must be in"),
            (1, "Where?", {"coverage": 0.5, "exact": True}, "only a budget can be exact"),
        ],
    )
    def test_impossible_requests(self, pages, question, shares, message):
        with pytest.raises(UsageError, match=message):
            select_regions(Given(np.zeros(12)), [page_view(GRID)] * pages, question, **shares)

    def test_a_scorer_without_a_grid_needs_views(self):
        with pytest.raises(UsageError, match="has no grid of its own"):
            select_regions(Given(np.zeros(12)), [page_view(GRID).page_input], "Where?")


class TestSelectMany:
    """A run over two documents: pages are encoded once, questions over the same pages scored together."""

    @pytest.fixture
    def scorer(self, tmp_path):
        return PinpointScorer(load_run(tiny_run(tmp_path / "run")))

    @pytest.fixture
    def asked(self, scorer):
        words = [("revenue", (20.0, 20.0, 90.0, 40.0)), ("costs", (400.0, 200.0, 470.0, 220.0))]
        sizes = ((560, 280), (280, 560), (420, 420))
        pages = [
            PageInput(f"test/{index}", *size, words_of(words), lambda size=size: Image.new("RGB", size, "white"))
            for index, size in enumerate(sizes)
        ]
        return [
            (pages[:1], "What is the revenue?"),
            (pages[1:], "What are the costs?"),
            (pages[:1], "Which costs?"),
            (pages[::-1], "What is the revenue of the year?"),
            (pages[1:], "Revenue?"),
        ]

    @pytest.mark.parametrize("limit", [{"budget": 0.3}, {"coverage": 0.6}, {"budget": 0.1, "exact": True}, {}])
    def test_many_are_the_single_ones(self, scorer, asked, limit):
        together = select_many(scorer, asked, **limit)
        for (pages, question), found in zip(asked, together, strict=True):
            alone = select_regions(PinpointScorer(scorer.run), pages, question, **limit)
            for one, other in zip(alone.pages, found.pages, strict=True):
                assert np.array_equal(one.mask, other.mask)
                assert other.scores == pytest.approx(one.scores, abs=1e-6)
            assert [box.xyxy for box in alone.boxes] == [box.xyxy for box in found.boxes]

    def test_a_page_is_encoded_once(self, scorer, asked, monkeypatch):
        encoded = []
        plain = type(scorer.run.backbone).encode_page
        monkeypatch.setattr(
            type(scorer.run.backbone),
            "encode_page",
            lambda self, page: encoded.append(page.page_id) or plain(self, page),
        )
        select_many(scorer, asked)
        select_many(scorer, asked[:2])
        assert sorted(encoded) == ["test/0", "test/1", "test/2"]

    def test_memory_for_pages_is_bounded(self, scorer, asked):
        select_many(scorer, asked)
        held = sum(page.tensor().nbytes for page in scorer._encoded.values())
        small = PinpointScorer(scorer.run, kept_bytes=held - 1)
        assert len(select_many(small, asked)) == len(asked)
        assert 0 < sum(page.tensor().nbytes for page in small._encoded.values()) < held

    def test_tokens_come_from_a_cache_where_one_is_given(self, scorer, asked):
        class Cached:
            backbone = scorer.run.backbone
            read, announced = [], []

            def tokens(self, page_id):
                self.read.append(page_id)
                (page,) = {p.page_id: p for pages, _ in asked for p in pages if p.page_id == page_id}.values()
                return self.backbone.encode_page(page).tensor()

            def prefetch(self, page_ids):
                self.announced += page_ids

        cached = Cached()
        found = select_many(PinpointScorer(scorer.run, cached), asked)
        assert sorted(cached.read) == ["test/0", "test/1", "test/2"]
        for one, other in zip(select_many(scorer, asked), found, strict=True):
            assert one.to_json() == other.to_json()

    def test_what_it_cost(self, scorer, asked):
        cost = select_many(scorer, asked)[0].cost
        assert set(cost.seconds) == {"encode", "score", "select"}
        assert all(seconds >= 0 for seconds in cost.seconds.values())
        assert cost.to_json()["seconds_total"] == pytest.approx(sum(cost.seconds.values()))

    def test_nothing_asked(self, scorer):
        assert select_many(scorer, []) == []


@pytest.fixture
def page(tmp_path):
    """An image of 560 x 280 with an OCR file that has two words."""
    Image.new("RGB", (560, 280), "white").save(tmp_path / "page.png")
    ocr = {"words": ["revenue", "costs"], "bounding_boxes": [[20, 20, 90, 40], [400, 200, 470, 220]]}
    (tmp_path / "page.json").write_text(json.dumps(ocr))
    return tmp_path


@pytest.fixture
def run(tmp_path):
    return tiny_run(tmp_path / "run")


@pytest.fixture
def without_rapidocr(monkeypatch):
    def refuse(name):
        raise UsageError("RapidOCR is not installed")

    monkeypatch.setattr("training.pages.lone.make_engine", refuse)


def _pdf(path, pages):
    first, *others = [Image.new("RGB", (200, 260), (255, 255, 200 + i)) for i in range(pages)]
    first.save(path, save_all=True, append_images=others, resolution=144)


class TestCommand:
    def test_image_with_an_ocr_file(self, page, run):
        out = page / "out"
        arguments = [
            str(page / "page.png"),
            "What is the revenue?",
            "--run",
            str(run),
            "--words",
            str(page / "page.json"),
        ]
        done = CliRunner().invoke(select, [*arguments, "--out", str(out), "--json"], catch_exceptions=False)
        assert done.exit_code == 0
        printed = json.loads(done.stdout)
        assert {name.rsplit("/", 1)[-1] for name in printed.pop("files")} == {p.name for p in out.iterdir()}
        assert printed == json.loads((out / "selection.json").read_text())
        assert printed["pages"][0]["width"] == 560
        assert printed["budget_used"] <= 0.25 or len(printed["boxes"]) == 1
        for box in printed["boxes"]:
            x0, y0, x1, y1 = box["xyxy"]
            assert 0 <= x0 < x1 <= 560
            assert 0 <= y0 < y1 <= 280
        with Image.open(out / "selection.png") as picture:
            assert picture.width > 600

    def test_the_shipped_ranker_without_a_run(self, page):
        arguments = [str(page / "page.png"), "What is the revenue?", "--words", str(page / "page.json")]
        arguments += ["--out", str(page / "out"), "--budget", "0.1"]
        shown = CliRunner().invoke(select, arguments, catch_exceptions=False)
        printed = json.loads(CliRunner().invoke(select, [*arguments, "--json"], catch_exceptions=False).stdout)
        shipped = Ranker.load()
        assert (printed["scorer"], printed["ranker"], printed["license"]) == ("ranker", SHIPPED, shipped.license)
        assert "run" not in printed and set(printed["cost"]["seconds"]) == {"read", "score", "select"}
        assert f"; ranker {SHIPPED}, weights under {shipped.license}" in shown.stdout.splitlines()[0]
        asked = read_pages(page / "page.png", words=page / "page.json")[0].page
        expected = select_regions(RankerScorer(), [asked], "What is the revenue?", 0.1)
        assert printed["boxes"] == expected.to_json()["boxes"]
        assert printed["tokens"] == patch_grid(560, 280).n_tokens and printed["budget_used"] <= 0.1

    def test_another_ranker(self, page):
        random_ranker(5).save(page / "mine" / "ranker.safetensors")
        arguments = [str(page / "page.png"), "What is the revenue?", "--words", str(page / "page.json")]
        arguments += ["--out", str(page / "out"), "--ranker", str(page / "mine")]
        printed = json.loads(CliRunner().invoke(select, [*arguments, "--json"], catch_exceptions=False).stdout)
        assert (printed["ranker"], printed["license"]) == ("mine", "")
        assert "weights under" not in CliRunner().invoke(select, arguments, catch_exceptions=False).stdout

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--run", ".", "--ranker", "documents"], "--run or --ranker, not both"),
            (["--device", "cpu"], "belong to a --run"),
            (["--model", "x"], "belong to a --run"),
            (["--ranker", ""], "no ranker ''"),
            (["--ranker", "nobody"], "no ranker 'nobody'"),
        ],
    )
    def test_misuse_of_the_ranker(self, page, options, message):
        done = CliRunner().invoke(select, [str(page / "page.png"), "Revenue?", *options])
        assert isinstance(done.exception, UsageError)
        assert message in str(done.exception)

    def test_bytes_that_are_no_text(self, page, run):
        arguments = [str(page / "page.png"), "caf\udce9?", "--run", str(run), "--words", str(page / "page.json")]
        done = CliRunner().invoke(select, [*arguments, "--out", str(page / "out")], catch_exceptions=False)
        assert done.exit_code == 0
        assert json.loads((page / "out" / "selection.json").read_text())["question"] == "caf??"

    def test_text_lists_boxes_and_files(self, page, run):
        arguments = [str(page / "page.png"), "Revenue?", "--run", str(run), "--words", str(page / "page.json")]
        done = CliRunner().invoke(select, [*arguments, "--out", str(page / "out")], catch_exceptions=False)
        assert "score" in done.stdout
        assert f"written {page / 'out' / 'selection.png'}" in done.stdout

    def test_pictures_of_an_earlier_question_go(self, page, run):
        out = page / "out"
        out.mkdir()
        (out / "selection-p7.png").write_bytes(b"old")
        (out / "notes.png").write_bytes(b"mine")
        arguments = [str(page / "page.png"), "Revenue?", "--run", str(run), "--words", str(page / "page.json")]
        CliRunner().invoke(select, [*arguments, "--out", str(out)], catch_exceptions=False)
        assert sorted(p.name for p in out.glob("*.png")) == ["notes.png", "selection.png"]

    def test_no_words_says_what_to_do(self, page, run, without_rapidocr):
        done = CliRunner().invoke(select, [str(page / "page.png"), "Revenue?", "--run", str(run)])
        assert isinstance(done.exception, UsageError)
        assert "--words" in str(done.exception)
        assert "pip install 'pinpoint-data[ocr]'" in str(done.exception)

    def test_pages_of_a_pdf_compete(self, page, run, monkeypatch):
        _pdf(page / "doc.pdf", 3)
        monkeypatch.setattr("training.pages.lone._found_words", lambda root, engine, file, row: _numbered(row))
        arguments = [
            str(page / "doc.pdf"),
            "three",
            "--run",
            str(run),
            "--out",
            str(page / "out"),
            "--json",
            "--budget",
            "0.2",
        ]
        done = CliRunner().invoke(select, arguments, catch_exceptions=False)
        printed = json.loads(done.stdout)
        assert [p["number"] for p in printed["pages"]] == [1, 2, 3]
        assert [p["page_id"] for p in printed["pages"]] == [f"doc.pdf#page={n}" for n in (1, 2, 3)]
        shown = {f"selection-p{box['number']}.png" for box in printed["boxes"]}
        assert {p.name for p in (page / "out").glob("*.png")} == shown
        done = CliRunner().invoke(select, [*arguments, "--page", "2"], catch_exceptions=False)
        assert [p["number"] for p in json.loads(done.stdout)["pages"]] == [2]
        assert [p.name for p in (page / "out").glob("*.png")] == ["selection.png"]

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--budget", "0.1", "--coverage", "0.2"], "--coverage stands alone"),
            (["--exact", "--coverage", "0.2"], "--coverage stands alone"),
            (["--device", "abacus"], "no device 'abacus'"),
            (["--device", "cuda:77"], "CUDA devices were found"),
            (["--model", "elsewhere"], "does not take these options"),
            (["--page", "2"], "has no page 2; it has 1"),
        ],
    )
    def test_misuse(self, page, run, options, message):
        done = CliRunner().invoke(select, [str(page / "page.png"), "Revenue?", "--run", str(run), *options])
        assert isinstance(done.exception, PinpointError)
        assert message in str(done.exception)

    def test_an_exact_budget_and_its_cost(self, page, run):
        arguments = [str(page / "page.png"), "Revenue?", "--run", str(run), "--words", str(page / "page.json")]
        arguments += ["--out", str(page / "out"), "--budget", "0.1", "--exact", "--device", "cpu"]
        printed = json.loads(CliRunner().invoke(select, [*arguments, "--json"], catch_exceptions=False).stdout)
        assert printed["tokens_used"] == int(0.1 * printed["tokens"])
        assert printed["exact"] is True
        cost = printed["cost"]
        assert cost["flops_total"] == sum(cost["flops"].values()) > 0
        assert cost["seconds_total"] == pytest.approx(sum(cost["seconds"].values()))
        text = CliRunner().invoke(select, arguments, catch_exceptions=False).stdout
        assert "GFLOPs" in text.splitlines()[1]

    def test_a_backbone_that_reads_no_words_needs_none(self, page, without_rapidocr, tmp_path):
        run = blind_run(tmp_path / "blind")
        arguments = [str(page / "page.png"), "Revenue?", "--run", str(run), "--out", str(page / "out"), "--json"]
        done = CliRunner().invoke(select, arguments, catch_exceptions=False)
        assert done.exit_code == 0
        assert done.stderr == ""
        printed = json.loads(done.stdout)
        assert printed["boxes"]
        assert printed["cost"]["encode_flops"] == {}
        with pytest.raises(UsageError, match="reads no words; leave out --words"):
            CliRunner().invoke(select, [*arguments, "--words", str(page / "page.json")], catch_exceptions=False)


def _numbered(row):
    return words_of([(("one", "two", "three")[row["pdf_page"]], (20.0, 20.0, 90.0, 40.0))])


def test_a_vision_language_model_counts_its_tower_too(page, tmp_path):
    torch.set_num_threads(1)
    run = vlm_run(tmp_path / "vlm", tiny_model_folder("qwen2-vl", tmp_path / "model"), "qwen2-vl").path
    arguments = [str(page / "page.png"), "Revenue?", "--run", str(run), "--out", str(page / "out")]
    done = CliRunner().invoke(select, [*arguments, "--json"], catch_exceptions=False)
    cost = json.loads(done.stdout)["cost"]
    assert cost["encode_flops_total"] == sum(cost["encode_flops"].values()) > cost["flops_total"] / 1e3
    assert set(cost["encode_flops"]).isdisjoint(cost["flops"])
    (shown,) = read_pages(page / "page.png", with_words=False)
    # Tokens that are read and not made cost no tower.
    loaded = open_run(run)
    cached = PinpointScorer(
        loaded, PageCache(loaded.backbone, SimpleNamespace(input=lambda page_id: shown.page), 2**20)
    )
    assert select_regions(cached, [shown.page], "Revenue?").cost.encode_flops == {}


class TestReadPages:
    def test_an_ocr_file_of_one_page_for_several(self, page):
        _pdf(page / "doc.pdf", 2)
        with pytest.raises(UsageError, match="is about one page, but several compete"):
            read_pages(page / "doc.pdf", words=page / "page.json")
        (found,) = read_pages(page / "doc.pdf", [2], words=page / "page.json")
        assert found.number == 2
        assert found.page.words.texts == ["revenue"]  # the other one lies outside this page
        assert found.page.load_image().getpixel((5, 5))[2] in range(195, 207)

    def test_an_empty_text_layer(self, page, without_rapidocr):
        _pdf(page / "doc.pdf", 1)
        with pytest.raises(UsageError, match="its text layer is empty"):
            read_pages(page / "doc.pdf")

    def test_a_text_layer_is_enough(self, page, without_rapidocr):
        pdf(page / "doc.pdf", [(40, 200, "Total revenue")])
        (found,) = read_pages(page / "doc.pdf", dpi=72)
        assert found.page.words.texts == ["Total", "revenue"]
        assert (found.page.width, found.page.height) == (400, 300)

    def test_a_pdf_is_known_by_its_content(self, page):
        _pdf(page / "doc.pdf", 1)
        (page / "doc.pdf").rename(page / "doc.png")
        assert len(read_pages(page / "doc.png", words=page / "page.json")) == 1

    def test_links_are_followed(self, page, tmp_path_factory):
        links = tmp_path_factory.mktemp("links")
        _pdf(page / "doc.pdf", 2)
        for link, target in (("a.png", "page.png"), ("b.pdf", "doc.pdf"), ("words.json", "page.json")):
            (links / link).symlink_to(page / target)
        (found,) = read_pages(links / "a.png", words=links / "words.json")
        assert found.page.page_id == "a.png"
        assert found.page.words.texts
        assert found.page.load_image().size == (found.page.width, found.page.height)
        assert read_pages(links / "b.pdf", [2], words=links / "words.json")[0].page.page_id == "b.pdf#page=2"

    def test_a_name_that_no_page_may_have(self, page):
        (page / "page.png").rename(page / "scan 12:30.png")
        with pytest.raises(UsageError, match="a colon or a backslash"):
            read_pages(page / "scan 12:30.png", with_words=False)

    @pytest.mark.parametrize("name", ["missing.png", "page.json"])
    def test_what_is_no_page_is_refused(self, page, name):
        with pytest.raises(PageError):
            read_pages(page / name, words=page / "page.json")
