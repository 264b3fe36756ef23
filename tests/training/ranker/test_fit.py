"""The loss by hand, what is drawn, and that training learns what generated documents teach."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from functools import partial
from random import Random

import numpy as np
import pytest
import torch

from loaders.samples import EvidenceBox, PageRef, Sample
from pinpoint_data.errors import Outcome, PageError, TrainingError, UsageError
from pinpoint_data.generate.layouts import LAYOUTS
from pinpoint_data.grids import patch_grid
from pinpoint_data.windows import WindowSpec, make_windows
from tests.training.views import words_of
from training.pages.input import PageInput
from training.ranker.examples import EVIDENCE_TOKENS, OTHER_TOKENS, Example, collect_examples
from training.ranker.features import FEATURES
from training.ranker.fit import FitSettings, _epoch, _loss, _Ready, _standard, fit_ranker
from training.window_scorers import RandomScorer, RankerScorer, TextDensityScorer
from training.window_scorers.base import PageView, QuestionView

TINY = FitSettings(members=1, hidden=16, epochs=4, per_source=60, learning_rate=3e-3)


class Drawn:
    """Generated documents in memory, in place of a workspace."""

    def __init__(self, count: int, prefix: str = "drawn") -> None:
        self.samples, self.inputs = [], {}
        for number in range(count):
            document = LAYOUTS["infovqa" if number % 2 else "spdocvqa"].draw(Random(f"{prefix}/{number}"))
            name = f"{prefix}/{number}"
            page = document.pages[0]
            size = page.image.size
            words = words_of([(word.text, tuple(map(float, word.box))) for word in page.words])
            self.inputs[name] = PageInput(name, *size, words, partial(page.image.convert, "RGB"))
            for place, question in enumerate(document.questions):
                boxes = tuple(EvidenceBox(0, tuple(map(float, e.box)), e.role) for e in question.evidence)
                ref = PageRef(name, 0, *size, None)
                self.samples.append(
                    Sample(f"{name}-{place}", prefix, "train", name, question.text, (), "evidence", (ref,), boxes)
                )

    def input(self, page_id: str) -> PageInput:
        return self.inputs[page_id]


def collected(drawn: Drawn, samples=None) -> tuple[list[Example], Counter[str], Outcome]:
    left_out, outcome = Counter(), Outcome()
    examples = list(collect_examples(drawn.samples if samples is None else samples, drawn, left_out, outcome))
    return examples, left_out, outcome


@pytest.fixture(scope="module")
def learnt():
    return Drawn(12)


@pytest.fixture(scope="module")
def examples(learnt):
    return collected(learnt)[0]


def hand_made(evidence=3, others=5, source="forms", seed=0, weight=None):
    """An example with random features; the evidence is of uneven area."""
    rng = np.random.default_rng(seed)
    share = np.concatenate([np.arange(1, evidence + 1), np.zeros(others)])
    return Example(
        f"{source}/{seed}",
        source,
        f"{source}/{seed}",
        rng.normal(size=(evidence + others, len(FEATURES))).astype(np.float16),
        (share / share.sum()).astype(np.float32),
        np.ones(evidence + others, np.float32) if weight is None else np.asarray(weight, np.float32),
    )


def ready(example):
    return _Ready.of(example, np.zeros(len(FEATURES), np.float32), np.ones(len(FEATURES), np.float32))


SHOWN = FitSettings(tokens=100)


class Scores(torch.nn.Module):
    """Scores that are the first feature: a network to compute losses of by hand."""

    def forward(self, features):
        return features[:, 0]


class TestLoss:
    def test_by_hand_with_weights(self):
        example = hand_made(2, 2, weight=[1, 2, 1, 10])
        z = [float(value) for value in example.features[:, 0]]
        log_total = math.log(sum(n * math.exp(score) for n, score in zip((1, 2, 1, 10), z, strict=True)))
        by_hand = log_total - (1 * z[0] + 2 * z[1]) / 3
        loss = _loss(Scores(), [ready(example)], SHOWN, np.random.default_rng(0))
        assert loss.item() == pytest.approx(by_hand, abs=1e-3)

    def test_pointwise_by_hand_with_weights(self):
        example = hand_made(2, 2, weight=[1, 2, 1, 10])
        z = [float(value) for value in example.features[:, 0]]
        signs = (1, 1, -1, -1)
        each = [math.log(1 + math.exp(-sign * score)) for sign, score in zip(signs, z, strict=True)]
        by_hand = (each[0] + 2 * each[1] + each[2] + 10 * each[3]) / 14
        loss = _loss(Scores(), [ready(example)], replace(SHOWN, loss="pointwise"), np.random.default_rng(0))
        assert loss.item() == pytest.approx(by_hand, abs=1e-3)

    def test_is_the_mean_over_questions_each_with_its_own_total(self):
        pair = [ready(hand_made(seed=1)), ready(hand_made(1, 9, seed=2))]
        apart = [_loss(Scores(), [one], SHOWN, np.random.default_rng(0)).item() for one in pair]
        assert _loss(Scores(), pair, SHOWN, np.random.default_rng(0)).item() == pytest.approx(np.mean(apart), abs=1e-5)

    def test_is_least_where_scores_are_the_logarithms_of_the_shares(self):
        example = hand_made(4, 0)

        def loss(scores):
            features = example.features.copy()
            features[:, 0] = scores
            return _loss(Scores(), [ready(replace(example, features=features))], SHOWN, np.random.default_rng(0)).item()

        best = np.log(example.share)
        assert loss(best) == pytest.approx(-(example.share * best).sum(), abs=1e-3)
        assert all(loss(best + np.random.default_rng(i).normal(0, 0.3, 4)) > loss(best) for i in range(5))


class TestDraw:
    def test_the_total_is_estimated_without_bias(self):
        weight = np.random.default_rng(3).integers(1, 5, 60)
        example = ready(hand_made(20, 40, weight=weight))
        scores = np.random.default_rng(4).normal(size=60)
        full = (weight * np.exp(scores)).sum()
        generator = np.random.default_rng(0)
        drawn = []
        for _ in range(4000):
            rows, log_weight = example.draw(24, generator)
            assert len(rows) == 24 == len(set(rows.tolist())) and (rows < 20).sum() == 12
            drawn.append(np.exp(scores[rows] + log_weight).sum())
        assert abs(np.mean(drawn) / full - 1) < 4 * np.std(drawn) / full / math.sqrt(len(drawn))
        assert np.std(drawn) > 0.01 * full

    def test_a_small_question_is_shown_whole(self):
        rows, log_weight = ready(hand_made(3, 5, weight=[1, 1, 1, 2, 2, 2, 2, 2])).draw(50, np.random.default_rng(0))
        assert sorted(rows) == list(range(8))
        assert log_weight == pytest.approx(np.log([1, 1, 1, 2, 2, 2, 2, 2]))

    @pytest.mark.parametrize(("evidence", "others"), [(9, 0), (1, 200), (200, 1)])
    def test_one_sided_questions(self, evidence, others):
        rows, log_weight = ready(hand_made(evidence, others)).draw(10, np.random.default_rng(0))
        assert np.isfinite(log_weight).all() and 0 < len(rows) <= 10
        assert (rows < evidence).sum() == min(evidence, 5)


class TestExamples:
    def test_stand_for_all_tokens_of_the_question(self, learnt, examples):
        assert len(examples) == len(learnt.samples)
        for sample, example in zip(learnt.samples, examples, strict=True):
            page = learnt.inputs[sample.pages[0].page_id]
            grid = patch_grid(page.width, page.height)
            held = grid.evidence_area(np.array([box.xyxy for box in sample.evidence]))
            assert (example.question_id, example.source) == (sample.question_id, "drawn")
            assert example.weight.sum() == pytest.approx(grid.n_tokens, rel=1e-4)
            evidence = example.share > 0
            assert example.weight[evidence].sum() == pytest.approx((held > 0).sum(), rel=1e-4)
            assert evidence.sum() == min((held > 0).sum(), EVIDENCE_TOKENS)
            assert (~evidence).sum() == min((held == 0).sum(), OTHER_TOKENS)
            assert example.share.sum() == pytest.approx(1) and np.isfinite(example.features).all()

    def test_do_not_depend_on_the_order(self, learnt, examples):
        again = collected(learnt, learnt.samples[5:2:-1])[0][::-1]
        for one, other in zip(examples[3:6], again, strict=True):
            assert np.array_equal(one.features, other.features) and np.array_equal(one.share, other.share)

    def test_questions_without_boxes_are_left_out_and_counted(self, learnt):
        first = learnt.samples[0]
        odd = [
            replace(first, evidence=()),
            replace(first, status="wrong_answer", evidence=()),
            replace(first, evidence=(EvidenceBox(0, (-90.0, -90.0, -50.0, -50.0), "answer"),)),
            first,
        ]
        found, left_out, outcome = collected(learnt, odd)
        assert [example.question_id for example in found] == [first.question_id]
        assert left_out == {
            "status evidence, but no box": 1,
            "status wrong_answer": 1,
            "evidence outside the grid": 1,
        }
        assert not outcome.refused

    def test_a_page_that_cannot_be_read_is_refused_and_the_rest_goes_on(self, learnt):
        def broken():
            raise PageError("broken-image", "cannot be decoded", file="page.png")

        mixed = Drawn(0)
        sick, well = learnt.samples[0], next(s for s in learnt.samples if s.doc_id != learnt.samples[0].doc_id)
        mixed.inputs = dict(learnt.inputs)
        mixed.inputs[sick.doc_id] = replace(learnt.inputs[sick.doc_id], load_image=broken)
        found, left_out, outcome = collected(mixed, [sick, well])
        assert [example.question_id for example in found] == [well.question_id] and not left_out
        assert outcome.refused.total() == 1 and outcome.problems[0].record == f"question {sick.question_id}"
        assert "cannot be decoded" in outcome.problems[0].message


class TestEpoch:
    def test_every_source_gives_as_many(self):
        sources = ["a"] * 3 + ["b"] * 50
        pool = [ready(hand_made(source=source, seed=i)) for i, source in enumerate(sources)]
        epoch = _epoch(pool, 20, np.random.default_rng(0))
        counts = Counter(epoch.tolist())
        assert sum(counts[i] for i in range(3)) == 20 == sum(counts[i] for i in range(3, 53))
        # The three questions of the small source take turns, those of the large one come once at most.
        assert {counts[i] for i in range(3)} == {6, 7} and max(counts[i] for i in range(3, 53)) == 1
        assert [sources[i] for i in epoch] != sorted(sources[i] for i in epoch)

    def test_features_are_standardised(self):
        pool = [hand_made(10, 30, seed=i) for i in range(20)]
        mean, scale = _standard(pool, 0)
        rows = np.concatenate([example.features.astype(np.float64) for example in pool])
        assert mean == pytest.approx(rows.mean(axis=0), abs=1e-4)
        assert scale == pytest.approx(rows.std(axis=0) + 0.01, abs=1e-4)


def recall_at(scorer, drawn, share):
    """Mean evidence recall of the best tokens over the questions."""
    found = []
    for sample in drawn.samples:
        page = drawn.input(sample.pages[0].page_id)
        grid = patch_grid(page.width, page.height)
        view = PageView(grid, make_windows(grid, WindowSpec(1, 1, 1)), page.words, page)
        scores = scorer.score(QuestionView(sample.question_id, sample.question, (view,)))[0]
        held = grid.evidence_area(np.array([box.xyxy for box in sample.evidence]))
        best = np.argsort(-scores, kind="stable")[: round(share * grid.n_tokens)]
        found.append(held[best].sum() / held.sum())
    return float(np.mean(found))


class TestTraining:
    @pytest.fixture(scope="module")
    def trained(self, examples):
        lines = []
        ranker = fit_ranker(examples, TINY, name="tiny", facts={"licence": None}, report=lines.append)
        return ranker, lines

    def test_the_loss_falls(self, trained):
        _, lines = trained
        losses = [float(line.rsplit(" ", 1)[1]) for line in lines]
        assert len(losses) == TINY.epochs and losses[-1] < losses[0] - 0.5
        assert "member of seed 0, epoch 1 of 4" in lines[0]

    def test_it_finds_evidence_on_documents_never_seen(self, trained):
        unseen = Drawn(6, "unseen")
        of_ranker = recall_at(RankerScorer(trained[0]), unseen, 0.1)
        assert of_ranker > recall_at(TextDensityScorer(), unseen, 0.1) + 0.2
        assert of_ranker > recall_at(RandomScorer(), unseen, 0.1) + 0.3

    def test_settings_and_facts_are_kept(self, trained):
        ranker, _ = trained
        assert ranker.name == "tiny" and ranker.members == 1
        assert ranker.facts["settings"]["epochs"] == 4 and ranker.facts["licence"] is None

    def test_the_same_seed_gives_the_same_file(self, examples, tmp_path):
        settings = replace(TINY, epochs=1, per_source=10, members=2)
        for name, changed in (("a", settings), ("b", settings), ("c", replace(settings, seed=1))):
            fit_ranker(examples[:20], changed).save(tmp_path / name)
        a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
        assert a == b != c

    def test_members_differ(self, examples):
        first, second = fit_ranker(examples[:9], replace(TINY, epochs=1, members=2)).tensors["first.weight"]
        assert not np.allclose(first, second)

    @pytest.mark.parametrize("steps", [1, 8, 9, 10, 11])
    def test_any_number_of_steps(self, steps):
        settings = FitSettings(members=1, hidden=4, epochs=1, per_source=steps, batch=1)
        ranker = fit_ranker([hand_made(seed=i) for i in range(3)], settings)
        assert np.isfinite(ranker.tensors["first.weight"]).all()

    @pytest.mark.parametrize(
        "changes",
        [
            {"members": 0},
            {"epochs": 0},
            {"batch": 0},
            {"tokens": 1},
            {"hidden": 0},
            {"per_source": 0},
            {"dropout": 1.0},
            {"dropout": math.nan},
            {"learning_rate": 0.0},
            {"learning_rate": math.inf},
            {"weight_decay": -1.0},
            {"seed": -1},
            {"seed": 2**64},
            {"hidden": 10**9},
            {"loss": "pairwise"},
        ],
        ids=str,
    )
    def test_settings_out_of_range_are_refused(self, changes):
        with pytest.raises(UsageError, match=next(iter(changes))):
            FitSettings(**changes)

    def test_nothing_to_learn_from(self):
        with pytest.raises(TrainingError, match="no question to learn from"):
            fit_ranker([])

    def test_examples_of_other_features(self):
        example = hand_made()
        with pytest.raises(TrainingError, match=f"must have {len(FEATURES)} features, got 3"):
            fit_ranker([replace(example, features=example.features[:, :3])])

    def test_a_last_step_that_is_not_finite(self):
        settings = FitSettings(members=1, hidden=4, epochs=1, per_source=3, weight_decay=1e300)
        with pytest.raises(TrainingError, match="the weights are not finite"):
            fit_ranker([hand_made(seed=i) for i in range(3)], settings)

    def test_a_loss_that_is_not_finite(self):
        settings = FitSettings(members=1, hidden=4, epochs=3, per_source=30, learning_rate=1e30)
        with pytest.raises(TrainingError, match="lower learning_rate"):
            fit_ranker([hand_made(seed=i) for i in range(3)], settings)
