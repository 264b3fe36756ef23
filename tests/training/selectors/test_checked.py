"""What a selector may not give, and whose fault it is when one fails."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pinpoint_data.errors import TrainingError, UsageError
from tests.training.selectors.samples import given_sample, unit_rows
from training.selectors import DecoderLayers, EncodedSample, Kept, Selector, checked_select, make_selector

N = 6


class Giving(Selector):
    """Gives what it is told to."""

    name = "giving"

    def __init__(self, kept: Any) -> None:
        self.kept = kept

    def select(self, sample: EncodedSample, budgets: Sequence[int]) -> Any:
        if isinstance(self.kept, BaseException):
            raise self.kept
        return self.kept


def _given(kept: Any, budgets: Sequence[int] = (2,)) -> list[Kept]:
    return checked_select(Giving(kept), given_sample(unit_rows(N, 4), (2, 3)), budgets)


def _mask(*tokens: int) -> np.ndarray:
    mask = np.zeros(N, np.bool_)
    mask[list(tokens)] = True
    return mask


RANKING = np.array([5.0, 4.0, 3.0, 3.0, 1.0, 0.0])


def test_sets_rankings_and_ties_pass() -> None:
    kept = [Kept(_mask(0, 1), RANKING), Kept(_mask(0, 1, 3), RANKING), Kept(_mask(*range(N)), RANKING)]
    assert _given(kept, (2, 4, 6)) == kept
    for one in (Kept(_mask()), Kept(_mask(), RANKING), Kept(_mask(4, 5), merged=_mask(0))):
        assert _given([one]) == [one]


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        ([], "gave 0 selections for 1 budgets"),
        ([Kept(_mask(0), flops=None)], "operations as a finite number, got None"),  # type: ignore[arg-type]
        ([Kept(_mask(0), flops=float("nan"))], "operations as a finite number, got nan"),
        ([Kept(_mask(0, 1, 2))], "kept 3 tokens of a budget of 2"),
        ([Kept(_mask(0).astype(int))], "NumPy masks of bool, shape (6,)"),
        ([Kept(torch.from_numpy(_mask(0)))], "NumPy masks of bool, shape (6,)"),
        ([Kept(np.flatnonzero(_mask(0)))], "NumPy masks of bool, shape (6,)"),
        ([Kept(_mask(0), merged=_mask(1)[:5])], "NumPy masks of bool, shape (6,)"),
        ([Kept(_mask(0), layers=DecoderLayers((0,), (_mask(0)[:5],), 2))], "NumPy masks of bool, shape (6,)"),
        ([Kept(_mask(0), RANKING[:5])], "one finite score a token, shape (6,)"),
        ([Kept(_mask(0), np.where(RANKING == 1, np.nan, RANKING))], "one finite score a token, shape (6,)"),
        ([Kept(_mask(0, 2), RANKING)], "left out a better one by its own scores"),
        ([Kept(_mask(4, 5), -np.arange(6.0))], "left out a better one by its own scores"),
    ],
)
def test_what_cannot_be_is_refused_by_name(kept: list[Kept], message: str) -> None:
    expected = rf"question test/1: selector 'giving' .*{re.escape(message)}"
    with pytest.raises(TrainingError, match=expected):
        _given(kept)


@pytest.mark.parametrize("other", [None, RANKING + 1])
def test_there_is_one_ranking_for_all_budgets_or_none(other: np.ndarray | None) -> None:
    for kept in ([Kept(_mask(0), RANKING), Kept(_mask(0, 1), other)], [Kept(_mask(0), other), Kept(_mask(0), RANKING)]):
        with pytest.raises(TrainingError, match="the same scores at every budget, or none"):
            _given(kept, (1, 2))


@pytest.mark.parametrize(("wrong", "kind"), [(IndexError("list index out of range"), IndexError), (None, TypeError)])
def test_a_bug_of_somebody_elses_names_selector_and_question(wrong: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind) as caught:
        _given(wrong)
    assert caught.value.__notes__ == ["selector 'giving', question test/1"]


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({}, "must have a name of one line of printable text, got None"),
        ({"name": " "}, "a name of one line"),
        ({"name": 5}, "a name of one line"),
        ({"name": "two\nlines"}, "a name of one line"),
        ({"name": "\ud800"}, "a name of one line"),
        ({"name": "fine", "needs": frozenset({"gpu"})}, "needs 'gpu', which is none of shared, vision"),
    ],
)
def test_a_selector_that_no_table_can_name_or_no_run_can_serve_is_refused(
    monkeypatch: pytest.MonkeyPatch, attributes: dict[str, Any], message: str
) -> None:
    made = type("Made", (Selector,), {"select": lambda self, sample, budgets: [], **attributes})
    monkeypatch.setattr("training.selectors.base._FACTORIES", {"made": made})
    with pytest.raises(UsageError, match=message):
        make_selector("made")


def test_whose_constructor_fails_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    def made() -> Selector:
        raise RuntimeError("no such file of weights")

    monkeypatch.setattr("training.selectors.base._FACTORIES", {"made": made})
    with pytest.raises(RuntimeError) as failed:
        make_selector("made")
    assert failed.value.__notes__ == ["selector 'made'"]


def test_a_module_that_is_not_there_or_no_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="cannot be imported: No module named 'no_such'") as refused:
        make_selector("no_such:Thing")
    assert "its folder on PYTHONPATH" in str(refused.value)
    (tmp_path / "broken_ideas.py").write_text("class Thing(:\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UsageError, match=r"broken_ideas:Thing' cannot be imported: invalid syntax"):
        make_selector("broken_ideas:Thing")


def test_layers_by_hand() -> None:
    #   Ten layers: all six tokens in two of them, three in three, none in five.
    layers = DecoderLayers((0, 2, 5), (_mask(*range(N)), _mask(0, 1, 2), _mask()), 10)
    assert layers.weights.tolist() == [0.2, 0.3, 0.5] and layers.budget == pytest.approx(0.2 + 0.3 / 2)
    assert DecoderLayers((0, 4), (_mask(0), _mask()), 4).budget == pytest.approx(1 / 6)


@pytest.mark.parametrize(
    ("starts", "masks"), [((), 0), ((1,), 1), ((0, 2, 2), 3), ((0, 3, 2), 3), ((0, 5), 2), ((0,), 2)]
)
def test_layers_ascend_from_0(starts: tuple[int, ...], masks: int) -> None:
    with pytest.raises(TrainingError, match="decoder layers must start at 0 and ascend to 4 at most, one mask each"):
        DecoderLayers(starts, (_mask(0),) * masks, 4)
