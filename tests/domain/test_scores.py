from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from pinpoint_data.errors import GeometryError
from pinpoint_data.grids import TokenGrid, patch_grid
from pinpoint_data.scores import (
    MeasuredEvidence,
    PageEvidence,
    full_coverage_budget,
    rank_windows,
    score_selection,
    token_ranks,
    windows_to_coverage,
)
from pinpoint_data.windows import WindowSpec, make_windows
from tests.domain.strategies import boxes, grids, quick

SPEC = WindowSpec(4, 3, 2)


def square(cells: int) -> TokenGrid:
    return patch_grid(cells * 10, cells * 10, patch=10, long_side=cells * 10)


def mask_of(grid: TokenGrid, *cells: tuple[int, int]) -> np.ndarray:
    mask = np.zeros((grid.rows, grid.cols), bool)
    mask[tuple(np.array(cells).T)] = True
    return mask.ravel()


@st.composite
def questions(draw: st.DrawFn) -> tuple[list[PageEvidence], list[np.ndarray]]:
    """Pages with evidence on at least the first, and a selection."""
    pages = []
    for number in range(draw(st.integers(1, 3))):
        xyxy = draw(boxes(low=int(number == 0), high=4))
        roles = draw(st.lists(st.sampled_from(["answer", "support"]), min_size=len(xyxy), max_size=len(xyxy)))
        pages.append(PageEvidence(draw(grids(most=8)), xyxy, tuple(roles)))
    seed = draw(st.integers(0, 1000))
    share = draw(st.floats(0, 1))
    rng = np.random.default_rng(seed)
    return pages, [rng.random(page.grid.n_tokens) < share for page in pages]


def test_scores_by_hand_over_two_pages() -> None:
    grid = square(4)
    first = PageEvidence(grid, np.array([[0.0, 0, 20, 10], [0, 0, 10, 10]]), ("answer", "support"))
    second = PageEvidence(grid, np.array([[30.0, 30, 50, 40]]), ("answer",))
    got = score_selection([first, second], [mask_of(grid, (0, 0), (3, 3)), np.zeros(16, bool)])
    assert got.budget == 2 / 32
    # Two tokens of 100 square pixels, all of the first under a box.
    assert got.precision == pytest.approx(0.5)
    # 100 of 200 on the first page; 0 of the 100 that lie on the second page's grid.
    assert got.evidence_recall == pytest.approx(100 / 300)
    assert got.clipped_share == pytest.approx(100 / 400)
    assert (got.n_boxes, got.all_hit, got.any_hit, got.page_recall) == (3, False, True, 0.5)
    assert sorted(got.by_role) == ["answer", "support"]
    answer, support = got.by_role["answer"], got.by_role["support"]
    assert (answer.n_boxes, answer.all_hit, answer.any_hit) == (2, False, True)
    assert answer.evidence_recall == pytest.approx(100 / 300)
    assert (support.n_boxes, support.evidence_recall, support.all_hit) == (1, 1, True)


def test_pages_without_evidence_count_for_the_budget_only() -> None:
    grid = square(4)
    page, other = PageEvidence(grid, np.array([[0.0, 0, 10, 10]])), PageEvidence(grid, np.zeros((0, 4)))
    found = score_selection([page, other], [mask_of(grid, (3, 3)), np.zeros(16, bool)])
    assert (found.page_recall, found.evidence_recall, found.budget) == (1, 0, 1 / 32)
    missed = score_selection([page, other], [np.zeros(16, bool), np.ones(16, bool)])
    assert (missed.page_recall, missed.evidence_recall, missed.budget) == (0, 0, 0.5)


def test_half_of_a_box_is_a_hit_and_a_little_less_is_none() -> None:
    grid = square(4)
    token = [mask_of(grid, (0, 0))]
    assert score_selection([PageEvidence(grid, np.array([[0.0, 0, 20, 10]]))], token).all_hit
    assert not score_selection([PageEvidence(grid, np.array([[0.0, 0, 20.01, 10]]))], token).any_hit
    assert score_selection([PageEvidence(grid, np.array([[0.0, 0, 30, 10]]))], token, hit=0.3).all_hit


def test_a_box_outside_the_grid_is_missed_even_when_everything_is_selected() -> None:
    grid = square(4)
    page = PageEvidence(grid, np.array([[50.0, 50, 60, 60]]))
    got = score_selection([page], [np.ones(16, bool)])
    assert (got.budget, got.evidence_recall, got.any_hit, got.clipped_share) == (1, 0, False, 1)
    assert got.precision == 0
    assert np.isnan(MeasuredEvidence.of([page]).box_recall(np.ones((2, 16), bool))).all()
    assert full_coverage_budget([page], [np.arange(16)]) == 1


