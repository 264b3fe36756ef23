"""What a sample gives every selector: orders without a favourite place, tokens that are numbers, costs that add up."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from pinpoint_data.errors import PageError, TrainingError
from tests.training.selectors.samples import given_sample, model_sample, unit_rows
from tests.training.vlm.pictures import noise
from training.selectors import SignalSource, make_selector


def test_pages_lie_end_to_end() -> None:
    tokens = [unit_rows(6, 3), unit_rows(4, 3, 1), unit_rows(5, 3, 2)]
    sample = given_sample(tokens, [(2, 3), (2, 2), (1, 5)], evidence=[(1, (0, 0, 10, 5)), (2, (5, 0, 20, 10))])
    assert sample.n_tokens == 15
    assert [(place.start, place.stop) for place in sample.slices] == [(0, 6), (6, 10), (10, 15)]
    for place, own in zip(sample.slices, tokens, strict=True):
        np.testing.assert_array_equal(sample.tokens[place].numpy(), own)
    assert sample.evidence_area().tolist() == [0] * 6 + [50, 0, 0, 0] + [50, 100, 0, 0, 0]


def test_shared_features_come_first_on_both_sides() -> None:
    sample = given_sample(unit_rows(4, 5), (2, 2), unit_rows(3, 5, 1))
    sample.source.shared_dim = 2
    visual, question = sample.shared()
    assert torch.equal(visual, sample.tokens[:, :2]) and torch.equal(question, sample.question_tokens[:, :2])


def test_order_is_best_first() -> None:
    sample = given_sample(unit_rows(6, 3), (2, 3))
    scores = [0.5, -1, 3, 2.5, 0, 7]
    for given in (np.array(scores), torch.tensor(scores), torch.tensor(scores, dtype=torch.bfloat16)):
        assert sample.order(given).tolist() == [5, 2, 3, 0, 4, 1]


@pytest.mark.parametrize(
    ("scores", "message"), [([1.0], r"got \(1,\) with 0"), ([0, 1, np.nan, np.inf, 2, 3], "with 2 that are not")]
)
def test_scores_that_rank_nothing_are_refused(scores: list[float], message: str) -> None:
    with pytest.raises(TrainingError, match=f"question test/1: scores must be 6 finite numbers, .*{message}"):
        given_sample(unit_rows(6, 3), (2, 3)).order(np.array(scores))


def test_ties_are_drawn_by_the_pages_and_the_seed_alone() -> None:
    def order(n_pages: int = 1, **options: Any) -> list[int]:
        pages = [unit_rows(12, 3)] * n_pages
        found: list[int] = given_sample(pages, [(3, 4)] * n_pages, **options).order(np.zeros(12 * n_pages)).tolist()
        return found

    assert order() == order(question_id="test/2", question_text="Else?") != order(seed=1)
    assert order() != list(range(12)) and sorted(order(2)) == list(range(24))
    first = [order(seed=seed)[0] for seed in range(240)]
    assert np.bincount(first, minlength=12).min() >= 6  # of 20 expected; six is 3.3 standard deviations off


def test_kept_sets_are_the_beginnings_of_an_order() -> None:
    sample = given_sample(unit_rows(5, 3), (1, 5))
    one, three, every = sample.keep_first(np.array([3, 0, 4, 1, 2]), [1, 3, 5], flops=7.0)
    assert [np.flatnonzero(kept.mask).tolist() for kept in (one, three, every)] == [[3], [0, 3, 4], [0, 1, 2, 3, 4]]
    assert one.scores is not None and np.argsort(-one.scores).tolist() == [3, 0, 4, 1, 2] and three.flops == 7
    top = sample.keep_top(np.array([1.0, 0, 0, 5, 4]), [2])[0]
    assert np.flatnonzero(top.mask).tolist() == [3, 4]


def test_generators_tell_questions_pages_and_keys_apart() -> None:
    here = given_sample(unit_rows(4, 3), (2, 2))
    other = given_sample(unit_rows(4, 3), (2, 2), question_id="test/2")
    assert here.generator("a").random() == here.generator("a").random()
    assert len({here.generator("a").random(), here.generator("b").random(), other.generator("a").random()}) == 3
    assert here.generator("a", of_question=False).random() == other.generator("a", of_question=False).random()


def test_tokens_that_are_no_numbers_are_refused_with_their_page() -> None:
    broken = unit_rows(6, 3, 1)
    broken[4, 2] = np.inf
    sample = given_sample([unit_rows(4, 3), broken], [(2, 2), (2, 3)])
    with pytest.raises(PageError, match=r"page test/page1: .*visual tokens that are not finite.*float32") as caught:
        make_selector("divprune").select(sample, [3])
    assert caught.value.code == "tokens-not-finite"


@pytest.mark.parametrize("needs", [(), ("vision",)])
def test_tokens_of_a_model_that_are_no_numbers_are_refused(
    needs: tuple[str, ...], tiny_model: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = model_sample(tiny_model("qwen2-vl"), [noise(300, 200)], needs=needs)  # type: ignore[arg-type]
    with torch.no_grad():
        parameter = next(tiny_model("qwen2-vl").inner.visual.merger.parameters())
        before = parameter.clone()
        parameter.fill_(torch.nan)
        try:
            with pytest.raises(PageError, match=r"page test/page0: .*not finite"):
                _ = sample.tokens
        finally:
            parameter.copy_(before)


def test_the_vision_tower_is_watched_where_a_selector_says_so(tiny_model: Callable[..., Any]) -> None:
    page = noise(300, 200)
    with pytest.raises(TrainingError, match=r"was not watched as it encoded the pages.*name `vision`"):
        model_sample(tiny_model("qwen2-vl"), [page]).vision()
    watched = model_sample(tiny_model("qwen2-vl"), [page], needs=["vision"])
    assert len(watched.vision().saliency) == watched.n_tokens


def test_what_a_backbone_alone_has_not_got_is_named() -> None:
    sample = given_sample(unit_rows(4, 3), (2, 2))
    assert sample.source.offers == {"pixels", "evidence", "shared"}
    for ask, what in (
        (sample.vision, "a vision tower"),
        (sample.clip, "a vision tower"),
        (sample.decoder, "a language"),
    ):
        with pytest.raises(TrainingError, match=f"backbone 'given' has not got {what}"):
            ask()


def test_a_page_is_encoded_once_and_charged_to_every_question() -> None:
    ticks = iter(range(1000))
    sample = given_sample([unit_rows(4, 3), unit_rows(2, 3)], [(2, 2), (1, 2)])

    class Clocked(SignalSource):
        def clock(self) -> float:
            return float(next(ticks))

    source = Clocked(sample.source.backbone)
    first = source.sample(sample.view)
    _, own, signals = first.ledger.charged(lambda: first.tokens)
    second = source.sample(dataclasses.replace(sample.view, question_id="test/2"))
    _, _, again = second.ledger.charged(lambda: second.tokens)
    assert own >= 0 and signals["encode"].seconds == 1 == again["encode"].seconds
