"""What the ranker computes of matches and relations, said again a token and a word at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np

from training.ranker.page import ReadPage
from training.ranker.question import Question


def likeness(a: str, b: str) -> float:
    """Twice the longest common subsequence over both lengths."""

    @cache
    def common(i: int, j: int) -> int:
        if i == len(a) or j == len(b):
            return 0
        return 1 + common(i + 1, j + 1) if a[i] == b[j] else max(common(i + 1, j), common(i, j + 1))

    return 2 * common(0, 0) / (len(a) + len(b))


def strength(term: str, stems: Sequence[str]) -> float:
    """How well a word matches a term."""
    found = 1.0 if term in stems else 0.0
    if len(term) < 4 or term[0].isdigit():
        return found
    for stem in stems:
        if len(stem) >= 4 and stem[0] == term[0] and abs(len(stem) - len(term)) <= 6 and likeness(term, stem) >= 0.8:
            found = max(found, likeness(term, stem))
    return found


@dataclass
class Run:
    """A run of words: their indices, its box in tokens, and what the question finds in it."""

    words: list[int]
    box: tuple[float, float, float, float]
    share: float = 0.0
    precision: float = 0.0
    quoted: float = 0.0
    pairs: float = 0.0
    anchor: float = 0.0


def distance(at: float, low: float, high: float) -> float:
    return max(low - at, at - high, 0.0)


def bell(x: float, width: float) -> float:
    return math.exp(-(x**2) / (2 * width**2))


class Naive:
    """A question against its pages; `values(page, row, col)` gives relations by name."""

    def __init__(self, pages: Sequence[ReadPage], question: Question) -> None:
        self.pages, self.question = pages, question
        self.carried = cache(self._carried)
        self.hits = [[[strength(t, stems) for stems in page.words.stems] for t in question.terms] for page in pages]
        self.runs = [
            [
                Run(np.flatnonzero(page.words.run == number).tolist(), tuple(page.words.run_boxes[number]))
                for number in range(page.words.n_runs)
            ]
            for page in pages
        ]
        self.weights = self._weights()
        for page, hits, runs in zip(pages, self.hits, self.runs, strict=True):
            self._measure(page, hits, runs)
        every = [run for runs in self.runs for run in runs]
        self.best_share = max((run.share for run in every), default=0) or 1e-6
        self.best_pairs = max([run.pairs for run in every] + [1])
        for run in every:
            run.anchor = run.share / self.best_share + run.share * run.precision / 2 + run.quoted
            run.anchor += 0.3 * run.pairs / self.best_pairs
        self.best_anchor = max((run.anchor for run in every), default=0) or 1e-6
        self.matched = [
            sum(w * max(row, default=0) for w, row in zip(self.weights, hits, strict=True)) for hits in self.hits
        ]

    def _in_run(self, row: Sequence[float], run: Run) -> float:
        return max((row[word] for word in run.words), default=0)

    def _weights(self) -> list[float]:
        total = sum(map(len, self.runs))
        raw, there = [], []
        for term, name in enumerate(self.question.terms):
            held = sum(
                self._in_run(hits[term], run) for hits, runs in zip(self.hits, self.runs, strict=True) for run in runs
            )
            idf = math.log(1 + max(total - held + 0.5, 0.5) / (held + 0.5))
            if self.question.quoted:
                idf *= 2 if name in self.question.quoted else 0.5
            raw.append(idf)
            there.append(held > 0)
        scale = max(sum(w for w, held in zip(raw, there, strict=True) if held), 1e-6)
        return [w / scale for w in raw]

    def _measure(self, page: ReadPage, hits: Sequence[Sequence[float]], runs: Sequence[Run]) -> None:
        in_order = [(stem, word) for word, stems in enumerate(page.words.stems) for stem in stems]
        quoted = self.question.quoted
        for run in runs:
            stems = {stem for word in run.words for stem in page.words.stems[word]}
            run.share = sum(w * self._in_run(row, run) for w, row in zip(self.weights, hits, strict=True))
            run.precision = len(stems & set(self.question.terms)) / max(len(stems), 1)
            run.quoted = 2 * len(stems & quoted) / (max(len(stems), 1) + len(quoted)) if quoted else 0.0
            for (before, _), (stem, word) in pairwise(in_order):
                run.pairs += word in run.words and (before, stem) in self.question.pairs

    def _carried(self, number: int, term: int, way: str, x: float, y: float) -> float:
        """What the best match of a term carries to a place."""
        page = self.pages[number]
        letter, rows, cols = max(page.words.height, 0.3), page.grid.rows, page.grid.cols
        best = 0.0
        for power, (x0, y0, x1, y1) in zip(self.hits[number][term], page.words.boxes, strict=True):
            aside_x, aside_y = distance(x, x0, x1), distance(y, y0, y1)
            value = {
                "on": float(aside_x < 0.5 and aside_y < 0.5),
                "right": bell(aside_y, letter / 2 + 0.2) * (math.exp(-max(x - x1, 0) / (0.35 * cols)) if x > x0 else 0),
                "below": bell(aside_x, 1) * (math.exp(-max(y - y1, 0) / (0.15 * rows)) if y > y0 else 0),
                "near": math.exp(-(aside_x + aside_y) / 3),
            }[way]
            best = max(best, power * value)
        return best

    def total(self, number: int, way: str, x: float, y: float) -> float:
        """The share of the question's weight that reaches a place."""
        ways = ("right", "below", "on") if way == "reach" else (way,)
        return sum(
            w * max(self.carried(number, term, one, x, y) for one in ways) for term, w in enumerate(self.weights)
        )

    def around(self, number: int, row: int, col: int, side: int) -> list[tuple[float, float]]:
        """Middles of the tokens in a square around a token."""
        grid, far = self.pages[number].grid, side // 2
        return [
            (x + 0.5, y + 0.5)
            for y in range(max(row - far, 0), min(row + far + 1, grid.rows))
            for x in range(max(col - far, 0), min(col + far + 1, grid.cols))
        ]

    def values(self, number: int, row: int, col: int) -> dict[str, float]:
        """Relations of a token by name."""
        x, y = col + 0.5, row + 0.5
        found = {f"match-{way}": self.total(number, way, x, y) for way in ("on", "right", "below", "reach", "near")}
        found["match-crossing"] = found["match-right"] * found["match-below"]
        for side in (5, 9, 15, 25):
            near = self.around(number, row, col, side)
            found[f"match-within{side}"] = sum(
                w * max(self.carried(number, term, "on", *at) for at in near) for term, w in enumerate(self.weights)
            )
        for side in (5, 11):
            near = self.around(number, row, col, side)
            found[f"match-density{side}"] = sum(self.total(number, "on", *at) for at in near) / 4
        return found | self.anchors(number, x, y) | self.of_run(number, row, col) | self.of_page(number)

    def anchors(self, number: int, x: float, y: float) -> dict[str, float]:
        page = self.pages[number]
        letter, rows, cols = max(page.words.height, 0.3), page.grid.rows, page.grid.cols
        ranked = sorted(((run.anchor / self.best_anchor, run.box) for run in self.runs[number]), key=lambda r: -r[0])
        found = dict.fromkeys(("anchor-right", "anchor-below", "anchor-above", "anchor-near"), 0.0)
        for power, (x0, y0, x1, y1) in ranked[:8]:
            if power <= 0.05:
                continue
            aside_x, aside_y = distance(x, x0, x1), distance(y, y0, y1)
            ways = {
                "anchor-right": bell(aside_y, 0.42 * letter + 0.14) * (x > x0) * math.exp(-max(x - x1, 0) / cols * 4),
                "anchor-below": bell(aside_x, 1.06) * (y > y0) * math.exp(-max(y - y1, 0) / (3 * letter)),
                "anchor-above": bell(aside_x, 1.06) * (y < y1) * math.exp(-max(y0 - y, 0) / rows * 5),
                "anchor-near": math.exp(-aside_y / 2 - aside_x / 4),
            }
            for way, value in ways.items():
                found[way] = max(found[way], power * value)
        for rank in (0, 1):
            dx, dy, power = 99.0, 99.0, 0.0
            if rank < len(ranked) and ranked[rank][0] > 0:
                power, (x0, y0, x1, y1) = ranked[rank]
                dx = x - x0 if x < x0 else x - x1 if x > x1 else 0.0
                dy = y - y0 if y < y0 else y - y1 if y > y1 else 0.0
            found |= {f"anchor{rank + 1}-{k}": v for k, v in (("dx", dx), ("dy", dy), ("strength", power))}
        return found

    def of_run(self, number: int, row: int, col: int) -> dict[str, float]:
        names = ("run-share", "run-share-of-best", "run-precision", "run-quoted", "run-pairs", "run-anchor")
        own = int(self.pages[number].run[row * self.pages[number].grid.cols + col])
        if own < 0:
            return dict.fromkeys(names, 0.0)
        run = self.runs[number][own]
        values = (run.share, run.share / self.best_share, run.precision, run.quoted, run.pairs / self.best_pairs)
        return dict(zip(names, (*values, run.anchor / self.best_anchor), strict=True))

    def of_page(self, number: int) -> dict[str, float]:
        named = {page % len(self.pages) for page in self.question.pages if page < len(self.pages)}
        found = [any(any(row) for row in rows) for rows in zip(*self.hits, strict=True)]
        return {
            "matched": self.matched[number],
            "matched-of-best": self.matched[number] / max(*self.matched, 1e-6),
            "pages": len(self.pages),
            "page-place": sum(other > self.matched[number] for other in self.matched),
            "page-named": number in named,
            "some-page-named": bool(named),
            "page-anchor": max((run.anchor / self.best_anchor for run in self.runs[number]), default=0),
            "best-run": self.best_share,
            "best-anchor": self.best_anchor,
            "terms-found": sum(found) / len(found) if found else 0,
            "terms": len(self.question.terms) / 10,
        }
