from __future__ import annotations

import numpy as np
import pytest

from pinpoint_data.bootstrap import ResampledMeans, bootstrap_difference, bootstrap_mean, bootstrap_means
from pinpoint_data.errors import UsageError


def test_the_interval_is_that_of_a_loop_over_resampled_documents() -> None:
    rng = np.random.default_rng(3)
    docs = rng.integers(0, 40, 200)
    values = rng.random(200) + (docs % 5) / 5
    got = bootstrap_mean(values, docs)
    names = np.unique(docs)
    means = []
    for _ in range(2000):
        drawn = rng.choice(names, len(names))
        means.append(np.concatenate([values[docs == name] for name in drawn]).mean())
    low, high = np.quantile(means, [0.025, 0.975])
    assert got.mean == pytest.approx(values.mean())
    assert got.low == pytest.approx(low, abs=0.02)
    assert got.high == pytest.approx(high, abs=0.02)


def test_seeded_and_independent_of_the_order_of_questions() -> None:
    values, docs = np.arange(10.0), np.array(list("aabbbccdde"))
    assert bootstrap_mean(values, docs, seed=1) == bootstrap_mean(values, docs, seed=1)
    assert bootstrap_mean(values, docs, seed=1) != bootstrap_mean(values, docs, seed=2)
    shuffle = np.random.default_rng(0).permutation(10)
    assert bootstrap_mean(values[shuffle], docs[shuffle]) == pytest.approx(bootstrap_mean(values, docs))


def test_memory_chunks_do_not_change_the_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    values, docs = np.arange(30.0), np.arange(30) // 3
    whole = bootstrap_mean(values, docs, n=250)
    monkeypatch.setattr("pinpoint_data.bootstrap._CHUNK", 7)
    assert bootstrap_mean(values, docs, n=250) == whole


def test_many_scores_have_the_intervals_of_each_alone() -> None:
    rng = np.random.default_rng(0)
    values, docs = rng.random((60, 3)), rng.integers(0, 9, 60).astype(str)
    found = bootstrap_means(values, docs, 300, 7)
    for column, row in zip(values.T, found, strict=True):
        assert row == pytest.approx(bootstrap_mean(column, docs, 300, 7))
    paired = bootstrap_means((values[:, 0] - values[:, 1])[:, None], docs, 300, 7)[0]
    assert paired == pytest.approx(bootstrap_difference(values[:, 0], values[:, 1], docs, 300, 7))


def test_the_numbers_of_earlier_releases() -> None:
    values, docs = np.arange(24.0) % 7, np.arange(24) % 5
    assert bootstrap_mean(values, docs, 200, 3) == pytest.approx((2.75, 2.5, 3.08))


def test_one_document_gives_no_interval_and_one_of_many_questions_counts_once() -> None:
    assert bootstrap_mean([0.0, 1.0], ["a", "a"]) == (0.5, None, None)
    # A hundred questions of one document are one draw: the interval reaches far.
    many = bootstrap_mean([1.0] * 100 + [0.0] * 5, ["a"] * 100 + list("bcdef"))
    assert many.low < 0.2 < 0.95 < many.mean


def test_a_paired_difference_is_tighter_than_two_intervals() -> None:
    rng = np.random.default_rng(0)
    docs = np.repeat(np.arange(50), 4)
    a = rng.random(200) + np.repeat(rng.random(50), 4)
    difference = bootstrap_difference(a + 0.05, a, docs)
    assert difference == pytest.approx((0.05, 0.05, 0.05))
    assert bootstrap_mean(a + 0.05, docs).low < bootstrap_mean(a, docs).high


def test_differences_of_shared_resamples_are_those_of_the_differences() -> None:
    rng = np.random.default_rng(0)
    values, docs = rng.random((60, 4)), rng.integers(0, 9, 60)
    means = ResampledMeans.of(values.T, docs, 300, 7)
    pairs = [(0, 1), (1, 0), (2, 3), (2, 2)]
    found = means.differences(*zip(*pairs, strict=True))
    for (a, b), row in zip(pairs, found, strict=True):
        assert row == pytest.approx(bootstrap_difference(values[:, a], values[:, b], docs, 300, 7))


def test_ratios_are_those_of_a_loop_over_resampled_documents() -> None:
    rng = np.random.default_rng(1)
    docs = rng.integers(0, 30, 150)
    mine, theirs = rng.random(150) + docs / 30, 0.2 + rng.random(150)
    [found] = ResampledMeans.of([mine, theirs], docs, 2000).ratios([0], [1])
    assert found is not None
    names, ratios = np.unique(docs), []
    for _ in range(2000):
        drawn = np.concatenate([np.flatnonzero(docs == name) for name in rng.choice(names, len(names))])
        ratios.append(mine[drawn].sum() / theirs[drawn].sum())
    assert found.mean == pytest.approx(mine.mean() / theirs.mean())
    assert (found.low, found.high) == pytest.approx(np.quantile(ratios, [0.025, 0.975]), abs=0.03)


def test_a_ratio_to_nothing_is_none_and_to_nothing_in_a_resample_has_no_ends() -> None:
    means = ResampledMeans.of([[1.0, 2.0], [0.0, 0.0], [0.0, 2.0], [2.0, 4.0]], ["a", "b"], 200)
    assert means.ratios([0, 0, 0, 1], [1, 2, 3, 3]) == [None, (1.5, None, None), (0.5, 0.5, 0.5), (0.0, 0.0, 0.0)]
    alone = ResampledMeans.of([[1.0, 2.0], [0.0, 0.0], [3.0, 3.0]], ["a", "a"])
    assert alone.ratios([0, 0], [1, 2]) == [None, (0.5, None, None)]
    assert alone.differences([0], [2]) == [(-1.5, None, None)]


def test_pairs_are_compared_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    values, docs = np.random.default_rng(2).random((40, 5)), np.arange(40) // 4
    means = ResampledMeans.of(values.T, docs, 100)
    first, second = [0, 1, 2, 3, 4, 0, 2], [1, 2, 3, 4, 0, 3, 0]
    whole = means.ratios(first, second), means.differences(first, second)
    monkeypatch.setattr("pinpoint_data.bootstrap._PAIRS", 3)
    assert (means.ratios(first, second), means.differences(first, second)) == whole


def test_a_score_of_other_questions_is_refused() -> None:
    with pytest.raises(UsageError, match=r"got \(1,\) and \(2,\)"):
        ResampledMeans.of([[1.0, 2.0], [1.0]], ["a", "b"])


@pytest.mark.parametrize(
    ("values", "docs", "message"),
    [
        ([], [], "n >= 1"),
        ([1.0], ["a", "b"], r"got \(1, 1\) and \(2,\)"),
        ([1.0, float("nan")], ["a", "b"], "values must be finite, got 1 that are not"),
    ],
)
def test_nonsense_is_refused(values: list[float], docs: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        bootstrap_mean(values, docs)
    with pytest.raises(UsageError, match=r"values must have shape \(n,\)"):
        bootstrap_mean([[1.0]], ["a"])
    with pytest.raises(UsageError, match="a and b must have the same shape"):
        bootstrap_difference([1.0], [1.0, 2.0], ["a", "b"])
