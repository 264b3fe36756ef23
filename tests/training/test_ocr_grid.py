"""The embedded backbone: deterministic, alike for like words, spread over the right tokens, blind where told to be."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from pinpoint_data.errors import TrainingError, UsageError
from pinpoint_data.grids import llava_next_grid, patch_grid
from pinpoint_data.words.base import PageWords
from training.backbones import EncodedPage, OcrGrid, make_backbone
from training.backbones.hashing import SHAPES, terms, word_shape, word_vector
from training.pages.cache import PageCache
from training.pages.input import PageInput
from training.pages.layout import PIXEL_FEATURES, pixel_features, spread_words

WIDTH, HEIGHT = 850, 1100


def words_at(*placed: tuple[str, tuple[float, float, float, float]]) -> PageWords:
    boxes = np.array([box for _, box in placed], dtype=np.float64).reshape(-1, 4)
    return PageWords([text for text, _ in placed], boxes, np.arange(len(placed)))


def page_of(words: PageWords, image: Image.Image | None = None, size: tuple[int, int] = (WIDTH, HEIGHT)) -> PageInput:
    return PageInput("p", *size, words, lambda: image or pytest.fail("the pixels were not to be looked at"))


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


BLIND = OcrGrid(pixels=False)


def test_tokens_fit_the_grid_and_the_named_widths() -> None:
    backbone = make_backbone("ocr-grid", {"pixels": False})
    page = backbone.encode_page(page_of(words_at(("Revenue", (100, 100, 180, 120)))))
    assert page.tokens.shape == (page.grid.n_tokens, backbone.token_dim) and page.tokens.dtype == np.float32
    assert page.grid == patch_grid(WIDTH, HEIGHT) and page.grid.n_tokens <= 1656
    question = backbone.encode_question("What was the revenue in 2019?")
    assert question.shape == (7, backbone.question_dim) and question.dtype == np.float32
    assert 0 < backbone.shared_dim < min(backbone.token_dim, backbone.question_dim)


@pytest.mark.parametrize("size", [(1, 1), (3, 5000), (5000, 3), (2084, 13938)])
def test_odd_pages_and_pages_without_words_are_encoded(size: tuple[int, int]) -> None:
    image = Image.new("RGB", size, "grey")
    page = OcrGrid().encode_page(page_of(PageWords(), image, size))
    assert np.isfinite(page.tokens).all()
    assert not page.tokens[:, : OcrGrid().shared_dim].any()


@pytest.mark.parametrize("question", ["", "   ", "?", "\ud800 \x00"])
def test_every_question_has_a_token(question: str) -> None:
    tokens = BLIND.encode_question(question)
    assert len(tokens) >= 1 and np.isfinite(tokens).all()


def test_equal_words_are_equal_on_page_and_in_question_and_others_are_not() -> None:
    page = BLIND.encode_page(page_of(words_at(("REVENUE:", (100, 100, 110, 110)), ("Banana", (500, 500, 510, 510)))))
    question = BLIND.encode_question("the revenue")[1, : BLIND.lexical_dim]
    lexical = page.tokens[:, : BLIND.lexical_dim]
    held = np.flatnonzero(lexical.any(axis=1))
    found = sorted(cosine(lexical[token], question) for token in held)
    assert found[-1] == pytest.approx(1, abs=1e-5) and found[0] < 0.4


def test_words_that_share_letters_are_a_little_alike() -> None:
    plural, other = (cosine(word_vector("revenue", 128), word_vector(w, 128)) for w in ("revenues", "colour"))
    assert 0.25 < plural < 0.9 and abs(other) < 0.2


def test_function_words_weigh_little() -> None:
    assert np.linalg.norm(word_vector("the", 256)) < 0.3 < np.linalg.norm(word_vector("revenue", 256))


def test_terms_are_what_a_reader_would_call_equal() -> None:
    assert terms("FY2019") == ["fy", "2019"]
    assert terms("$1,234.50") == ["1234.50"]
    assert terms("Don’t") == ["don't"]
    assert terms("ﬁnal") == ["final"]
    assert terms("—") == []


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("2019", {"number", "year", "long-number"}),
        ("$14.2M", {"number", "currency", "decimal"}),
        ("85%", {"number", "percent"}),
        ("12/31/98", {"number", "date", "long-number"}),
        ("Total:", {"capitalised", "colon"}),
        ("USA", {"upper-case"}),
        ("the", {"function-word"}),
        ("a@b.org", {"e-mail-or-link"}),
    ],
)
def test_shapes_name_what_a_word_looks_like(word: str, expected: set[str]) -> None:
    found = {name for name, flag in zip(SHAPES, word_shape(word), strict=True) if flag}
    assert found - {"short", "long"} == expected


def test_another_process_gives_the_same_bytes() -> None:
    code = (
        "import hashlib; from training.backbones.hashing import word_vector, word_shape; "
        "print(hashlib.sha256(word_vector('Revenue', 256).tobytes() + word_shape('Revenue').tobytes()).hexdigest())"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1]


boxes_on_page = st.tuples(
    st.floats(-50, WIDTH), st.floats(-50, HEIGHT), st.floats(0.5, 400), st.floats(0.5, 400)
).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3]))  # fmt: skip


@given(st.lists(boxes_on_page, min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_words_are_spread_as_their_boxes_overlap_the_tokens(boxes: list[tuple[float, float, float, float]]) -> None:
    grid = patch_grid(WIDTH, HEIGHT)
    xyxy = np.array(boxes)
    spread = spread_words(grid, xyxy)
    dense = np.zeros((len(boxes), grid.n_tokens))
    dense[spread.word, spread.token] = spread.share
    expected = grid.box_token_area(xyxy) / ((xyxy[:, 2] - xyxy[:, 0]) * (xyxy[:, 3] - xyxy[:, 1]))[:, None]
    np.testing.assert_allclose(dense, expected, atol=1e-6)
    assert (np.diff(spread.token) >= 0).all()
    cells = np.diff(grid.token_xyxy().reshape(-1, 2, 2), axis=1)[:, 0].prod(axis=1)
    covered = np.zeros_like(dense)
    covered[spread.word, spread.token] = spread.covered
    np.testing.assert_allclose(covered, grid.box_token_area(xyxy) / cells, atol=1e-6)


def test_a_word_over_several_tokens_keeps_its_length() -> None:
    one = BLIND.encode_page(page_of(words_at(("Revenue", (101, 101, 109, 105))))).tokens[:, : BLIND.lexical_dim]
    many = BLIND.encode_page(page_of(words_at(("Revenue", (101, 101, 309, 165))))).tokens[:, : BLIND.lexical_dim]
    assert len(np.flatnonzero(one.any(axis=1))) == 1 < len(np.flatnonzero(many.any(axis=1)))
    assert np.linalg.norm(many) == pytest.approx(np.linalg.norm(one), rel=1e-4)


def test_pixels_are_only_opened_when_asked_for() -> None:
    words = words_at(("Revenue", (100, 100, 180, 120)))
    blind = OcrGrid(pixels=False).encode_page(page_of(words)).tokens
    assert not blind[:, -len(PIXEL_FEATURES) :].any()
    seeing = OcrGrid().encode_page(page_of(words, Image.new("RGB", (WIDTH, HEIGHT), "red"))).tokens
    assert np.array_equal(seeing[:, : -len(PIXEL_FEATURES)], blind[:, : -len(PIXEL_FEATURES)])
    assert seeing[:, -len(PIXEL_FEATURES) :].any()


def test_pixel_features_see_ink_and_colour_where_they_are() -> None:
    image = Image.new("RGB", (WIDTH, HEIGHT), "white")
    ImageDraw.Draw(image).rectangle((425, 0, 849, 549), fill="red")
    grid = patch_grid(WIDTH, HEIGHT)
    features = dict(zip(PIXEL_FEATURES, pixel_features(grid, image).T.reshape(-1, grid.rows, grid.cols), strict=True))
    top, left = slice(0, grid.rows // 2 - 1), slice(0, grid.cols // 2 - 1)
    right = slice(grid.cols // 2 + 1, None)
    assert (features["saturation"][top, right] == 1).all() and (features["saturation"][top, left] == 0).all()
    assert (features["brightness"][top, left] == 1).all() and (features["red-green"][top, right] == 1).all()
    assert features["edge-x"][top, grid.cols // 2 - 1 : grid.cols // 2 + 1].max() > 0.01
    assert features["edge-x"][top, left].max() == 0


def test_pixel_features_take_a_grid_that_sticks_out() -> None:
    grid = llava_next_grid(700, 500)
    assert np.isfinite(pixel_features(grid, Image.new("RGB", (700, 500), "blue"))).all()


def test_a_wrong_number_of_tokens_is_refused() -> None:
    with pytest.raises(TrainingError, match=r"tokens must have shape"):
        EncodedPage(patch_grid(100, 100), np.zeros((3, 4), dtype=np.float32))


@pytest.mark.parametrize("options", [{"lexical_dim": 8}, {"max_tokens": 0}, {"pixels": "no"}, {"lexical_dim": 64.0}])
def test_options_out_of_range_are_refused(options: dict) -> None:
    with pytest.raises(UsageError, match="ocr-grid needs"):
        OcrGrid(**options)


class _Store:
    def __init__(self, pages: dict[str, PageInput]) -> None:
        self.pages, self.reads = pages, 0

    def input(self, page_id: str) -> PageInput:
        self.reads += 1
        return self.pages[page_id]


def test_the_cache_gives_equal_tokens_kept_or_not_and_stays_in_its_budget() -> None:
    backbone = OcrGrid(pixels=False)
    pages = {str(i): page_of(words_at((f"word{i}", (100, 100 + 9 * i, 400, 150 + 9 * i)))) for i in range(6)}
    plain = {page_id: backbone.encode_page(page).tokens for page_id, page in pages.items()}
    packed = plain["0"].astype(np.float16).nbytes
    roomy, tight, none = (PageCache(backbone, _Store(pages), budget) for budget in (100 * packed, packed // 2, 0))
    for _ in range(2):
        for page_id in pages:
            tokens = [cache.tokens(page_id).numpy() for cache in (roomy, tight, none)]
            assert np.array_equal(tokens[0], tokens[1]) and np.array_equal(tokens[0], tokens[2])
            np.testing.assert_allclose(tokens[0], plain[page_id], rtol=1e-3, atol=1e-6)
    assert roomy.store.reads == 6 and none.store.reads == 12
    assert 0 < tight.used_bytes <= packed // 2 and none.used_bytes == 0
    assert roomy.used_bytes < 6 * packed / 2  # cells without words are not stored in full
