"""How tokens stand to a question: against a token-at-a-time reference, and that each name says what its column is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from pinpoint_data.grids import patch_grid
from tests.domain.strategies import quick
from tests.training.ranker.build import read, relation, relation_maps
from tests.training.ranker.naive import Naive
from tests.training.views import words_of
from training.ranker.features import FEATURES, token_features
from training.ranker.page import read_page
from training.ranker.question import CUES, read_question
from training.ranker.relations import FAR, RELATIONS

VOCABULARY = ("Total", "totals", "sales", "Net", "2019", "1,204", "profit:", "profits", "the", "of", "A", "Table", "-")
QUESTIONS = (
    "What was the total of net sales in 2019?",
    'the field "Net sales"',
    "profitable totals of the last page",
    "page 2: of the total",
    "什么?",
    "nowhere to be seen",
)


def drawn_page(rng: np.random.Generator, words: int):
    """Words in a few lines, some words apart, at random."""
    placed = []
    for _ in range(words):
        x, y = rng.uniform(-1, 13), rng.integers(0, 20) / 2
        if placed and rng.random() < 0.6:
            _, (_, y, x1, _) = placed[-1]
            x = x1 + rng.uniform(0.1, 0.6)
        box = (x, y, x + rng.uniform(0.5, 3), y + rng.choice([0.5, 0.6, 1.2]))
        placed.append((str(rng.choice(VOCABULARY)), tuple(map(float, box))))
    return read(placed)


@pytest.mark.parametrize("seed", range(6))
def test_all_match_a_token_at_a_time(seed):
    rng = np.random.default_rng(seed)
    pages = [drawn_page(rng, words) for words in ((18,), (12, 7), (9, 0, 6))[seed % 3]]
    question = QUESTIONS[seed]
    found, naive = relation_maps(pages, question), Naive(pages, read_question(question))
    for number, maps in enumerate(found):
        for _ in range(25):
            row, col = int(rng.integers(10)), int(rng.integers(14))
            for name, value in naive.values(number, row, col).items():
                assert maps[name][row, col] == pytest.approx(float(value), rel=1e-4, abs=1e-5), (name, row, col)


def test_the_reference_tells_of_all_but_blocks_captions_colours_and_cues():
    told = set(Naive([read()], read_question("total")).values(0, 0, 0))
    rest = {name for name in RELATIONS if name not in told}
    assert rest == {name for name in RELATIONS if "block" in name or "caption" in name or "colours" in name} | set(CUES)
    assert len(set(RELATIONS)) == len(RELATIONS) and len(set(FEATURES)) == len(FEATURES)


class TestOneMatch:
    """A single word in the middle of a page: each way of a match leads where it says."""

    @pytest.fixture(scope="module")
    def maps(self):
        return relation_maps([read([("Total", (6, 4, 8, 5))])], "the total")[0]

    def test_on_it_counts_fully(self, maps):
        assert maps["match-on"][4, 6:8].tolist() == [1, 1] and maps["match-on"].sum() == 2
        assert maps["match-near"][4, 6] == maps["match-reach"][4, 6] == 1

    @pytest.mark.parametrize("name", ["match-right", "anchor-right"])
    def test_right(self, maps, name):
        values = maps[name][4]
        assert values[8] > values[10] > values[13] > 0 and not values[:6].any()
        assert maps[name][4, 10] > 10 * maps[name][7, 10]

    @pytest.mark.parametrize("name", ["match-below", "anchor-below"])
    def test_below(self, maps, name):
        values = maps[name][:, 6]
        assert values[5] > values[7] > values[9] > 0 and not values[:4].any()
        assert maps[name][7, 6] > 10 * maps[name][7, 12]

    def test_above(self, maps):
        values = maps["anchor-above"][:, 6]
        assert values[3] > values[0] > 0 and not values[5:].any()

    @pytest.mark.parametrize("name", ["match-near", "anchor-near"])
    def test_near(self, maps, name):
        values = maps[name]
        assert values[4, 6] > values[3, 5] > values[0, 0] > 0
        assert values[4] == pytest.approx(values[4, ::-1])

    def test_crossing_needs_both(self, maps):
        assert maps["match-crossing"] == pytest.approx(maps["match-right"] * maps["match-below"])

    def test_within(self, maps):
        assert maps["match-within5"][4].tolist() == [0] * 4 + [1] * 6 + [0] * 4
        assert maps["match-within25"].min() == 1

    def test_density(self, maps):
        assert maps["match-density5"][4, 6] == pytest.approx(2 / 4)
        assert maps["match-density11"][0, 0] == 0 < maps["match-density11"][0, 6]

    def test_offsets_are_signed(self, maps):
        assert maps["anchor1-dx"][4].tolist() == [x + 0.5 - 6 for x in range(6)] + [0, 0] + [x + 0.5 for x in range(6)]
        assert maps["anchor1-dy"][:, 0].tolist() == [y + 0.5 - 4 for y in range(4)] + [0] + [y + 0.5 for y in range(5)]
        assert (maps["anchor1-strength"] == 1).all()
        assert (maps["anchor2-dx"] == FAR).all() and not maps["anchor2-strength"].any()

    def test_run(self, maps):
        for name in ("run-share", "run-share-of-best", "run-precision", "run-anchor"):
            assert maps[name][4].tolist() == [0] * 6 + [1, 1] + [0] * 6
        assert not maps["run-quoted"].any() and not maps["run-pairs"].any()

    def test_block(self, maps):
        assert maps["match-block1-share"][4, 6] == maps["match-block1-anchor"][4, 6] == 1
        assert maps["match-block1-share"][4, 0] == 0
        assert maps["match-block2-share"][4, 6] == 1 and not maps["match-block2-quoted"].any()

    def test_cues_are_the_same_everywhere(self, maps):
        assert (maps["asks-amount"] == 1).all() and not maps["asks-count"].any()
        assert maps["words"] == pytest.approx(np.full((10, 14), 2 / 20))


def test_a_block_holds_the_best_of_each_term_once():
    two = [("Total", (1, 1, 3, 2)), ("total", (3.2, 1, 5, 2)), ("x", (1, 7, 2, 8)), ("sales", (9, 7, 11, 8))]
    maps = relation_maps([read(two)], 'total "sales"')[0]
    left, right = maps["match-block1-share"][1, 2], maps["match-block1-share"][7, 10]
    assert left + right == pytest.approx(1) and right > left > 0
    assert maps["match-block1-share-of-best"][7, 10] == 1 and maps["match-block1-share-of-best"][1, 2] == left / right
    assert maps["match-block1-quoted"][7, 10] == 1 and maps["match-block1-quoted"][1, 2] == 0
    assert maps["match-block1-share"][7, 1] == 0


def test_words_off_the_page_are_in_no_block():
    maps = relation_maps([read([("Total", (-5, -5, -3, -4)), ("x", (5, 5, 6, 6))])], 'the "total"')[0]
    for name in ("share", "share-of-best", "anchor", "quoted"):
        assert not maps[f"match-block1-{name}"].any(), name


class TestCaptions:
    def caption(self, question, *placed):
        maps = relation_maps([read(placed)], question)[0]
        return maps["caption-near"], maps["caption-dy"]

    def test_the_caption_a_question_names(self):
        words = [("Figure", (1, 2, 3, 3)), ("3:", (3.2, 2, 4, 3)), ("Figure", (1, 8, 3, 9)), ("4:", (3.2, 8, 4, 9))]
        near, offset = self.caption("What does figure 3 show?", *words)
        assert (near.argmax(axis=0) == 2).all() and near[2, 0] == 1
        assert offset[:, 0].tolist() == [row - 2 for row in range(10)]
        near, offset = self.caption("What does Fig. 4 show?", *words)
        assert (near.argmax(axis=0) == 8).all() and offset[9, 5] == 1

    def test_of_two_the_nearer(self):
        words = [("Table", (1, 1, 3, 2)), ("A", (3.2, 1, 4, 2)), ("Table", (1, 7, 3, 8)), ("A", (3.2, 7, 4, 8))]
        near, offset = self.caption("Table A?", *words)
        assert offset[:, 0].tolist() == [-1, 0, 1, 2, 3, -2, -1, 0, 1, 2]
        assert near[3, 0] == pytest.approx(np.exp(-0.2))

    @pytest.mark.parametrize(
        "placed",
        [
            [("see", (1, 2, 2, 3)), ("Figure", (2.2, 2, 4, 3)), ("3", (4.2, 2, 5, 3))],  # only mentioned
            [("Figure", (1, 2, 3, 3)), ("3", (9, 6, 10, 7))],  # the number belongs to something else
            [("Figure", (1, 2, 3, 3)), ("2", (3.2, 2, 4, 3))],
            [("Figure", (1, 2, 3, 3))],
            [],
        ],
    )
    def test_what_is_none(self, placed):
        near, offset = self.caption("Figure 3", *placed)
        assert not near.any() and (offset == FAR).all()


def test_only_the_first_matches_of_a_term_are_carried():
    page = read([("sales", (5, 3 * row, 6, 3 * row + 0.5)) for row in range(26)], rows=80)
    on = relation(page, "sales", "match-on")[:, 5]
    assert on[[0, 69]].all() and not on[[72, 75]].any()


def test_only_the_strongest_anchors_are_carried():
    page = read([("sales", (5, 9 * row, 6, 9 * row + 0.5)) for row in range(9)], rows=80)
    near = relation(page, "sales", "anchor-near")[:, 5]
    assert near[[0, 63]] == pytest.approx(1) and near[72] < 0.1


def test_letters_that_cannot_be_read_have_a_least_height():
    page = read([("sales", (1, 1, 3, 1.1))])
    across = 4.5 - 3, 14
    right = np.exp(-(0.4**2) / (2 * 0.35**2)) * np.exp(-across[0] / (0.35 * across[1]))
    assert relation(page, "sales", "match-right")[1, 4] == pytest.approx(right)
    right = np.exp(-(0.4**2) / (2 * 0.266**2)) * np.exp(-across[0] / (0.25 * across[1]))
    assert relation(page, "sales", "anchor-right")[1, 4] == pytest.approx(right)


def test_colours_that_are_named():
    page = read(draw=lambda pen: pen.rectangle((20, 20, 39, 39), fill="red"))
    named = relation(page, "How long is the red bar?", "named-colours")
    assert named[2:4, 2:4].tolist() == [[1, 1], [1, 1]] and named.sum() == 4
    assert relation(page, "How long is the red bar?", "named-colours~9")[3, 3] == pytest.approx(4 / 81)
    assert relation(page, "Which colour is the bar?", "named-colours").sum() == 4
    for question in ("How long is the bar?", "How long is the blue bar?"):
        assert not relation(page, question, "named-colours").any()


class TestSeveralPages:
    @pytest.fixture(scope="module")
    def pages(self):
        return [
            read([("sales", (1, 1, 3, 2))]),
            read([("Total", (1, 1, 3, 2)), ("sales", (3.2, 1, 5, 2))]),
            read([("x", (1, 1, 3, 2))]),
        ]

    def all_of(self, pages, question, name):
        return [maps[name][0, 0] for maps in relation_maps(pages, question)]

    def test_are_compared(self, pages):
        assert self.all_of(pages, "total sales", "page-place") == [1, 0, 2]
        assert self.all_of(pages, "total sales", "matched-of-best")[1:] == [1, 0]
        assert self.all_of(pages, "total sales", "matched")[1] == pytest.approx(1)
        assert self.all_of(pages, "total sales", "page-anchor")[1:] == [1, 0]
        assert self.all_of(pages, "total sales", "pages") == [3, 3, 3]
        assert self.all_of(pages, "total sales of Peru", "terms-found") == pytest.approx([2 / 3] * 3)

    @pytest.mark.parametrize(
        ("question", "named"),
        [
            ("page 2", [0, 1, 0]),
            ("the last page", [0, 0, 1]),
            ("the first slide and page 3", [1, 0, 1]),
            ("page 4", [0, 0, 0]),
            ("total", [0, 0, 0]),
        ],
    )
    def test_named(self, pages, question, named):
        assert self.all_of(pages, question, "page-named") == named
        assert self.all_of(pages, question, "some-page-named") == [any(named)] * 3

    def test_a_page_is_told_the_same_in_any_order(self, pages):
        forward = list(token_features(pages, "total sales"))
        backward = list(token_features(pages[::-1], "total sales"))[::-1]
        assert all(np.array_equal(a, b) for a, b in zip(forward, backward, strict=True))


@pytest.mark.parametrize("scale", [2, 3])
def test_a_page_at_a_higher_resolution_has_the_same_features(scale):
    def at(factor):
        width, height = 720 * factor, 920 * factor
        image = Image.new("RGB", (width, height), "white")
        pen = ImageDraw.Draw(image)
        pen.rectangle([value * factor for value in (100, 500, 400, 799)], fill=(200, 40, 40))
        placed = []
        for line in range(8):
            for word in range(5):
                box = [value * factor for value in (80 + 60 * word, 60 + 40 * line, 130 + 60 * word, 76 + 40 * line)]
                pen.rectangle(box, fill="black")
                placed.append((VOCABULARY[(line * 5 + word) % 9], tuple(map(float, box))))
        return read_page(patch_grid(width, height), words_of(placed), image)

    small, large = at(1), at(scale)
    assert (small.grid.rows, small.grid.cols) == (large.grid.rows, large.grid.cols)
    for question in QUESTIONS:
        a, b = (next(token_features([page], question)) for page in (small, large))
        relations = slice(0, len(RELATIONS))
        assert np.abs(a[:, relations] - b[:, relations]).max() < 1e-3
        # The pixels of a shrunk page differ a little along edges, and with them where ink begins.
        assert (np.abs(a - b) > 0.02).mean() < 0.02


WORD = st.tuples(
    st.sampled_from(VOCABULARY) | st.text(max_size=4),
    st.tuples(st.floats(-3, 20), st.floats(-3, 20), st.floats(0.01, 9), st.floats(0.01, 9)).map(
        lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
    ),
)


@quick
@given(st.lists(st.lists(WORD, max_size=6), min_size=1, max_size=3), st.sampled_from(QUESTIONS) | st.text(max_size=20))
def test_any_words_and_questions_give_finite_features(pages, question):
    read_pages = [read(words, rows=4, cols=6) for words in pages]
    for features in token_features(read_pages, question):
        assert features.shape == (24, len(FEATURES)) and np.isfinite(features).all()
