"""What is read off a question, and the terms that words and questions share."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.domain.strategies import quick
from tests.training.ranker.build import read
from training.ranker.features import FEATURES, LIMIT, token_features
from training.ranker.pixels import COLOURS
from training.ranker.question import CUES, read_question
from training.ranker.terms import content_stems, stem, stems


def cues(text: str) -> set[str]:
    """The kinds of question that a text is taken for."""
    values = read_question(text).cues
    return {name for name, value in zip(CUES, values, strict=True) if value and name not in ("words", "quoted-terms")}


class TestTerms:
    def test_words_of_one_stem_and_numbers_written_otherwise_meet(self):
        assert stem("payments") == stem("payment") == "payment"
        assert stems("Payments: 1,204") == ("payment", "1204")
        assert stems("FY2019") == ("fy", "2019")

    def test_what_a_question_says_of_itself_is_no_term(self):
        assert content_stems("Please list all of the totals shown on this page") == ("total",)

    def test_of_a_question_of_such_words_alone_all_stay(self):
        assert content_stems("What is this?") == ("what", "is", "this")

    def test_a_term_is_counted_once_and_those_in_quotes_stand_last(self):
        question = read_question('Total of totals in "Net sales"?')
        assert question.terms == ("total", "net", "sale")
        assert question.pairs >= {("net", "sale"), ("total", "of"), ("of", "total")}


class TestQuoted:
    @pytest.mark.parametrize(
        ("text", "quoted"),
        [
            ('the field "Net sales" of "Acme"', {"net", "sale", "acm"}),
            ("the field “Net sales”", {"net", "sale"}),
            ("the 'Net sales' row", {"net", "sale"}),
            ("the ‘Net sales’ row, or the 'Acme' one", {"net", "sale", "acm"}),
            ("between 'Acme's sales' and 2019", {"acm", "sale"}),
            ('the field "A" or "B"', {"a", "b"}),
            ("What's the company's debt in the year's end?", set()),
            ("What’s the company’s debt?", set()),
            ("both companies' debts and all states' taxes", set()),
            ('a 5" pipe', set()),
            ('nothing in ""', set()),
        ],
    )
    def test_names_in_quotation_marks_and_nothing_else(self, text, quoted):
        # "Acme's" is one term, whose stem is that of the name.
        assert read_question(text).quoted == quoted

    def test_counts_in_the_cues(self):
        question = read_question('the field "Net sales"')
        assert question.cues[CUES.index("quoted-terms")] == pytest.approx(2 / 5)
        assert question.cues[CUES.index("words")] == pytest.approx(4 / 20)


class TestNamed:
    @pytest.mark.parametrize(
        ("text", "figures"),
        [
            ("What does Figure 3 show?", (("fig", "3"),)),
            ("in Fig. 2.1 and table\n4", (("fig", "2.1"), ("tab", "4"))),
            ("fig.7", (("fig", "7"),)),
            ("See Table A and appendix b", (("tab", "a"), ("app", "b"))),
            ("Figures 5 and Section3", (("fig", "5"), ("sec", "3"))),
            ("How many tables and charts of the party show units?", ()),
            ("the chart above", ()),
        ],
    )
    def test_figures_by_number_or_letter(self, text, figures):
        assert read_question(text).figures == figures
        assert ("names-figure" in cues(text)) == bool(figures)

    @pytest.mark.parametrize(
        ("text", "pages"),
        [
            ("on page 12", (11,)),
            ("on the 3rd slide", (2,)),
            ("on the last page", (-1,)),
            ("on the second slide, not on page 2", (1,)),
            ("pages 4 and page no. 7, slide #9", (3, 6, 8)),
            ("page 0", ()),
            ("page 123456789012345678901234567890", ()),
            ("the pages of 2019", ()),
        ],
    )
    def test_pages(self, text, pages):
        assert read_question(text).pages == pages

    @pytest.mark.parametrize(
        ("text", "colours"),
        [
            ("the red bar", {"red"}),
            ("Gray or VIOLET?", {"grey", "purple"}),
            ("measured, shared and bored", set()),
            ("black and white", {"black", "white"}),
        ],
    )
    def test_colours(self, text, colours):
        assert {COLOURS[index] for index in read_question(text).colours} == colours
        assert ("names-colour" in cues(text)) == bool(colours)

    def test_to_ask_for_a_colour_names_every_hue(self):
        named = {COLOURS[index] for index in read_question("What colour is the line?").colours}
        assert named == set(COLOURS) - {"black", "grey", "white"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("How many units were sold?", {"asks-count"}),
        ("In which country?", {"asks-place", "asks-which"}),
        ("What percentage?", {"asks-share"}),
        ("Is it so?", {"asks-yes-no"}),
        ("So is it?", set()),
        ("Who signed it?", {"asks-person"}),
        ("The largest bar of the chart", {"asks-extreme", "asks-chart"}),
        ("the statement summary of a discount account", set()),
        ("hundred offered", set()),
        ("online barrier almost growth strategies updated silicon assigned", set()),
    ],
)
def test_cues_are_words_and_not_parts_of_words(text, expected):
    assert cues(text) == expected


ODD = (
    "",
    " \n ",
    "?!…",
    "什么是总额？",
    "Каков итог?",
    "\ud800",
    "a\udfffb total",
    "'",
    '"',
    '""',
    "\x00",
    "ﬁ ½ ²",
    "page ٣",
)


LONG = {"long": "total " * 30_000, "rich": " ".join(f"total{i}x" for i in range(2_000))}


@pytest.mark.parametrize("text", [*ODD, *(pytest.param(text, id=name) for name, text in LONG.items())])
def test_any_question_gives_finite_features(text):
    page = read([("Total:", (1, 1, 3, 2)), ("1,204", (4, 1, 6, 2))])
    for features in token_features([page, read()], text):
        assert features.shape == (page.grid.n_tokens, len(FEATURES)) and features.dtype == np.float32
        assert np.isfinite(features).all() and np.abs(features).max() <= LIMIT


@quick
@given(st.text(max_size=60) | st.text("\"'“”‘’ aA1page.", max_size=60))
def test_any_text_is_read(text):
    question = read_question(text)
    assert len(set(question.terms)) == len(question.terms) and all(question.terms)
    assert question.quoted <= set(question.terms)
    assert np.isfinite(question.cues).all() and question.cues.shape == (len(CUES),)


def test_spaces_and_lines_without_end_are_read_as_one():
    assert read_question("page" + " \n" * 50_000 + "3").pages == (2,)
    assert read_question("Table" + "\t" * 50_000 + "A").figures == (("tab", "a"),)