def shapely_scores(
    pages: list[PageEvidence], masks: list[np.ndarray], role: str | None
) -> tuple[float, list[float], float]:
    """Evidence recall, the selected share of each box, and the clipped share, over the boxes of one role or all."""
    covered = inside = whole = 0.0
    shares = []
    for page, mask in zip(pages, masks, strict=True):
        own = page.boxes[[role in (None, r) for r in page.roles]]
        extent = shapely.box(*page.grid.extent)
        selected = shapely.unary_union(shapely.box(*page.grid.token_xyxy()[mask].T))
        union = shapely.unary_union(shapely.box(*own.T))
        evidence = union.intersection(extent)
        covered, inside = covered + evidence.intersection(selected).area, inside + evidence.area
        whole += union.area
        for xyxy in own:
            box = shapely.box(*xyxy).intersection(extent)
            shares.append(box.intersection(selected).area / box.area if box.area else 0.0)
    return covered / inside if inside else 0.0, shares, 1 - inside / whole


def shapely_precision(pages: list[PageEvidence], masks: list[np.ndarray]) -> float:
    """Evidence area in the selected tokens over their area; NaN where none is selected."""
    shared = whole = 0.0
    for page, mask in zip(pages, masks, strict=True):
        selected = shapely.unary_union(shapely.box(*page.grid.token_xyxy()[mask].T))
        shared += shapely.unary_union(shapely.box(*page.boxes.T)).intersection(selected).area
        whole += selected.area
    return shared / whole if whole else np.nan


@quick
@given(questions())
def test_every_score_equals_shapely(question: tuple[list[PageEvidence], list[np.ndarray]]) -> None:
    pages, masks = question
    got = score_selection(pages, masks)
    assert set(got.by_role) == {role for page in pages for role in page.roles}
    for role, found in [(None, got), *got.by_role.items()]:
        recall, shares, clipped = shapely_scores(pages, masks, role)
        assert found.evidence_recall == pytest.approx(recall, abs=1e-6)
        assert found.n_boxes == len(shares)
        if all(abs(share - 0.5) > 1e-6 for share in shares):
            assert found.all_hit == all(share > 0.5 for share in shares)
            assert found.any_hit == any(share > 0.5 for share in shares)
        if role is None:
            assert got.clipped_share == pytest.approx(clipped, abs=1e-9)
    shares = shapely_scores(pages, masks, None)[1]
    (per_box,) = MeasuredEvidence.of(pages).box_recall(np.concatenate(masks)[None])
    np.testing.assert_allclose(np.nan_to_num(per_box), shares, atol=1e-6)
    assert got.precision == pytest.approx(shapely_precision(pages, masks), abs=1e-6, nan_ok=True)
    assert got.budget == np.concatenate(masks).mean()
    assert got.page_recall == np.mean([m.any() for page, m in zip(pages, masks, strict=True) if len(page.boxes)])


@quick
@given(questions(), st.integers(0, 1000))
def test_selections_scored_together_score_as_each_alone(
    question: tuple[list[PageEvidence], list[np.ndarray]], seed: int
) -> None:
    pages, masks = question
    first = np.concatenate(masks)
    rows = np.stack([first, np.random.default_rng(seed).random(len(first)) < 0.5, ~first])
    ends = np.cumsum([page.grid.n_tokens for page in pages])[:-1]
    alone = [score_selection(pages, np.split(row, ends)) for row in rows]
    measured = MeasuredEvidence.of(pages)
    assert measured.score(rows) == alone
    assert measured.score(rows[:0]) == []
    np.testing.assert_array_equal(measured.box_recall(rows), [measured.box_recall(row[None])[0] for row in rows])
    assert measured.evidence_recall(rows).tolist() == [found.evidence_recall for found in alone]


@quick
@given(questions(), st.integers(0, 1000))
def test_selecting_more_never_scores_less(question: tuple[list[PageEvidence], list[np.ndarray]], seed: int) -> None:
    pages, masks = question
    rng = np.random.default_rng(seed)
    more = [mask | (rng.random(mask.size) < 0.3) for mask in masks]
    small, large = score_selection(pages, masks), score_selection(pages, more)
    for name in ("budget", "evidence_recall", "all_hit", "any_hit", "page_recall"):
        assert getattr(large, name) >= getattr(small, name) - 1e-12


@quick
@given(questions())
def test_order_of_pages_and_boxes_does_not_matter(question: tuple[list[PageEvidence], list[np.ndarray]]) -> None:
    pages, masks = question
    turned = [PageEvidence(p.grid, p.boxes[::-1], p.roles[::-1]) for p in pages[::-1]]
    one, two = score_selection(pages, masks), score_selection(turned, masks[::-1])
    assert (one.all_hit, one.any_hit, one.budget, one.page_recall) == (
        two.all_hit,
        two.any_hit,
        two.budget,
        two.page_recall,
    )
    assert one.evidence_recall == pytest.approx(two.evidence_recall, abs=1e-12)
    assert one.by_role.keys() == two.by_role.keys()


