from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinpoint_data.errors import UsageError
from pinpoint_data.gqa import gqa_match


@pytest.mark.parametrize(
    ("prediction", "answers", "score"),
    [
        ("yes", ["yes"], 1),
        ("Yes.", ["yes"], 1),
        (" YES \n", ["yes"], 1),
        ("yes . ", ["yes"], 1),
        ("yes...", ["yes"], 1),
        ("no", ["yes"], 0),
        ("yes, it is", ["yes"], 0),
        ("the left", ["left"], 0),
        ("dining\n table", ["dining table"], 1),
        ("dining\u00a0table", ["dining table"], 1),
        ("ﬁre hydrant", ["fire hydrant"], 1),
        ("two", ["2"], 0),
        ("2", ["two", "2"], 1),
        ("1.5", ["15"], 0),
        ("1.5.", ["1.5"], 1),
        ("U.S.", ["U.S"], 1),
        ("t-shirt", ["t shirt"], 0),
        ("Bus", ["BUS"], 1),
        ("Café", ["cafe\u0301"], 1),
        ("", ["yes"], 0),
        ("", [""], 1),
        (".", [""], 1),
    ],
)
def test_examples(prediction: str, answers: list[str], score: float) -> None:
    assert gqa_match(prediction, answers) == score


@given(st.text(max_size=12), st.lists(st.text(max_size=12), max_size=3))
def test_an_accepted_answer_counts_however_it_is_written(answer: str, others: list[str]) -> None:
    assert gqa_match(answer, [*others, answer]) == 1
    assert gqa_match(f"  {answer}. \n", [*others, answer]) == 1


@pytest.mark.parametrize("answers", [[], "yes"])
def test_without_an_accepted_answer_there_is_no_score(answers: list[str] | str) -> None:
    with pytest.raises(UsageError, match="at least one text"):
        gqa_match("yes", answers)
