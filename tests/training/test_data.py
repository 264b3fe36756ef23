"""From samples to labelled questions on two sides that share no document."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loaders.samples import Sample
from pinpoint_data.errors import GeometryError, TrainingError
from pinpoint_data.token_grid import TokenGrid
from pinpoint_data.windows import LabelRule, WindowSpec, label_windows
from tests.training.toy import ToyBackbone, toy_problem
from training.config import DataConfig
from training.fitting.data import Example, label_samples, split_by_document, stable_share
from training.pages.geometry import Geometries

GEOMETRIES = Geometries(ToyBackbone(), WindowSpec(2, 2, 2))


def labelled(samples: list[Sample]) -> list[Example]:
    return label_samples(samples, GEOMETRIES, LabelRule())[0]


class Choosy(ToyBackbone):
    """Refuses large pages, as models refuse pages of odd shapes."""

    def grid(self, width: int, height: int) -> TokenGrid:
        if width > 80:
            raise GeometryError("is too wide")
        return super().grid(width, height)


def samples_of(source: str, split: str, documents: int) -> list[Sample]:
    found = toy_problem(documents)[0]
    return [
        replace(
            s,
            source=source,
            split=split,
            doc_id=f"{source}/{split}/{s.doc_id}",
            pages=tuple(replace(p, sha256=f"{source}{split}{p.sha256}") for p in s.pages),
        )
        for s in found
    ]


def test_labels_are_those_of_the_domain_and_pages_without_boxes_are_negative() -> None:
    sample = toy_problem(1)[0][0]
    two_pages = replace(sample, pages=(sample.pages[0], replace(sample.pages[0], page_id="toy/p9", page_index=1)))
    (example,) = labelled([two_pages])
    geometry = GEOMETRIES.of(80, 80)
    expected = label_windows(geometry.windows, geometry.grid, [sample.evidence[0].xyxy]).label
    assert np.array_equal(example.labels[0], expected) and not example.labels[1].any()
    assert example.has_positive and example.has_negative


def test_questions_that_teach_nothing_are_counted_by_reason() -> None:
    good, open_, empty, outside = toy_problem(4, questions=1)[0]
    box = replace(outside.evidence[0], xyxy=(500.0, 500.0, 510.0, 510.0))
    examples, left_out = label_samples(
        [
            good,
            replace(open_, status="unanswerable", evidence=()),
            replace(empty, evidence=()),
            replace(outside, evidence=(box,)),
        ],
        GEOMETRIES,
        LabelRule(),
    )
    assert [e.question_id for e in examples] == [good.question_id]
    assert left_out == {"status unanswerable": 1, "no box": 1, "no positive window": 1}


def test_a_page_that_the_backbone_refuses_costs_its_questions_alone() -> None:
    first, *others = toy_problem(3, questions=1)[0]
    large = replace(first, pages=(replace(first.pages[0], width=90),))
    examples, left_out = label_samples([large, *others], Geometries(Choosy(), WindowSpec(2, 2, 2)), LabelRule())
    assert len(examples) == 2 and left_out == {"page that the backbone refuses": 1}


@given(st.text(max_size=20))
def test_a_documents_share_is_its_own_for_good(doc_id: str) -> None:
    assert 0 <= stable_share(doc_id) < 1 and stable_share(doc_id) == stable_share(doc_id)
    assert stable_share("infovqa/1") == 0.0757246240368932


def test_no_document_is_on_both_sides() -> None:
    data = split_by_document(labelled(samples_of("a", "train", 40)), DataConfig(validation_fraction=0.25))
    sides = data.documents()
    assert not set(sides["train"]) & set(sides["validation"])
    assert 3 <= len(sides["validation"]) <= 18
    assert all(
        (stable_share(doc) < 0.25) == (doc in sides["validation"]) for doc in sides["train"] + sides["validation"]
    )
    assert len(data.train) + len(data.validation) == 120 and not data.left_out


def test_a_growing_dataset_keeps_its_documents_on_their_sides() -> None:
    samples = samples_of("a", "train", 60)
    small, large = (split_by_document(labelled(s), DataConfig()).documents() for s in (samples[:90], samples))
    assert set(small["validation"]) <= set(large["validation"]) and set(small["train"]) <= set(large["train"])


def test_a_published_validation_split_is_used_and_its_documents_are_learnt_from_nowhere() -> None:
    train, validation = samples_of("a", "train", 8), samples_of("a", "validation", 3)
    leaked = replace(train[0], doc_id=validation[0].doc_id)
    same_file = replace(train[3], doc_id="a/alias", pages=validation[0].pages)
    rest = [train[1], train[2], *train[6:]]
    data = split_by_document(labelled([leaked, same_file, *rest, *validation]), DataConfig())
    assert {e.question_id for e in data.validation} == {s.question_id for s in validation}
    assert [e.question_id for e in data.train] == [s.question_id for s in rest]
    assert data.left_out == {"document or page is in the validation part": 2}


def test_sources_without_a_train_split_give_all_but_test() -> None:
    samples = samples_of("a", "validation", 20) + samples_of("a", "test", 5) + samples_of("b", "train", 20)
    data = split_by_document(labelled(samples), DataConfig())
    splits = {(e.source, e.split) for e in data.train}
    assert splits == {("a", "validation"), ("b", "train")}
    assert {e.source for e in data.validation} == {"a", "b"}
    assert data.left_out == {"split not chosen": 15}


def test_only_test_questions_are_refused_unless_named() -> None:
    examples = labelled(samples_of("a", "test", 4))
    with pytest.raises(TrainingError, match=r"by split: test \(12\).*data\.splits"):
        split_by_document(examples, DataConfig())
    assert split_by_document(examples, DataConfig(splits=["test"])).train
    with pytest.raises(TrainingError, match="by split: none"):
        split_by_document([], DataConfig())


def test_a_source_with_two_documents_always_has_one_to_watch() -> None:
    data = split_by_document(labelled(samples_of("a", "train", 2)), DataConfig(validation_fraction=0.01))
    assert len(data.documents()["train"]) == len(data.documents()["validation"]) == 1
    alone = split_by_document(labelled(samples_of("a", "train", 1)), DataConfig())
    assert alone.train and not alone.validation


def test_the_fingerprint_follows_questions_labels_and_sides() -> None:
    samples = samples_of("a", "train", 6)
    base = split_by_document(labelled(samples), DataConfig()).fingerprint()
    moved = replace(samples[0], evidence=(replace(samples[0].evidence[0], xyxy=(0.0, 0.0, 10.0, 10.0)),))
    assert split_by_document(labelled(samples), DataConfig()).fingerprint() == base
    for others in ([replace(samples[0], question="q0?"), *samples[1:]], [moved, *samples[1:]], samples[1:]):
        assert split_by_document(labelled(others), DataConfig()).fingerprint() != base
