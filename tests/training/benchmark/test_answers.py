"""Answers from what selectors keep: beside prompts cut by hand, resumed, refused, and joined with recall."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from loaders.publishing import publish
from loaders.samples import Sample, load_samples
from pinpoint_data.errors import TrainingError
from pinpoint_data.windows import WindowSpec
from pinpoint_data.workspace import Workspace
from tests.loaders.build import page, question, regions, write
from tests.training.benchmark.measured import BUDGETS, measured
from tests.training.vlm.pictures import noise
from training.answer_evaluation import AnswerEvaluation, AnswerLog
from training.answering import Answer
from training.backbones.vlm import VlmBackbone
from training.benchmark.answers import answer_and_correlate, answer_correlation, benchmark_answers
from training.benchmark.correlation import correlate
from training.evaluation.pages import PageViews
from training.pages.store import PageStore
from training.selectors import EncodedSample, Kept, ModelSource, Selector
from training.vlm import GLOBAL, GRID, PromptSequence

FAMILIES = ("qwen2-vl", "llava-next")
NEW = 3


class Spy(Selector):
    """Keeps the first tokens of a random order of the pages; counts, and fails where it is told to."""

    def __init__(self, name: str = "spy", fails: dict[str, Exception] | None = None, **changes: Any) -> None:
        self.name, self.fails = name, fails or {}
        self.asked: list[tuple[str, tuple[int, ...]]] = []
        vars(self).update(changes)

    def select(self, sample: EncodedSample, budgets: Sequence[int]) -> list[Kept]:
        self.asked.append((sample.question_id, tuple(budgets)))
        if error := self.fails.get(sample.question_id):
            raise error
        return self.kept(sample, budgets)

    def kept(self, sample: EncodedSample, budgets: Sequence[int]) -> list[Kept]:
        return sample.keep_top(sample.generator("spy").random(sample.n_tokens), budgets)


class SecondPage(Spy):
    """Keeps nothing of any page but the second of two; of a single page the first token."""

    def kept(self, sample: EncodedSample, budgets: Sequence[int]) -> list[Kept]:
        start = sample.slices[-1].start
        return [Kept(np.isin(np.arange(sample.n_tokens), start + np.arange(min(budget, 3)))) for budget in budgets]


class Nothing(Spy):
    """Keeps nothing of one question."""

    def kept(self, sample: EncodedSample, budgets: Sequence[int]) -> list[Kept]:
        if sample.question_id == "forms/a-1":
            return [Kept(np.zeros(sample.n_tokens, np.bool_)) for _ in budgets]
        return super().kept(sample, budgets)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two questions on a form, the same text but for the last one, and one on a book of two pages."""
    folder = tmp_path_factory.mktemp("answers")
    ws = Workspace.create(folder / "ws")
    ws.register_source("forms", "records", folder)
    pages, asked, gold = [], [], []
    for seed, name in enumerate(("a", "p0", "p1")):
        noise(140, 112, seed).save(folder / f"{name}.png")
        doc = "forms/a" if name == "a" else "forms/book"
        data = (folder / f"{name}.png").read_bytes()
        pages.append(page(f"forms/{name}", f"{name}.png", data, doc_id=doc, width=140, height=112))
    for number, text in enumerate(("What?", "What?", "Who?")):
        asked.append(question(f"forms/a-{number}", "train", ["forms/a"], doc_id="forms/a", question=text))
        gold += regions(f"forms/a-{number}", [(5.0 + 30 * number, 15.0, 45.0 + 30 * number, 40.0)])
    asked.append(question("forms/book", "train", ["forms/p0", "forms/p1"], doc_id="forms/book", answers=["yes"]))
    gold += regions("forms/book", [(10.0, 10.0, 50.0, 33.0)], page_index=1)
    write(ws, "pages", "forms-train", pages)
    write(ws, "questions", "forms-train", asked)
    write(ws, "annotations", "forms-train.gold", gold)
    publish(ws, folder / "dataset")
    return folder


