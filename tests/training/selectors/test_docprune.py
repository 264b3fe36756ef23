"""DocPrune: background by pixels, relevance by smoothed cosines."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pinpoint_data.errors import UsageError
from pinpoint_data.token_grid import TokenGrid, even_grid
from tests.training.selectors.evaluated import assert_exact, assert_nested, first_tokens
from tests.training.selectors.samples import given_sample, model_sample, unit_rows
from tests.training.vlm.pictures import noise
from training.selectors import checked_select, make_selector
from training.selectors.docprune import background_share, smoothed


def _with_image(sample, *images, decoded=None):
    """The sample, its pages showing these grey images."""

    def load(grey):
        def decode():
            if decoded is not None:
                decoded.append(1)
            return Image.fromarray(np.asarray(grey, np.uint8)).convert("RGB")

        return decode

    pages = tuple(
        dataclasses.replace(page, page_input=dataclasses.replace(page.page_input, load_image=load(grey)))
        for page, grey in zip(sample.pages, images, strict=True)
    )
    return sample.source.sample(dataclasses.replace(sample.view, pages=pages))


def _slowly(grey, grid, tau_e):
    """Pixel by pixel."""
    values, often = np.unique(grey, return_counts=True)
    mode = max(zip(often.tolist(), values.tolist(), strict=True))[1]
    share = []
    for x0, y0, x1, y1 in grid.token_xyxy():
        same = area = 0.0
        for y, x in np.ndindex(grey.shape):
            part = max(min(x + 1, x1) - max(x, x0), 0) * max(min(y + 1, y1) - max(y, y0), 0)
            area += part
            same += part * (abs(int(grey[y, x]) - mode) < tau_e)
        share.append(same / area if area else 1.0)
    return np.array(share)


class TestBackgroundShare:
    def test_by_hand(self):
        # 4 x 2 pixels, two tokens. The mode is 255 (five times); the left token has three of it, the right one two.
        grey = np.array([[255, 255, 255, 0], [255, 9, 9, 255]], np.uint8)
        share = background_share(Image.fromarray(grey), even_grid(1, 2, 4, 2, "test"), 1.0)
        assert share.tolist() == [0.75, 0.5]

    def test_cut_pixels_count_in_part(self):
        # Three tokens over 4 pixels: the second ends and begins inside pixels.
        grey = np.array([[255, 0, 0, 255]], np.uint8)
        share = background_share(Image.fromarray(grey), even_grid(1, 3, 4, 1, "test"), 1.0)
        assert share.tolist() == pytest.approx([0.75, 0, 0.75])

    def test_of_equally_frequent_greys_the_lightest(self):
        grey = np.array([[10, 10, 200, 200]], np.uint8)
        assert background_share(Image.fromarray(grey), even_grid(1, 2, 4, 1, "test"), 1.0).tolist() == [0, 1]

    def test_tau_e(self):
        grey = np.array([[255, 255, 254, 252]], np.uint8)
        grid = even_grid(1, 4, 4, 1, "test")
        assert background_share(Image.fromarray(grey), grid, 1.0).tolist() == [1, 1, 0, 0]
        assert background_share(Image.fromarray(grey), grid, 2.0).tolist() == [1, 1, 1, 0]
        grey = np.array([[100, 100, 101, 98]], np.uint8)
        for tau_e, share in ((0.5, [1, 1, 0, 0]), (1.0, [1, 1, 0, 0]), (1.5, [1, 1, 1, 0]), (256.0, [1, 1, 1, 1])):
            assert background_share(Image.fromarray(grey), grid, tau_e).tolist() == share

    @given(
        st.integers(1, 9), st.integers(1, 9), st.integers(1, 5), st.integers(1, 5), st.integers(0, 999), st.booleans()
    )
    @settings(max_examples=60, deadline=None)
    def test_against_every_pixel(self, height, width, rows, cols, seed, beyond):
        rng = np.random.default_rng(seed)
        grey = rng.choice(np.array([0, 254, 255], np.uint8), (height, width))
        out = rng.uniform(-0.4, 0.4, 4) * beyond
        grid = TokenGrid(
            np.linspace(out[0], width + out[1], cols + 1), np.linspace(out[2], height + out[3], rows + 1),
            width, height, "test",
        )  # fmt: skip
        expected = _slowly(grey, grid, 1.5)
        assert background_share(Image.fromarray(grey), grid, 1.5) == pytest.approx(expected, abs=1e-8)

    def test_a_token_beyond_the_page_is_background(self):
        grid = TokenGrid(np.array([0.0, 4, 8]), np.array([0.0, 2]), 4, 2, "test")
        share = background_share(Image.fromarray(np.zeros((2, 4), np.uint8)), grid, 1.0)
        assert share.tolist() == [1, 1]
        below = TokenGrid(np.array([0.0, 4]), np.array([-4.0, 0, 2, 5]), 4, 2, "test")
        assert background_share(Image.fromarray(np.zeros((2, 4), np.uint8)), below, 1.0).tolist() == [1, 1, 1]


def _striped(shape, dark):
    """Cells of 10 pixels, white but for the share of dark pixels of some tokens."""
    grey = np.full((shape[0] * 10, shape[1] * 10), 255, np.uint8)
    for token, share in dark.items():
        row, col = divmod(token, shape[1])
        grey[row * 10 : row * 10 + round(share * 10), col * 10 : col * 10 + 10] = 0
    return grey


class TestBackgroundSelector:
    def test_by_hand(self):
        sample = _with_image(given_sample(np.zeros((6, 2)), (2, 3)), _striped((2, 3), {1: 0.3, 4: 0.9, 3: 0.1}))
        assert first_tokens(make_selector("docprune-background"), sample, 3) == [4, 1, 3]

    def test_white_paper_stands_in_random_order(self):
        firsts = [
            first_tokens(make_selector("docprune-background"), given_sample(np.zeros((12, 2)), (3, 4), seed=s), 1)[0]
            for s in range(150)
        ]
        assert len(set(firsts)) == 12

    def test_each_page_has_its_own_grey(self):
        sample = given_sample([np.zeros((4, 2))] * 2, [(2, 2), (1, 4)])
        inverted = 255 - _striped((1, 4), {2: 0.5})
        sample = _with_image(sample, _striped((2, 2), {0: 0.4}), inverted)
        kept = checked_select(make_selector("docprune-background"), sample, [1, 2, 8])
        assert [np.flatnonzero(k.mask).tolist() for k in kept[:2]] == [[6], [0, 6]]
        assert_exact(kept, [1, 2, 8])
        assert_nested(kept)

    def test_is_blind(self):
        assert not make_selector("docprune-background").reads_question

    def test_options(self):
        for tau_e in (0.0, 300.0, float("nan")):
            with pytest.raises(UsageError, match="tau_e must be in"):
                make_selector("docprune-background", {"tau_e": tau_e})


class TestSmoothed:
    def test_by_hand(self):
        # Two tokens, sigma 1: each has weight 1, the other e^-1/2.
        other = math.exp(-0.5)
        found = smoothed(np.array([1.0, 0.0]), even_grid(1, 2, 20, 10, "test"), 1.0)
        assert found.tolist() == pytest.approx([1 / (1 + other), other / (1 + other)])

    def test_against_the_sum_over_all_pairs(self):
        values, grid = np.random.default_rng(0).random(20), even_grid(4, 5, 50, 40, "test")
        place = np.array([divmod(i, 5) for i in range(20)])
        weights = np.exp(-((place[:, None] - place) ** 2).sum(axis=2) / (2 * 1.7**2))
        assert smoothed(values, grid, 1.7) == pytest.approx((weights @ values) / weights.sum(axis=1))

    def test_leaves_a_constant_alone(self):
        assert smoothed(np.full(35, 3.0), even_grid(5, 7, 70, 50, "test"), 1.0) == pytest.approx(np.full(35, 3.0))


class TestDocPrune:
    def test_by_hand(self):
        # A narrow Gaussian leaves R alone. Tokens 0, 1 and 2 hold text, 3 a tenth, 4 nothing. Question e0 and e1:
        # R = 1, 1.4, .6 of those that survive; then 3, less background than 4, though 4 is closer to the question.
        tokens = np.array([[1, 0, 0], [0.5, 0.5, 0], [0.6, 0, 0.8], [0, 0, 1], [1, 1, 0]])
        question = np.array([[1.0, 0, 0], [0, 2.0, 0]])
        grey = _striped((1, 5), {0: 0.5, 1: 0.2, 2: 0.9, 3: 0.1})
        sample = _with_image(given_sample(tokens, (1, 5), question), grey)
        assert first_tokens(make_selector("docprune", {"sigma": 0.01}), sample, 5) == [1, 0, 2, 3, 4]

    def test_smoothing_lets_neighbours_in(self):
        # Tokens of a row, all text: only 3 is like the question, and its neighbours come next.
        tokens = np.zeros((7, 2))
        tokens[3] = [1, 0]
        tokens[[0, 1, 2, 4, 5, 6], 1] = 1
        grey = _striped((1, 7), dict.fromkeys(range(7), 0.4))
        order = first_tokens(make_selector("docprune"), _with_image(given_sample(tokens, (1, 7), [[1.0, 0]]), grey), 5)
        assert order[0] == 3
        assert set(order[1:3]) == {2, 4}
        assert set(order[3:5]) == {1, 5}

    def test_without_background_pruning_only_the_question_counts(self):
        tokens, question = unit_rows(72, 8, 1), unit_rows(3, 8, 2)
        sample = given_sample(tokens, (9, 8), question)
        relevance = (tokens @ question.T).sum(axis=1)
        expected = np.argsort(-smoothed(relevance.astype(np.float64), sample.pages[0].grid, 1.0)).tolist()
        assert first_tokens(make_selector("docprune", {"tau_bg": 1.0}), sample, 72) == expected

    def test_pages_compete_and_budgets_nest(self):
        sample = given_sample([unit_rows(20, 6), unit_rows(12, 6, 1)], [(4, 5), (3, 4)], unit_rows(2, 6, 2))
        sample = _with_image(sample, _striped((4, 5), dict.fromkeys(range(9), 0.5)), _striped((3, 4), {2: 0.7}))
        budgets = [1, 6, 10, 32]
        kept = checked_select(make_selector("docprune"), sample, budgets)
        assert_exact(kept, budgets)
        assert_nested(kept)
        survivors = np.r_[0:9, 22]
        assert np.flatnonzero(kept[2].mask).tolist() == survivors.tolist()
        assert kept[0].flops == 2 * 32 * 6

    def test_equal_tokens_stand_in_random_order(self):
        tokens = np.tile(unit_rows(1, 64), (19 * 23, 1))
        kept = [
            checked_select(make_selector("docprune"), given_sample(tokens, (19, 23), unit_rows(9, 64, 1), seed=s), [60])
            for s in range(40)
        ]
        share = np.mean([k[0].mask for k in kept], axis=0).reshape(19, 23)
        # 60 of 437 tokens, 40 times: no row or column is favoured; five standard deviations of a row are 0.06.
        assert np.abs(share.mean(axis=1) - 60 / 437).max() < 0.06

    def test_a_page_is_decoded_once_for_all_questions_and_selectors(self):
        decoded = []
        sample = given_sample([np.zeros((4, 2))] * 2, [(2, 2), (1, 4)], np.ones((1, 2)))
        sample = _with_image(sample, _striped((2, 2), {0: 0.4}), _striped((1, 4), {}), decoded=decoded)
        for question_id, name in itertools.product("ab", ("docprune", "docprune-background")):
            asked = sample.source.sample(dataclasses.replace(sample.view, question_id=question_id))
            selector = make_selector(name)
            _, _, signals = asked.ledger.charged(lambda asked=asked, of=selector: of.select(asked, [1]))
            assert signals["pixels"].flops == 2 * (20 * 20 + 40 * 10)
            assert signals["pixels"].seconds > 0
        assert len(decoded) == 2
        make_selector("docprune", {"tau_e": 3.0}).select(sample, [1])
        assert len(decoded) == 4  # other greys are background

    def test_options(self):
        for options, named in (({"tau_bg": 1.1}, "tau_bg"), ({"sigma": 0.0}, "sigma"), ({"tau_e": -1.0}, "tau_e")):
            with pytest.raises(UsageError, match=f"docprune option {named}"):
                make_selector("docprune", options)


@pytest.mark.parametrize("family", ["llava-next", "qwen2-vl"])
@pytest.mark.parametrize("name", ["docprune-background", "docprune", "refit", "uniform", "downsample"])
def test_works_on_the_grids_of_models(family, name, tiny_model):
    # The right half of the first page is paper; LLaVA-NeXT's grids do not end where pages do.
    image = noise(301, 407)
    image.paste("white", (150, 0, 301, 407))
    sample = model_sample(tiny_model(family), [image, noise(500, 250, seed=1)])
    budgets = [1, sample.n_tokens // 3, sample.n_tokens]
    kept = checked_select(make_selector(name), sample, budgets)
    if name != "downsample":
        assert_exact(kept, budgets)
    if name.startswith("docprune"):
        grid = sample.pages[0].grid
        white = grid.token_xyxy()[:, 0] > 150
        assert not kept[1].mask[sample.slices[0]][white].any()
