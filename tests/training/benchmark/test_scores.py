"""Scores of what a selector keeps: hand-made cases, and shapely for boxes that fit no token."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from pinpoint_data.scores import MeasuredEvidence
from tests.domain.strategies import boxes, grids, quick
from tests.training.views import page_view, question_view, square_grid
from training.benchmark.scores import score_kept
from training.evaluation.question_scores import measured_evidence
from training.selectors import DecoderLayers, Kept

# Covers tokens 1 and 2 of a page of 2 x 4 tokens of 10 pixels.
BOX = (10.0, 0.0, 30.0, 10.0)


def _evidence(*evidence) -> MeasuredEvidence:
    return measured_evidence(question_view([page_view(square_grid(2, 4))], evidence=evidence or [(0, BOX)]))


def _mask(*tokens: int, n: int = 8) -> np.ndarray:
    mask = np.zeros(n, bool)
    mask[list(tokens)] = True
    return mask


class TestByHand:
    def test_scores_of_a_set(self):
        scores = score_kept(_evidence(), (0.25, 0.5), [Kept(_mask(1)), Kept(_mask(1, 2, 4, 5))])
        assert scores == {
            "budget@0.25": 1 / 8,
            "evidence_recall@0.25": 0.5,
            "all_hit@0.25": 1.0,
            "any_hit@0.25": 1.0,
            "page_recall@0.25": 1.0,
            "evidence_recall_answer@0.25": 0.5,
            "all_hit_answer@0.25": 1.0,
            "precision@0.25": 1.0,
            "layer_budget@0.25": 1 / 8,
            "layer_recall@0.25": 0.5,
            "budget@0.50": 0.5,
            "evidence_recall@0.50": 1.0,
            "all_hit@0.50": 1.0,
            "any_hit@0.50": 1.0,
            "page_recall@0.50": 1.0,
            "evidence_recall_answer@0.50": 1.0,
            "all_hit_answer@0.50": 1.0,
            "precision@0.50": 0.5,
            "layer_budget@0.50": 0.5,
            "layer_recall@0.50": 1.0,
        }

    def test_roles_and_overlapping_boxes(self):
        # The answer's box lies in the other one: together they are no more than that.
        evidence = _evidence((0, BOX), (0, (10.0, 0.0, 20.0, 10.0), "support"))
        scores = score_kept(evidence, (0.2,), [Kept(_mask(2, 3))])
        assert (scores["evidence_recall@0.20"], scores["precision@0.20"]) == (0.5, 0.5)
        assert (scores["evidence_recall_answer@0.20"], scores["evidence_recall_support@0.20"]) == (0.5, 0.0)
        assert (scores["all_hit@0.20"], scores["any_hit@0.20"]) == (0.0, 1.0)
        assert (scores["all_hit_answer@0.20"], scores["all_hit_support@0.20"]) == (1.0, 0.0)

    def test_averages_over_the_decoders_layers(self):
        # 2 layers see everything, 3 see half with one of the two tokens, 5 see one token without evidence.
        masks = (np.ones(8, bool), _mask(0, 1, 4, 5), _mask(0))
        kept = Kept(masks[-1], layers=DecoderLayers((0, 2, 5), masks, 10))
        scores = score_kept(_evidence(), (0.2,), [kept])
        assert scores["layer_budget@0.20"] == pytest.approx(0.2 * 1 + 0.3 * 0.5 + 0.5 / 8)
        assert scores["layer_recall@0.20"] == pytest.approx(0.2 * 1 + 0.3 * 0.5)
        assert (scores["budget@0.20"], scores["evidence_recall@0.20"]) == (1 / 8, 0.0)

    def test_tokens_that_live_on_in_others(self):
        scores = score_kept(_evidence(), (0.2,), [Kept(_mask(1, 7), merged=_mask(2, 3))])
        assert (scores["evidence_recall@0.20"], scores["evidence_recall_merged@0.20"]) == (0.5, 1.0)
        assert not any("merged" in name for name in score_kept(_evidence(), (0.2,), [Kept(_mask(1))]))

    def test_nothing_left_has_no_precision(self):
        masks = (np.ones(8, bool), _mask())
        kept = [Kept(_mask(), layers=DecoderLayers((0, 1), masks, 2)), Kept(_mask(1))]
        scores = score_kept(_evidence(), (0.1, 0.2), kept)
        assert "precision@0.10" not in scores
        assert (scores["evidence_recall@0.10"], scores["layer_recall@0.10"], scores["precision@0.20"]) == (0, 0.5, 1)

    def test_agreement_is_of_sets(self):
        kept, exact = [Kept(_mask(1, 2, 3)), Kept(_mask())], [Kept(_mask(2, 3, 4, 5)), Kept(_mask())]
        scores = score_kept(_evidence(), (0.1, 0.2), kept, exact)
        assert (scores["agreement@0.10"], scores["agreement@0.20"]) == (2 / 5, 1.0)

    @pytest.mark.parametrize(
        ("ranking", "budget"),
        [
            ([0, 9, 8, 1, 1, 1, 1, 1], 2 / 8),
            ([0, 9, 3, 8, 7, 1, 1, 1], 4 / 8),
            ([5, 9, 2, 2, 2, 1, 1, 1], 5 / 8),  # equal ones are taken together
            ([9, 1, 0, 9, 9, 9, 9, 9], 1.0),
        ],
    )
    def test_full_coverage_of_a_ranking(self, ranking, budget):
        scores = np.array(ranking, dtype=np.float64) / 7
        kept = [Kept(_mask(1), scores), Kept(_mask(1, 2), scores)]
        assert score_kept(_evidence(), (0.1, 0.2), kept)["full_coverage_budget"] == budget
        assert "full_coverage_budget" not in score_kept(_evidence(), (0.1,), [Kept(_mask(1))])

    def test_budget_names(self):
        assert {name.partition("@")[2] for name in score_kept(_evidence(), (1 / 3,), [Kept(_mask(1))])} == {str(1 / 3)}


@st.composite
def _questions(draw):
    pages = [page_view(draw(grids(most=6)), page_id=f"p/{i}") for i in range(draw(st.integers(1, 3)))]
    evidence = []
    for index in range(len(pages)):
        for box in draw(boxes(low=int(index == 0), high=3)).tolist():
            evidence.append((index, tuple(box), draw(st.sampled_from(["answer", "support"]))))
    n, rng = sum(page.grid.n_tokens for page in pages), np.random.default_rng(draw(st.integers(0, 99)))
    return pages, evidence, rng.random((3, n)) < draw(st.floats(0.05, 1))


@quick
@given(_questions())
def test_every_area_equals_shapely(question):
    pages, evidence, masks = question
    cells = [[shapely.box(*cell) for cell in page.grid.token_xyxy()] for page in pages]
    ends = np.cumsum([page.grid.n_tokens for page in pages])[:-1]
    found = score_kept(
        measured_evidence(question_view(pages, evidence=evidence)), (0.1, 0.2, 0.3), [Kept(mask) for mask in masks]
    )
    for share, mask in zip(("0.10", "0.20", "0.30"), masks, strict=True):
        covered = inside = selected = 0.0
        for page, own in enumerate(np.split(mask, ends)):
            union = shapely.unary_union([shapely.box(*box) for index, box, _ in evidence if index == page])
            kept = shapely.unary_union([cell for cell, keep in zip(cells[page], own, strict=True) if keep])
            covered += kept.intersection(union).area
            inside += shapely.unary_union(cells[page]).intersection(union).area
            selected += kept.area
        if inside > 1e-6:
            assert found[f"evidence_recall@{share}"] == pytest.approx(covered / inside, abs=1e-6)
        if selected:
            assert found[f"precision@{share}"] == pytest.approx(covered / selected, abs=1e-6)
        assert found[f"budget@{share}"] == mask.mean()
