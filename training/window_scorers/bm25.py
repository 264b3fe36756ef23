"""BM25 over the words of windows: what a search engine would pick.

Every window of a question's pages is a document, all of them together the collection, the question the query.

    score(q, w) = sum over t in q of ln(1 + (N - n_t + 0.5) / (n_t + 0.5)) * f_tw / (f_tw + k1 (1 - b + b |w| / avg|w|))

with N windows, n_t of them holding term t, f_tw occurrences of t in w, |w| the terms in w; k1 = 1.5, b = 0.75. This is
the Lucene form (Kamphuis et al., ECIR 2020), whose idf never turns negative; a term that the question repeats counts
twice. A word belongs to every window that holds its centre. Terms and stop words are those of `training.terms`;
stop words leave both sides.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from training.terms import STOP_WORDS, terms
from training.window_scorers.base import PageView, QuestionView, Scores, register_scorer


class BM25Scorer:
    """BM25 of every window against the question.

    Args:
        k1: Saturation of the term frequency.
        b: Strength of the length normalisation, 0 to 1.
        stop_words: Terms that count on neither side.
    """

    name = "bm25"

    def __init__(self, k1: float = 1.5, b: float = 0.75, stop_words: frozenset[str] = STOP_WORDS) -> None:
        self.k1, self.b, self.stop_words = k1, b, stop_words

    def score(self, view: QuestionView) -> Scores:
        """BM25 scores; all zero where no window holds a word of the question."""
        query = Counter(term for term in terms(view.question) if term not in self.stop_words)
        column = {term: index for index, term in enumerate(query)}
        pages = [self._count(page, column) for page in view.pages]
        if not pages or not column:
            return [np.zeros(len(page.windows.xyxy)) for page in view.pages]
        frequency = np.concatenate([tf for tf, _ in pages])
        length = np.concatenate([n for _, n in pages])
        holding = (frequency > 0).sum(axis=0)
        idf = np.log1p((len(length) - holding + 0.5) / (holding + 0.5))
        norm = self.k1 * (1 - self.b + self.b * length / max(length.mean(), 1e-12))
        weight = idf * np.fromiter(query.values(), dtype=np.float64)
        scores = (frequency / (frequency + norm[:, None] + (frequency == 0))) @ weight
        return np.split(scores, np.cumsum([len(n) for _, n in pages])[:-1])

    def _count(self, page: PageView, column: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
        """Term frequencies (w, terms of the query) and lengths (w,) of a page's windows."""
        counts = np.zeros((len(page.words.texts), len(column) + 1))
        for row, text in enumerate(page.words.texts):
            for term in terms(text):
                if term not in self.stop_words:
                    counts[row, -1] += 1
                    if (index := column.get(term)) is not None:
                        counts[row, index] += 1
        totals = page.word_windows.astype(np.float64) @ counts
        return totals[:, :-1], totals[:, -1]


register_scorer("bm25", BM25Scorer)