@quick
@given(questions(), st.randoms(use_true_random=False))
def test_full_coverage_budget_is_the_first_that_covers(
    question: tuple[list[PageEvidence], list[np.ndarray]], random: object
) -> None:
    pages, _ = question
    windows = [make_windows(page.grid, SPEC) for page in pages]
    order = list(range(sum(map(len, windows))))
    random.shuffle(order)  # type: ignore[attr-defined]
    budget = full_coverage_budget(pages, token_ranks(order, windows))
    if sum(page.grid.evidence_area(page.boxes).sum() for page in pages) == 0:
        assert budget == 1
        return
    n = sum(page.grid.n_tokens for page in pages)
    scores = [
        score_selection(pages, [ranks < taken for ranks in token_ranks(order, windows)])
        for taken in range(1, len(order) + 1)
    ]
    expected = next(score.budget for score in scores if score.evidence_recall >= 0.999 - 1e-9)
    assert budget == expected
    # Coverage up to exactly that budget covers; one token less does not.
    assert score_selection(pages, windows_to_coverage(order, windows, budget)).evidence_recall >= 0.999 - 1e-9
    if budget > 1 / n and expected != scores[0].budget:
        fewer = score_selection(pages, [r < r_max for r, r_max in _below(order, windows, budget, n)])
        assert fewer.evidence_recall < 0.999


def _below(order: list[int], windows: list, budget: float, n: int) -> list[tuple[np.ndarray, int]]:
    """Ranks, and the rank of the window that the budget ends with."""
    ranks = token_ranks(order, windows)
    flat = np.concatenate(ranks)
    end = next(r for r in np.unique(flat) if (flat <= r).sum() / n == budget)
    return [(r, int(end)) for r in ranks]


def test_full_coverage_budget_by_hand() -> None:
    grid = square(4)
    page = PageEvidence(grid, np.array([[0.0, 0, 10, 10], [30, 30, 40, 40]]))
    windows = make_windows(grid, WindowSpec(2, 2, 2))
    assert full_coverage_budget([page], token_ranks([0, 3, 1, 2], [windows])) == 0.5
    assert full_coverage_budget([page], token_ranks([0, 1, 3, 2], [windows])) == 0.75
    assert full_coverage_budget([page], token_ranks([0, 1], [windows])) == 1
    assert full_coverage_budget([page], [np.arange(16)[::-1]]) == 1


def test_random_windows_at_coverage_r_recall_about_r() -> None:
    rng = np.random.default_rng(0)
    grid = patch_grid(850, 1100)
    windows = make_windows(grid)
    recalls = []
    for _ in range(300):
        x, y = rng.uniform(0, [700, 1000])
        page = PageEvidence(grid, np.array([[x, y, x + 120, y + 60]]))
        order = rank_windows([rng.random(len(windows))])
        recalls.append(score_selection([page], windows_to_coverage(order, [windows], 0.6)).evidence_recall)
    assert 0.5 < np.mean(recalls) < 0.75


def test_nonsense_is_refused() -> None:
    grid = square(4)
    page = PageEvidence(grid, np.array([[0.0, 0, 5, 5]]))
    with pytest.raises(GeometryError, match="at least one evidence box"):
        score_selection([PageEvidence(grid, np.zeros((0, 4)))], [np.ones(16, bool)])
    with pytest.raises(GeometryError, match=r"masks must have shapes \[\(16,\)\], one a page, got \[\(15,\)\]"):
        score_selection([page], [np.ones(15, bool)])
    with pytest.raises(GeometryError, match="masks must be bool"):
        score_selection([page], [np.arange(16)])
    with pytest.raises(GeometryError, match=r"masks must be bool of shape \(n, 16\), got bool of shape \(16,\)"):
        MeasuredEvidence.of([page]).score(np.ones(16, bool))
    with pytest.raises(GeometryError, match=r"masks must be bool of shape \(n, 16\), got float64 of shape \(1, 16\)"):
        MeasuredEvidence.of([page]).score(np.ones((1, 16)))
    with pytest.raises(GeometryError, match="at least one evidence box"):
        MeasuredEvidence.of([]).score(np.ones((1, 0), bool))
    with pytest.raises(GeometryError, match="ranks must be int"):
        full_coverage_budget([page], [np.zeros(16)])
    with pytest.raises(GeometryError, match="roles must have one entry a box, got 2 for 1 boxes"):
        PageEvidence(grid, np.array([[0.0, 0, 5, 5]]), ("answer", "support"))
