"""What a small benchmark measured: four selectors with the scores that theirs have, on questions of three sources."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from loaders.samples import EvidenceBox, PageRef, Sample
from training.benchmark.correlation import correlate
from training.benchmark.data import BenchmarkData, BoxTable
from training.benchmark.summary import summarise_benchmark

BUDGETS = (0.1, 0.25, 0.6)
SELECTORS = ["random", "uniform", "oracle-token", "fastv", "sparsevlm-unpruned"]


def sample(
    number: int, doc: str, boxes: list[tuple[int, tuple[float, ...], str]], pages: int = 1, source: str = "infovqa"
) -> Sample:
    """A question with boxes (page, xyxy in pixels of 1000 x 1000, role)."""
    refs = tuple(PageRef(f"{doc}-{index}", index, 1000, 1000, None) for index in range(pages))
    evidence = tuple(EvidenceBox(page, xyxy, role) for page, xyxy, role in boxes)
    return Sample(f"q{number}", source, "train", doc, f"Question {number}?", ("a",), "evidence", refs, evidence)


def measured(questions: int = 24, seed: int = 0, selectors: list[str] | None = None) -> BenchmarkData:
    """Random figures that keep what must hold: recall grows with the budget, roles have scores where they occur."""
    rng = np.random.default_rng(seed)
    samples = []
    for number in range(questions):
        pages, boxes = int(rng.integers(1, 4)), []
        for _ in range(int(rng.integers(1, 5))):
            x, y = rng.uniform(0, 800, 2)
            size = rng.choice([8, 40, 90, 160, 200])
            role = str(rng.choice(["answer", "support"]))
            boxes.append((int(rng.integers(pages)), (x, y, x + size, y + size), role))
        source = ("infovqa", "mpdocvqa", "spdocvqa")[number % 3]
        samples.append(sample(number, f"d{number // 3}", boxes, pages, source))
    table, names = BoxTable.of(samples), selectors or SELECTORS
    has = {role: np.isin(np.arange(questions), table.question[table.role == role]) for role in ("answer", "support")}
    data = BenchmarkData(BUDGETS, samples, names, {}, table, {}, {}, {}, rng.uniform(0, 0.01, questions))
    data.left_out, data.devices = Counter({"status skipped": 2}), Counter({"cpu": questions * len(names)})
    for name in names:
        best = rng.random(questions)
        scores: dict[str, Any] = {"full_coverage_budget": rng.random(questions)} if name == "random" else {}
        for budget in BUDGETS:
            at = f"@{budget:.2f}"
            recall = np.minimum(1, best * budget + budget / 3)
            own = {"evidence_recall": recall, "all_hit": (recall > 0.3) * 1.0, "any_hit": (recall > 0.2) * 1.0}
            own |= {"precision": recall / 10, "page_recall": np.minimum(1, recall + 0.1)}
            own |= {"budget": np.full(questions, budget), "layer_budget": np.full(questions, budget)}
            own["layer_recall"] = recall
            for role, there in has.items():
                own[f"evidence_recall_{role}"] = np.where(there, recall, np.nan)
                own[f"all_hit_{role}"] = np.where(there, recall > 0.3, np.nan)
            if name == "fastv":
                own["layer_budget"] = own["layer_budget"] + 0.05
            if name == "sparsevlm-unpruned":
                own |= {"agreement": rng.random(questions), "evidence_recall_merged": np.minimum(1, recall + 0.05)}
            scores |= {score + at: column for score, column in own.items()}
        data.scores[name] = scores
        data.box_recall[name] = np.sort(rng.random((len(table), len(BUDGETS))), axis=1)
        data.seconds[name] = {"choice": rng.random(questions) / 100, "encode": rng.random(questions)}
        data.flops[name] = {"choice": rng.random(questions) * 1e9}
    return data


def whole_summary(data: BenchmarkData | None = None, *, answers: bool = True, **changed: Any) -> dict[str, Any]:
    """A summary with everything that a run adds to it."""
    data = data or measured()
    points = [(selector, budget) for selector in data.selectors for budget in BUDGETS]
    recall = np.array([data.scores[selector][f"evidence_recall@{budget:.2f}"] for selector, budget in points])
    docs, vanilla = np.array([sample.doc_id for sample in data.samples]), np.full(len(data.samples), 0.9)
    summary = summarise_benchmark(data, resamples=50, seed=1)
    summary |= {
        "program": "pinpoint-data 0",
        "dataset": "pages",
        "split": "all",
        "run": None,
        "backbone": {"name": "ocr-grid", "version": 1, "options": {}},
        "plumbing": False,
        "settings": {"budgets": list(BUDGETS), "seed": 1, "limit": None, "options": {"fastv": {"layer": 3}}},
        "unavailable": {"btp": "needs a decoder, which the embedded backbone has not"},
        "warnings": ["something to know"],
        "correlation": correlate(points, recall, recall * 0.8, vanilla, docs, resamples=50) if answers else None,
        "examples": ["q1"],
    }
    return summary | changed