class Bench:
    """Answering on a tiny model, with a log."""

    def __init__(self, made: Path, log: Path, model: Any) -> None:
        self.made, self.log, self.model = made, log, model
        self.samples = list(load_samples(made / "dataset"))

    def __call__(
        self,
        selectors: Sequence[Selector],
        budgets: Sequence[float] = (0.25, 0.6),
        *,
        samples: Sequence[Sample] | None = None,
        identities: dict[str, Any] | None = None,
        stride: int = 2,
    ) -> AnswerEvaluation:
        views = self.views(stride)
        known = {selector.name: {"seed": 0} for selector in selectors} | (identities or {})
        with AnswerLog(self.log) as log:
            return benchmark_answers(
                self.samples if samples is None else samples, views, self.source(), selectors, known, budgets, log,
                device="here", max_new_tokens=NEW,
            )  # fmt: skip

    def source(self) -> ModelSource:
        name = "llava-next" if self.model.family == "llava-next" else "qwen2-vl"
        return ModelSource(VlmBackbone(name, self.model))

    def views(self, stride: int = 2) -> PageViews:
        store = PageStore(Workspace.open(self.made / "ws"))
        return PageViews(store, self.source().backbone.grid, WindowSpec(2, 2, stride))


@pytest.fixture(params=FAMILIES)
def both(request: pytest.FixtureRequest, made: Path, tmp_path: Path, tiny_model: Any) -> Bench:
    return Bench(made, tmp_path / "answers.jsonl", tiny_model(request.param))


@pytest.fixture
def bench(made: Path, tmp_path: Path, tiny_model: Any) -> Bench:
    return Bench(made, tmp_path / "answers.jsonl", tiny_model("qwen2-vl"))


class TestPrompts:
    def test_all_tokens_give_the_answer_of_the_unchanged_model(self, both: Bench) -> None:
        found = both([Spy()], (1.0,))
        assert list(found.answers) == ["vanilla", "spy@1.00"] and len(found.samples) == 4
        for whole, kept in zip(*found.answers.values(), strict=True):
            assert (kept.text, kept.visual_tokens) == (whole.text, whole.visual_tokens)
            assert (kept.vanilla_tokens, kept.budget_used) == (whole.vanilla_tokens, 1.0)
            assert kept.flops == pytest.approx(whole.flops) and kept.vanilla_flops == whole.vanilla_flops

    @pytest.mark.parametrize("share", [0.25, 0.6])
    def test_kept_tokens_are_read_where_they_stood(self, both: Bench, share: float) -> None:
        """The whole prompt without what was dropped, at the positions that were left."""
        found = both([Spy()], (0.25, 0.6))
        source, views = both.source(), both.views()
        for sample, answer in zip(found.samples, found.answers[f"spy@{share:.2f}"], strict=True):
            encoded = source.sample(views.of(sample))
            mask = Spy().kept(encoded, [int(share * encoded.n_tokens)])[0].mask
            seen = source.shown(encoded.pages)
            layouts = [page.layout for page in seen]
            whole = both.model.assemble(both.model.prompt(sample.question, len(layouts)), layouts)
            stays = np.concatenate(
                [_stays(layout, mask[own]) for layout, own in zip(layouts, encoded.slices, strict=True)]
            )
            at = np.ones(len(whole), np.bool_)
            at[(whole.image >= 0).numpy()] = stays
            left = torch.from_numpy(np.flatnonzero(at))
            sequence = PromptSequence(whole.ids[left], whole.positions[:, left], whole.image[left])
            visual = (
                type(seen[0].visual).cat([page.visual for page in seen]).take(torch.from_numpy(np.flatnonzero(stays)))
            )
            assert answer.text == both.model.generate(sequence, visual, NEW).text
            assert (answer.visual_tokens, answer.budget_used) == (int(stays.sum()), mask.mean())
            assert sum(answer.flops.values()) < answer.vanilla_flops

    def test_a_page_of_which_nothing_is_kept_is_not_shown(self, both: Bench) -> None:
        found = both([SecondPage()], (0.6,))
        (book,) = (a for s, a in zip(found.samples, found.answers["spy@0.60"], strict=True) if len(s.pages) == 2)
        alone = both([SecondPage()], (0.6,), samples=[_on_second_page(both)]).answers["spy@0.60"][0]
        assert {region.page_index for region in book.regions} == {1}
        # One page's prompt, but at the positions behind the page that was left out.
        assert book.visual_tokens == alone.visual_tokens < book.vanilla_tokens / 2

    def test_what_a_selector_keeps_is_asked_for_once_and_only_at_the_budgets_of_answers(self, bench: Bench) -> None:
        spy = Spy()
        found = bench([spy])
        counts = [source.n_tokens for source in map(bench.source().sample, map(bench.views().of, found.samples))]
        expected = [(s.question_id, (int(0.25 * n), int(0.6 * n))) for s, n in zip(found.samples, counts, strict=True)]
        assert spy.asked == expected

    def test_one_that_keeps_nothing_in_the_end_is_not_answered_for(self, bench: Bench) -> None:
        assert list(bench([Spy("all", keeps_tokens=False), Spy()], (0.25,)).answers) == ["vanilla", "spy@0.25"]


