"""Answers on page words."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotation.proposals.answers import read_answers
from annotation.proposals.folding import squash
from annotation.proposals.layout import line_boxes
from annotation.proposals.matching import find_answer
from annotation.proposals.pagetext import PageText
from annotation.proposals.values import value_keys
from pinpoint_data.words import PageWords
from tests.annotation.proposals_build import HEIGHT, LEADING, LETTER, envelope, lines, page


def said(text: PageText, answer: str) -> list[tuple[str, str]]:
    return [(span.match, span.text) for span in find_answer(text, answer)]


# Letters of the planted answer never stand in the words around it.
AROUND = st.text("abcdefghij 0123", min_size=1, max_size=8).filter(str.strip)
PLANTED = st.lists(st.text("uvwxyzUVWXYZ", min_size=1, max_size=9), min_size=1, max_size=6)


@settings(deadline=None)
@given(st.lists(AROUND, max_size=40), PLANTED, st.lists(AROUND, max_size=40), st.integers(1, 6))
def test_a_planted_answer_is_found_and_its_boxes_are_the_envelopes_of_its_words(
    before: list[str], planted: list[str], after: list[str], per_line: int
) -> None:
    words = [w for text in before for w in text.split()] + planted + [w for text in after for w in text.split()]
    rows = [" ".join(words[start : start + per_line]) for start in range(0, len(words), per_line)]
    text = lines(*rows)
    first = next(i for i, w in enumerate(words) if w == planted[0])
    expected = list(range(first, first + len(planted)))
    (span,) = find_answer(text, " ".join(planted))
    assert (span.match, list(span.words)) == ("exact", expected)
    by_line = [[row for row in expected if row // per_line == line] for line in range(len(rows))]
    boxes = line_boxes(text.words, span.words, text.unit)
    assert [tuple(box) for box in boxes.tolist()] == [envelope(text.words, part) for part in by_line if part]


@pytest.mark.parametrize(
    ("answer", "row", "expected"),
    [
        ("1234", "costs 1,234 now", "1,234"),
        ("1,234", "costs 1 234 now", "1 234"),
        ("1 234", "costs 1234 now", "1234"),
        ("$5,000", "about $5, 000 in all", "$5, 000"),
        ("1,234.50", "costs 1234.5 now", "1234.5"),
        ("1,234,567", "pop. 1.234.567 souls", "1.234.567"),
        ("3.5", "about 3,5 times", "3,5"),
        ("$5 million", "a budget of $5m today", "$5m"),
        ("5,000,000", "a budget of 5 million today", "5 million"),
        ("12%", "rose 12 percent again", "12 percent"),
        ("12 percent", "rose 12% again", "12%"),
        ("12%", "rose 12 % again", "12 %"),
        ("three", "we saw 3 boats", "3"),
        ("3", "we saw three boats", "three"),
        ("25 Dec 2018", "on 25/12/2018 at noon", "25/12/2018"),
        ("2018-12-25", "on December 25, 2018 at noon", "December 25, 2018"),
        ("12/25/2018", "on 25-DEC-18 at noon", "25-DEC-18"),
        ("March 2020", "since 03 Mar. 2020 open", "Mar. 2020"),
        ("2,369 ha", "about 2,369 of it", "2,369"),
        ("café", "the CAFE opens", "CAFE"),
        ("office", "the oﬃce opens", "oﬃce"),
        ("don’t know", "they don't know yet", "don't know"),
        ("well–known", "a well-known man", "well-known"),
        ("GrandTotal", "the grand total is", "grand total"),
        ("grand total", "the GRANDTOTAL is", "GRANDTOTAL"),
        ("Male", "Male/Female ratio", "Male/Female"),
        ("2017", "in FY2017 we", "FY2017"),
        ("東京", "首都は東京です", "首都は東京です"),
        ("O'Brien & Sons", "by O’BRIEN & SONS,", "O’BRIEN & SONS,"),
    ],
)
def test_writing_makes_no_difference(answer: str, row: str, expected: str) -> None:
    assert ("normalised", expected) in said(lines("first line", row, "last line"), answer)


@pytest.mark.parametrize(
    ("answer", "row"),
    [
        ("cat", "the category list"),
        ("50", "in the 1950s"),
        ("1994", "in 1995 again"),
        ("35", "about 3.5 times"),
        ("12", "costs 1234"),
        ("25 Dec 2018", "on 26/12/2018 at noon"),
        ("Robert Smithson", "Margaret Fitzgerald and Thomas Whitaker"),
        ("Plan 2021", "Plan 2022 for all"),
        ("xyz", ""),
    ],
)
def test_what_is_not_the_answer_is_not_found(answer: str, row: str) -> None:
    assert said(lines("first line", *([row] if row else [])), answer) == []


def test_a_word_cut_by_a_line_break_is_one_answer_in_two_boxes() -> None:
    text = lines("alleges breach of warran-", "ties and seeks", "damages")
    (span,) = find_answer(text, "breach of warranties")
    assert (span.match, span.text) == ("normalised", "breach of warran- ties")
    assert line_boxes(text.words, span.words, text.unit).tolist() == [
        list(envelope(text.words, [1, 2, 3])),
        list(envelope(text.words, [4])),
    ]


def test_a_cell_that_wraps_is_found_although_the_table_is_read_across() -> None:
    # Two columns, read row by row.
    text = page(
        (50, 50, "Understanding Economic"),
        (600, 50, "Making Ethical"),
        (50, 80, "Systems and Business"),
        (600, 80, "Decisions and Managing"),
    )
    (span,) = find_answer(text, "Understanding Economic Systems and Business")
    assert line_boxes(text.words, span.words, text.unit).tolist() == [[50, 50, 270, 70], [50, 80, 250, 100]]


def test_nearly_equal_words_count_only_where_nothing_is_equal() -> None:
    assert said(lines("to Minnemeyer Laboratories", "and on"), "Minnerneyer Laboratories") == [
        ("fuzzy", "Minnemeyer Laboratories")
    ]
    both = lines("to Minnemeyer Laboratories", "to Minnerneyer Laboratories")
    assert said(both, "Minnerneyer Laboratories") == [("exact", "Minnerneyer Laboratories")]
    assert find_answer(lines("to Minnemeyer Laboratories"), "Minnerneyer Laboratories", fuzzy=False) == []


def test_a_long_answer_with_some_wrong_letters_is_found_whole() -> None:
    whole = "the proposed action will increase laboratory productivity and reduce the cost of testing"
    words = whole.split()
    wrong = whole.replace("laboratory", "1aborat0ry").replace("testing", "tcsting")
    (span,) = find_answer(lines("some lines before", *words, "some lines after"), wrong)
    assert (span.match, span.text.split()) == ("fuzzy", words)


def test_a_number_beats_the_digits_inside_another_word() -> None:
    text = lines("FY2017 2017")
    (joint, plain) = find_answer(text, "2017")
    assert joint.quality < plain.quality
    assert plain.match == "exact"


def test_ticks_and_dashes_are_compared_as_they_stand() -> None:
    assert said(lines("☑ yes", "☐ no"), "☑") == [("exact", "☑")]


@pytest.mark.parametrize(
    ("question", "answers", "expected"),
    [
        ("Which?", ["['a b', \"c's\"]"], [("a b", "c's")]),
        ("Which?", ["Red, green and blue"], [("Red", "green", "blue")]),
        ("How much?", ["1,234"], [()]),
        ("What?", ["60 34 60", "60", "34"], [("60", "34", "60")]),
        ("What?", ["Foo Bar", "Foo"], [(), ()]),
        ("Is it so?", ["Yes"], []),
        ("What is ticked?", ["Yes"], [()]),
        ("What?", ["Not answerable", "", "  "], []),
        ("What?", ["N/A"], [()]),
        ("What?", [], []),
    ],
)
def test_lists_and_parts_of_answers(question: str, answers: list[str], expected: list[tuple[str, ...]]) -> None:
    assert [answer.parts for answer in read_answers(question, answers)] == expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1,234", "1234"),
        ("1.5 billion", "1,500 million"),
        ("$5m", "5,000,000"),
        ("07/03/2018", "7 March 2018"),
        ("07/03/2018", "July 3rd, 2018"),
        ("0.50", ".5".rjust(3, "0")),
    ],
)
def test_equal_values_have_a_key_in_common(one: str, other: str) -> None:
    assert value_keys(one) & value_keys(other)


@settings(deadline=None)
@given(st.integers(0, 10**12))
def test_thousands_may_be_written_in_any_way(number: int) -> None:
    ways = {f"{number:,}", str(number), f"{number:,}".replace(",", " "), f"{number:,}".replace(",", "'")}
    assert len(frozenset.intersection(*(value_keys(way) for way in ways))) >= 1
    assert {squash(way) for way in ways} == {str(number)}


HOSTILE = [
    "",
    " ",
    "(",
    "[a-z]+(.*)\\",
    "%",
    "\\d{1,99999}",
    "\ud800",
    "\x00",
    "a" * 50_000,
    "'" * 999,
    "[" * 500,
    "1" * 999,
]
HOSTILE += ["1,1" * 3000, "٣٤٥", "²", "½", "x\u0301" * 500, "['" + "a', '" * 2000 + "']", "1/1/" * 500, "é" * 5000]


@pytest.mark.parametrize("answer", HOSTILE)
@pytest.mark.parametrize("row", ["plain words 1/2/2003 $5m", *HOSTILE[2:]])
def test_hostile_text_is_only_text(answer: str, row: str) -> None:
    words = PageWords([row], np.array([[0.0, 0.0, 10.0, 10.0]]), np.zeros(1, np.int64), None, "test")
    for one in read_answers("What?", [answer]):
        for part in (one.text, *one.parts[:2]):
            find_answer(PageText(words, 100, 100), part)
    assert find_answer(PageText(PageWords(), 100, 100), answer) == []


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=12), st.text(max_size=30))
def test_any_words_and_any_answer_give_spans_of_the_page(texts: list[str], answer: str) -> None:
    boxes = np.array([[10.0 * n, 0.0, 10.0 * n + 9, 10.0] for n in range(len(texts))])
    text = PageText(PageWords(texts, boxes, np.zeros(len(texts), np.int64), None, "test"), 500, 500)
    spans = find_answer(text, answer)
    rows = [row for span in spans for row in span.words]
    assert len(rows) == len(set(rows))
    assert all(0 <= row < len(texts) for row in rows)
    assert all(0 < span.quality <= 1 for span in spans)


def test_a_page_of_twenty_thousand_words() -> None:
    words = random.Random(0).choices([f"w{n}" for n in range(3000)], k=20_000)
    rows = [" ".join(words[start : start + 100]) for start in range(0, 20_000, 100)]
    cells = [(0.0, LEADING * n, row) for n, row in enumerate([*rows, "the needle stands here"])]
    text = page(*cells, width=100 * 7 * LETTER, height=LEADING * 201 + HEIGHT)
    assert said(text, "needle stands") == [("exact", "needle stands")]
    assert said(text, "neadle stonds here") == [("fuzzy", "needle stands here")]
    assert said(text, " ".join(words[5000:9000]))[0][0] == "exact"
    assert len(text.blocks.reading_order) == 20_004
