"""The backbone `ocr-grid`: visual tokens from a page's words and pixels, without a model to download.

A token of the 28-pixel grid `patches` holds, in this order:

    lexical   the hashed vectors of the words on it; a word that spans tokens is spread over them by area
    shape     what its words look like: number, year, percent, capitals, ...
    text      how much of it words cover, how many, how large their letters are, how often they stand on the page
    place     where it is on the page
    pixels    brightness, contrast, colour, edges; zero with `pixels=False`

A question token holds the same lexical and shape features of one of the question's words, then what the question as a
whole asks for (how many, which year, who, ...); a last token stands for the whole question. The features that both
sides share come first, `shared_dim` of them. It is made for documents and tests; it knows no meaning of words.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from pinpoint_data.errors import UsageError
from pinpoint_data.grids import TokenGrid, patch_grid
from training.backbones.base import EncodedPage, FloatArray, register_backbone
from training.backbones.hashing import SHAPES, vectors
from training.pages.input import PageInput
from training.pages.layout import (
    PIXEL_FEATURES,
    PLACE_FEATURES,
    Spread,
    pixel_features,
    place_features,
    spread_words,
)

FEATURE_VERSION = 1
"""Goes up whenever the same page would give other tokens; a run made with another version is refused."""

TEXT_FEATURES = ("covered", "words", "letter-height", "relative-height", "rarity", "line-start")
_ASKS = {
    "count": r"how many|number of|no\. of|count",
    "amount": r"how much|amount|total|sum|cost|price|value|revenue|\$",
    "share": r"percent|proportion|share|ratio|%",
    "time": r"when|what year|which year|date|month|day",
    "person": r"\bwho|name|author|signed|\bto whom",
    "place": r"where|country|state|city|address|location",
    "extreme": r"most|least|highest|lowest|largest|smallest|maximum|minimum|top|best|greater|higher|lower",
    "difference": r"difference|increase|decrease|change|compared|between",
    "colour": r"colou?r|red|green|blue|yellow|orange|purple",
    "figure": r"figure|chart|graph|table|diagram|picture|image|map|slide|page",
    "contact": r"phone|fax|telephone|e-?mail|zip|number",
    "choice": r"\bwhich\b|either| or ",
    "yes-no": r"^(?:is|are|was|were|do|does|did|has|have|can)\b",
    "list": r"\blist\b|\ball\b|what are",
}
_ASKS_COMPILED = [re.compile(pattern) for pattern in _ASKS.values()]


class OcrGrid:
    """Hashed words and pixel statistics on the grid `patches`.

    Args:
        lexical_dim: Width of the hashed word vectors.
        pixels: Look at the pixels. Without, no image is opened and the pixel features are zero.
        max_tokens: The most tokens a page may have.
    """

    name = "ocr-grid"
    reads_words = True

    def __init__(self, *, lexical_dim: int = 128, pixels: bool = True, max_tokens: int = 1656) -> None:
        whole = type(lexical_dim) is int and type(max_tokens) is int and type(pixels) is bool
        if not whole or lexical_dim < 16 or max_tokens < 1:
            raise UsageError(
                "ocr-grid needs whole numbers lexical_dim >= 16 and max_tokens >= 1, and pixels true or false, "
                f"got {lexical_dim!r}, {max_tokens!r} and {pixels!r}"
            )
        self.lexical_dim, self.pixels, self.max_tokens = lexical_dim, pixels, max_tokens
        self.shared_dim = lexical_dim + len(SHAPES)
        self.token_dim = self.shared_dim + len(TEXT_FEATURES) + len(PLACE_FEATURES) + len(PIXEL_FEATURES)
        self.question_dim = self.shared_dim + len(_ASKS) + 2

    def spec(self) -> dict[str, Any]:
        """Name, version of the features, and options."""
        options = {
            "lexical_dim": self.lexical_dim,
            "pixels": self.pixels,
            "max_tokens": self.max_tokens,
        }
        return {"name": self.name, "version": FEATURE_VERSION, "options": options}

    def grid(self, width: int, height: int) -> TokenGrid:
        """The grid `patches` of a page."""
        return patch_grid(width, height, max_tokens=self.max_tokens)

    def encode_page(self, page: PageInput) -> EncodedPage:
        """Tokens (N, token_dim) of a page.

        Raises:
            PageError: The image cannot be read (only with `pixels`).
        """
        grid = self.grid(page.width, page.height)
        tokens = np.zeros((grid.n_tokens, self.token_dim), dtype=np.float32)
        end_of_text = self.shared_dim + len(TEXT_FEATURES)
        if page.words.texts:
            held, features = self._text(grid, page)
            tokens[held, :end_of_text] = features
        tokens[:, end_of_text : end_of_text + len(PLACE_FEATURES)] = place_features(grid)
        if self.pixels:
            tokens[:, -len(PIXEL_FEATURES) :] = pixel_features(grid, page.load_image())
        return EncodedPage(grid, tokens)

    def encode_question(self, question: str) -> FloatArray:
        """Tokens (words + 1, question_dim); the last one is the whole question."""
        words = question.split()
        lexical, shape = self._words(words)
        tokens = np.zeros((len(words) + 1, self.question_dim), dtype=np.float32)
        own = np.concatenate([lexical, shape], axis=1)
        tokens[:-1, : self.shared_dim] = own
        tokens[-1, : self.shared_dim] = own.sum(axis=0) / np.sqrt(max(len(words), 1))
        lowered = question.casefold()
        tokens[:, self.shared_dim : -2] = [pattern.search(lowered) is not None for pattern in _ASKS_COMPILED]
        tokens[:-1, -2] = np.linspace(0, 1, len(words))
        tokens[-1, -1] = 1
        return tokens

    def _words(self, texts: list[str]) -> tuple[FloatArray, FloatArray]:
        """Lexical (n, lexical_dim) and shape features (n, 14) of words; entries of about unit size."""
        lexical, shape = vectors(texts, self.lexical_dim)
        return lexical * np.float32(np.sqrt(self.lexical_dim)), shape

    def _text(self, grid: TokenGrid, page: PageInput) -> tuple[np.ndarray, FloatArray]:
        """Tokens that hold words (u,), and their lexical, shape and text features (u, f)."""
        words = page.words
        lexical, shape = self._words(words.texts)
        spread = spread_words(grid, words.xyxy)
        # The squares of a word's weights sum to one: it keeps its length, however many tokens it spans.
        weight = np.sqrt(spread.share)[:, None]
        facts = _word_facts(page)[spread.word]
        per_pair = np.concatenate(
            [lexical[spread.word] * weight, shape[spread.word] * weight, _coverage(spread), facts * weight], axis=1
        )
        return spread.sums(per_pair)


def _coverage(spread: Spread) -> FloatArray:
    return np.stack([spread.covered, spread.share], axis=1)


def _word_facts(page: PageInput) -> FloatArray:
    """The last four `TEXT_FEATURES` of every word (n, 4)."""
    boxes, texts, lines = page.words.xyxy, page.words.texts, page.words.lines
    height = boxes[:, 3] - boxes[:, 1]
    _, kind, count = np.unique([text.casefold() for text in texts], return_inverse=True, return_counts=True)
    first: np.ndarray = np.diff(lines, prepend=-1) != 0
    facts = np.stack(
        [20 * height / page.height, np.log(height / np.median(height)), 1 / count[kind], first.astype(np.float64)]
    )
    return facts.T.astype(np.float32)


register_backbone("ocr-grid", OcrGrid)