def _stays(layout: Any, mask: np.ndarray) -> np.ndarray:
    """Token by token: grid tokens that are kept, the view of a page that shows any, the ends of rows that do."""
    stays = []
    row_kept, grid = False, iter(mask.tolist())
    for role in layout.role:
        if role == GRID:
            kept = next(grid)
            row_kept = row_kept or kept
            stays.append(kept)
        elif role == GLOBAL:
            stays.append(bool(mask.any()))
        else:
            stays.append(row_kept)
            row_kept = False
    return np.array(stays)


def _on_second_page(bench: Bench) -> Sample:
    (book,) = (sample for sample in bench.samples if len(sample.pages) == 2)
    evidence = tuple(replace(box, page_index=0) for box in book.evidence)
    return replace(book, question_id="forms/alone", pages=(replace(book.pages[1], page_index=0),), evidence=evidence)


class TestResume:
    def test_nothing_is_answered_twice_and_nothing_changes(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        first, before = bench([Spy()]), bench.log.read_bytes()
        monkeypatch.setattr(type(bench.model), "generate", None)
        again = Spy()
        second = bench([again])
        assert (again.asked, second.reused, bench.log.read_bytes()) == ([], 12, before)
        for name, answers in first.answers.items():
            assert [a.text for a in second.answers[name]] == [a.text for a in answers]

    def test_a_torn_line_is_answered_again(self, bench: Bench) -> None:
        first = bench([Spy()])
        whole = bench.log.read_bytes()
        bench.log.write_bytes(whole[:-40])
        again = Spy()
        second = bench([again])
        assert ([asked for asked, _ in again.asked], second.reused) == ([first.samples[-1].question_id], 11)
        assert [a.text for a in second.answers["spy@0.60"]] == [a.text for a in first.answers["spy@0.60"]]

    @pytest.mark.parametrize(
        ("change", "asked"),
        [
            ({"identities": {"spy": {"seed": 1}}}, 4),
            ({"stride": 1}, 4),
            ({"budgets": (0.25, 0.5)}, 4),
            ({"budgets": (0.6,)}, 0),
        ],
    )
    def test_what_depends_on_a_change_is_answered_again(self, bench: Bench, change: dict[str, Any], asked: int) -> None:
        bench([Spy()])
        again = Spy()
        bench([again], **change)
        assert len(again.asked) == asked
        back = Spy()
        assert bench([back]).reused == 12 and back.asked == []

    def test_equal_questions_on_a_page_have_answers_of_their_own(self, bench: Bench) -> None:
        bench([Spy()], (0.25,))
        asked = [json.loads(line) for line in bench.log.read_text().splitlines()]
        keys = {line["key"] for line in asked if line["question_id"] in ("forms/a-0", "forms/a-1")}
        # What is random hangs on the id; the unchanged model's answer does not.
        assert len(keys) == 3

    def test_an_oracle_hangs_on_the_gold_of_its_own_question(self, bench: Bench) -> None:
        selectors = [Spy("oracle", needs=frozenset({"evidence"})), Spy()]
        bench(selectors)
        moved = [_moved(sample) if sample.question_id == "forms/a-2" else sample for sample in bench.samples]
        oracle, blind = Spy("oracle", needs=frozenset({"evidence"})), Spy()
        bench([oracle, blind], samples=moved)
        assert ([name for name, _ in oracle.asked], blind.asked) == (["forms/a-2"], [])
        fewer = Spy("oracle", needs=frozenset({"evidence"}))
        bench([fewer], samples=bench.samples[:2])
        assert fewer.asked == []


def _moved(sample: Sample) -> Sample:
    return replace(sample, evidence=tuple(replace(box, xyxy=(1.0, 1.0, 9.0, 9.0)) for box in sample.evidence))


class TestRefusals:
    @pytest.mark.parametrize(
        ("selector", "message"),
        [
            (Spy("other", {"forms/a-1": TrainingError("has no head")}), "has no head"),
            (Spy("other", {"forms/a-1": torch.OutOfMemoryError("full")}), "the GPU's memory is full"),
            (Nothing("other"), "selector 'other' keeps no token to answer from at 0.25"),
        ],
    )
    def test_a_question_that_one_cannot_answer_is_refused_for_all(
        self, bench: Bench, selector: Spy, message: str
    ) -> None:
        found = bench([Spy(), selector], (0.25,))
        assert [sample.question_id for sample in found.samples] == ["forms/a-0", "forms/a-2", "forms/book"]
        assert all(len(answers) == 3 for answers in found.answers.values())
        (problem,) = found.outcome.problems
        assert (problem.code, problem.record) == ("no-answer", "question forms/a-1") and message in problem.message
        # What was answered before that is not lost.
        again = Spy()
        assert len(bench([again], (0.25,)).samples) == 4 and again.asked == []

    def test_a_bug_names_its_selector(self, bench: Bench) -> None:
        with pytest.raises(IndexError) as caught:
            bench([Spy("theirs", {"forms/a-0": IndexError("7")})])
        assert caught.value.__notes__ == ["selector 'theirs', question forms/a-0"]

    def test_weights_that_are_missing_end_it(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        def missing(model: Any) -> None:
            raise TrainingError("has no weights", file="model")

        monkeypatch.setattr("training.benchmark.answers.load_weights", missing)
        with pytest.raises(TrainingError, match="model: has no weights"):
            bench([Spy()])


class TestCorrelation:
    def test_answers_are_joined_with_the_recall_of_their_own_question(self) -> None:
        """Half of the questions were answered, in another order than they were scored in."""
        data = measured(12)
        rng = np.random.default_rng(0)
        answered = [data.samples[index] for index in rng.permutation(12)[:6]]
        right = {name: rng.random(6) < 0.6 for name in ("vanilla", *(f"fastv@{b:.2f}" for b in BUDGETS))}
        answers = {name: [_answer("a" if yes else "zzz") for yes in own] for name, own in right.items()}
        found = AnswerEvaluation(tuple(answers), answered, answers)
        made = answer_correlation(data, found, ["fastv"], BUDGETS, resamples=50, seed=3)
        recall = [
            [data.scores["fastv"][f"evidence_recall@{budget:.2f}"][data.samples.index(sample)] for sample in answered]
            for budget in BUDGETS
        ]
        anls = [right[f"fastv@{budget:.2f}"].astype(float) for budget in BUDGETS]
        docs = np.array([sample.doc_id for sample in answered])
        points = [("fastv", budget) for budget in BUDGETS]
        expected = correlate(
            points, np.array(recall), np.array(anls), right["vanilla"].astype(float), docs, resamples=50, seed=3
        )
        assert made == expected
        assert [point["anls_change"] for point in made["points"]] == pytest.approx(
            [own.mean() - right["vanilla"].mean() for own in anls]
        )

    def test_no_answered_question_leaves_nothing_to_correlate(self) -> None:
        data = measured(4)
        names = ("vanilla", "fastv@0.10")
        found = AnswerEvaluation(names, [], {name: [] for name in names})
        made = answer_correlation(data, found, ["fastv"], [0.1], resamples=20, seed=0)
        assert (made["questions"], made["points"][0]["recall"]) == (0, None)

    def test_refusals_and_warnings_reach_the_benchmark(self, bench: Bench, tmp_path: Path) -> None:
        data = measured(4, selectors=["spy"])
        data.samples = bench.samples
        bench.log.write_bytes(b"nonsense\n")
        correlation, warnings = answer_and_correlate(
            data, bench.views(), bench.source(), [Spy(fails={"forms/a-1": TrainingError("is broken")})],
            {"spy": {}}, (0.25, 0.6), tmp_path, device="here", max_new_tokens=NEW, resamples=20, seed=0,
        )  # fmt: skip
        assert (correlation["questions"], data.outcome.refused) == (3, {"no-answer": 1})
        assert warnings == ["1 lines of answers.jsonl cannot be read and were passed over"]


def _answer(text: str) -> Answer:
    return Answer(text, 1, 1, 1.0, {}, 1.0, {}, ())
