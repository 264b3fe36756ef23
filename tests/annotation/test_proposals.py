"""From a question and its pages to proposed boxes."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotation.proposals import Proposal, Settings, propose_boxes
from annotation.proposals.pagetext import PageText
from annotation.proposals.rarity import count_rarity
from pinpoint_data.words import PageWords
from tests.annotation.proposals_build import HEIGHT, LETTER, envelope, lines, page, rarity

Box = tuple[float, float, float, float]


def run(question: str, answers: Sequence[str], *pages: PageText, **changes: object) -> list[Proposal]:
    return propose_boxes(question, answers, pages, rarity(question, *pages), Settings(**changes))  # type: ignore[arg-type]


def boxes(proposals: Sequence[Proposal], role: str) -> list[tuple[int, Box]]:
    return [(p.page, p.xyxy) for p in proposals if p.role == role]


RECEIPT = page(
    (50, 50, "Subtotal"),
    (500, 50, "80.00"),
    (50, 90, "Discount"),
    (500, 90, "16.50"),
    (50, 130, "Grand total"),
    (500, 130, "16.50"),
    (50, 170, "Change"),
    (500, 170, "16.50"),
)


@pytest.mark.parametrize(("label", "y"), [("discount", 90), ("grand total", 130), ("change", 170)])
def test_of_repeated_answers_the_one_beside_the_questions_rare_word_wins(label: str, y: float) -> None:
    found = run(f"What is the {label}?", ["16.50"], RECEIPT)
    assert boxes(found, "answer") == [(0, (500, y, 550, y + HEIGHT))]
    assert boxes(found, "support") == [(0, (50, y, 50 + LETTER * len(label), y + HEIGHT))]
    answer = next(p for p in found if p.role == "answer")
    assert (answer.match, answer.answer) == ("exact", "16.50")
    assert "3 places" in answer.reason
    assert "left of the answer" in found[-1].reason


@settings(deadline=None)
@given(st.integers(0, 11), st.integers(0, 3), st.randoms(use_true_random=False))
def test_the_cell_whose_row_and_column_the_question_names(row: int, column: int, shuffled: random.Random) -> None:
    # The same value in every cell of a table; only its headers say which is meant.
    towns = ["Riverton", "Oakbury", "Coppergrove", "Dunwell", "Ashford", "Millbrook"]
    towns += ["Stonefield", "Larkspur", "Westmere", "Highgate", "Brookside", "Fairview"]
    years = ["2011", "2012", "2013", "2014"]
    shuffled.shuffle(towns)
    cells = [(300.0 + 150 * n, 50.0, year) for n, year in enumerate(years)]
    for number, town in enumerate(towns):
        cells.append((50.0, 90.0 + 40 * number, town))
        cells += [(300.0 + 150 * n, 90.0 + 40 * number, "77") for n in range(4)]
    found = run(f"What was the rainfall in {towns[row]} in {years[column]}?", ["77"], page(*cells))
    x, y = 300.0 + 150 * column, 90.0 + 40 * row
    assert boxes(found, "answer") == [(0, (x, y, x + 20, y + HEIGHT))]
    row_header = (50, y, 50 + LETTER * len(towns[row]), y + HEIGHT)
    assert sorted(boxes(found, "support")) == sorted([(0, row_header), (0, (x, 50, x + 40, 50 + HEIGHT))])


def test_keep_proposes_more_places_the_best_first() -> None:
    found = [p for p in run("What is the grand total?", ["16.50"], RECEIPT, keep=2) if p.role == "answer"]
    assert [p.xyxy[1] == 130 for p in found] == [True, False]
    assert found[0].score > found[1].score


def test_all_pages_compete_and_the_one_that_the_question_speaks_of_wins() -> None:
    pages = [lines("Report", "Sales 42"), lines("Annex", "Costs 42"), lines("Index", "Rents 42")]
    assert boxes(run("What are the costs?", ["42"], *pages), "answer") == [(1, envelope(pages[1].words, [2]))]


def test_a_list_is_found_part_by_part_also_over_pages_and_repeats() -> None:
    first = page((50, 50, "Staff"), (50, 90, "Ann"), (50, 130, "Bob"))
    second = page((50, 50, "More staff"), (50, 90, "Cleo"))
    found = run("Who is staff?", ["['Ann', 'Bob', 'Cleo']"], first, second)
    assert sorted(boxes(found, "answer")) == [(0, (50, 90, 80, 110)), (0, (50, 130, 80, 150)), (1, (50, 90, 90, 110))]
    column = page((50, 50, "SCORE"), (50, 90, "7"), (500, 90, "3"), (50, 130, "8"), (50, 170, "7"))
    found = run("What is written in the field “SCORE”?", ["7 8 7", "7", "8"], column)
    assert sorted(box for _, box in boxes(found, "answer")) == [(50, y, 60, y + 20) for y in (90, 130, 170)]


def test_an_answer_over_two_lines_is_two_boxes() -> None:
    text = page((50, 50, "Address"), (300, 50, "12 Mill Lane"), (300, 80, "Dunwell"))
    found = run("What is the address?", ["12 Mill Lane, Dunwell"], text)
    assert boxes(found, "answer") == [(0, (300, 50, 420, 70)), (0, (300, 80, 370, 100))]


def test_a_quoted_label_counts_with_its_function_words() -> None:
    text = page((50, 50, "To"), (300, 50, "Ann"), (50, 90, "From"), (300, 90, "Ann"))
    found = run('What is written in the field "From"?', ["Ann"], text)
    assert [(p.role, p.xyxy[1]) for p in found] == [("answer", 90), ("support", 90)]


def test_words_of_a_template_say_nothing() -> None:
    text = page((50, 50, "Field"), (200, 50, "9"), (50, 300, "Weight"), (200, 300, "9"))
    questions = [f"What does the field {name} say?" for name in ("weight", "height", "length", "colour")]
    counted = count_rarity(questions, [text.words.texts, *([["other"]] * 20)])
    found = propose_boxes(questions[0], ["9"], [text], counted, Settings())
    assert boxes(found, "answer") == [(0, (200, 300, 210, 320))]


def test_an_answer_that_no_page_says_gets_the_questions_words_at_a_lower_score() -> None:
    text = lines("Number of hotels by town", "Oakbury 12", "Dunwell 30")
    said = run("How many hotels are in Oakbury?", ["12"], text)
    computed = run("How many hotels more are in Dunwell than in Oakbury?", ["18"], text)
    assert {p.role for p in computed} == {"support"}
    assert {p.match for p in computed} == {"question-words"}
    assert max(p.score for p in computed) <= 0.5 < max(p.score for p in said)
    assert all("no page says the answer" in p.reason for p in computed)


def test_nothing_to_say_is_nothing() -> None:
    empty = PageText(PageWords(), 100, 100)
    assert run("What?", ["x"], empty) == []
    assert run("What?", [], lines("some words")) == []
    assert propose_boxes("What?", ["x"], [], count_rarity([], []), Settings()) == []


def test_blocks_hold_the_lines_that_were_found() -> None:
    paragraph = [(50.0, 50.0 + 30 * n, f"this running text of many words goes on in line {n}") for n in range(4)]
    text = page(*paragraph, (50, 600, "Another paragraph far below with other words in it"))
    found = run("What goes on?", ["line 2"], text, group="blocks")
    assert boxes(found, "answer") == [(0, envelope(text.words, range(sum(len(t.split(" ")) for *_, t in paragraph))))]
    assert found[0].reason.startswith("the block that holds")


def test_a_table_is_one_block_and_a_computed_answer_gets_it() -> None:
    head = [(50.0, 300.0, "Hotels"), (300.0, 300.0, "Rooms"), (500.0, 300.0, "Beds")]
    rows = [(x, 330.0 + 30 * n, f"{n}{int(x)}") for n in range(4) for x in (50.0, 300.0, 500.0)]
    prose = [(50.0, 900.0 + 30 * n, "unrelated prose that fills the rest of the page with its lines") for n in range(3)]
    text = page(*head, *rows, *prose)
    (found,) = run("How many hotels and rooms and beds in sum?", ["9999"], text, group="blocks")
    assert (found.role, found.match) == ("answer", "question-words")
    assert found.xyxy == envelope(text.words, range(15))


def test_boxes_stay_on_the_page() -> None:
    words = PageWords(["Total", "42"], np.array([[-5.0, 5, 30, 15], [90, 95, 140, 130]]), np.array([0, 1]), None, "t")
    found = propose_boxes("Total?", ["42"], [PageText(words, 100, 100)], count_rarity(["Total?"], [["x"]]), Settings())
    assert [p.xyxy for p in found] == [(90, 95, 100, 100), (0, 5, 30, 15)]


def test_the_baseline_takes_the_first_exact_place() -> None:
    found = run("What is the change?", ["16.50"], RECEIPT, method="first-exact")
    assert boxes(found, "answer") == [(0, (500, 90, 550, 110))]
    assert run("What is the change?", ["16.5"], RECEIPT, method="first-exact") == []


WORDS = st.lists(st.sampled_from(["total", "42", "7", "sum", "of", "1,234", "oak", "a", "£", "☑", "é"]), max_size=30)


@settings(max_examples=60, deadline=None)
@given(WORDS, WORDS, st.lists(st.sampled_from(["42", "total", "1234", "a, b", "['42', '7']", "☑", ""]), max_size=3))
def test_every_proposal_is_a_box_on_its_page_with_a_score_and_a_reason(
    texts: list[str], question: list[str], answers: list[str]
) -> None:
    corner = np.random.default_rng(len(texts)).uniform(0, 400, (len(texts), 2))
    words = PageWords(
        texts, np.concatenate([corner, corner + np.array([40, 12])], 1), np.arange(len(texts)), None, "test"
    )
    for group in ("lines", "blocks"):
        pages = [PageText(words, 420, 420), PageText(words, 420, 420)]
        found = run(" ".join(question), answers, *pages, group=group, keep=2)
        assert found == run(" ".join(question), answers, *pages, group=group, keep=2)
        for p in found:
            x0, y0, x1, y1 = p.xyxy
            assert 0 <= x0 < x1 <= 420
            assert 0 <= y0 < y1 <= 420
            assert 0 <= p.score <= 1
            assert p.reason
            assert "\n" not in p.reason


def test_long_questions_and_answers_end() -> None:
    text = lines(*[f"total {n} of the sum" for n in range(300)])
    found = run("total sum " * 3000, ["sum " * 5000, "7 " * 5000, "total 7"], text)
    assert boxes(found, "answer")
