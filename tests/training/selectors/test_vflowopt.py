"""VFlowOpt: the map, its entropy, recycling and the stages in the decoder."""

from __future__ import annotations

import math
from collections import Counter
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pinpoint_data.errors import UsageError
from tests.training.selectors.seen import blank, check_invariants, check_ties, kept_by, random_sample
from training.selectors import EncodedSample, Kept, checked_select, make_selector
from training.selectors.vflowopt import VFlowOptSelector, cell_of_each, grey_entropy, recycled

MAP = np.array([[4, 1, 1, 9], [3, 2, 2, 8], [2, 3, 9, 7], [1, 4, 3, 6]], dtype=float)  # tokens by rule


@pytest.mark.parametrize(
    ("options", "best"),
    [({}, 3), ({"setting": "50%"}, 0), ({"setting": "10%"}, 2), ({"hubs": "share"}, 0), ({"setting": "25%"}, 3)],
)
def test_the_setting_says_who_is_a_hub(options: dict[str, Any], best: int) -> None:
    assert kept_by(VFlowOptSelector(**options), blank([(2, 2)], context=MAP), 1) == [best]


def with_image(sample: EncodedSample, image: Image.Image) -> EncodedSample:
    page = sample.pages[0]
    object.__setattr__(page.page_input, "load_image", lambda: image)
    return sample


def test_entropy_is_that_of_a_plain_count() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 4, (30, 40)).astype(np.uint8)
    pixels[:10, :10] = 7  # one token of paper
    sample = with_image(blank([(3, 4)]), Image.fromarray(pixels).convert("RGB"))
    expected = []
    for row in range(3):
        for col in range(4):
            cell = pixels[10 * row : 10 * row + 10, 10 * col : 10 * col + 10].ravel().tolist()
            expected.append(-sum(c / 100 * math.log2(c / 100) for c in Counter(cell).values()))
    found = grey_entropy(sample.pages[0])
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert found[0] == 0


def test_entropy_where_the_grid_is_not_the_page() -> None:
    """Tokens that stick out of the page have fewer pixels or none, and pixels outside the grid no token."""
    from pinpoint_data.grids import TokenGrid

    grid = TokenGrid(np.array([-20.0, -10.0, 1.0, 2.0]), np.array([0.5, 1.5]), 4, 2, "test")
    page = SimpleNamespace(grid=grid, page_input=SimpleNamespace(load_image=lambda: Image.new("RGB", (4, 2), "white")))
    assert grey_entropy(page).tolist() == [0, 0, 0]  # type: ignore[arg-type]


def test_alpha_keeps_ink() -> None:
    """Context is the same everywhere; the only token with ink is kept first, with alpha below 0 last."""
    pixels = np.full((20, 30), 255, dtype=np.uint8)
    pixels[10:15, 20:30] = 0
    sample = with_image(blank([(2, 3)], context=np.zeros((6, 4))), Image.fromarray(pixels))
    assert kept_by(VFlowOptSelector(alpha_v=1.0), sample, 1) == [5]
    assert 5 not in kept_by(VFlowOptSelector(alpha_v=-1.0), sample, 5)
    # Entropies 0, 0, 0, 0, 0 and 1 bit: softmax 1 / (5 + e) and e / (5 + e), six even shares; context outweighs it.
    context = np.zeros((6, 4))
    context[2] = 6 * (math.e - 1) / (5 + math.e) + 0.01
    other = with_image(blank([(2, 3)], context=context), Image.fromarray(pixels))
    assert kept_by(VFlowOptSelector(alpha_v=1.0), other, 2) == [2, 5]
    assert kept_by(VFlowOptSelector(alpha_v=1.0), other, 1) == [2]
    assert kept_by(VFlowOptSelector(alpha_v=1.01), other, 1) == [5]
    assert VFlowOptSelector(alpha_v=1.0).needs == {"vision", "pixels"}


def test_cells_of_a_side_that_is_not_whole() -> None:
    """1.5 tokens: rows and columns 0 1 | 2 | 3 4 | 5, floor(i / 1.5) = 0 0 1 2 2 3."""
    assert cell_of_each(blank([(1, 6), (2, 1)]), 1.5).tolist() == [0, 0, 1, 2, 2, 3, 4, 4]
    assert cell_of_each(blank([(4, 4)]), 1.5).tolist() == [0, 0, 1, 2, 0, 0, 1, 2, 3, 3, 4, 5, 6, 6, 7, 8]


def test_recycling_by_hand() -> None:
    """Best first 0 to 5, in cells of two. Of budget 4, 3 kept leave 3 | 4 5, which makes 5; 2 kept leave 2 3 | 4 5."""
    order, cells = np.arange(6), np.array([0, 0, 1, 1, 2, 2])
    kept, merged = recycled(order, cells, 4)
    assert kept.tolist() == [0, 1] and merged.tolist() == [2, 4]
    assert [part.tolist() for part in recycled(order, cells, 6)] == [list(range(6)), []]
    # 1 kept and 3 cells are too many for 3; without room for any it is as without recycling.
    assert [part.tolist() for part in recycled(order, np.arange(6), 3)] == [[0, 1, 2], []]


def with_decoder(sample: EncodedSample, n_layers: int) -> EncodedSample:
    sample.ledger.once(f"prompt.{sample.question}", lambda: SimpleNamespace(n_layers=n_layers))
    return sample


def test_stages_in_the_decoder() -> None:
    """The released 25 %: of 1000 tokens 265, 260 and 228 are left, before layers 0, 9 and 18 of 28; .251 on average."""
    sample = with_decoder(blank([(25, 40)], context=np.random.default_rng(0).random((1000, 4))), 28)
    [kept] = checked_select(VFlowOptSelector(decoder=True), sample, [228])
    assert kept.layers is not None and kept.layers.starts == (0, 9, 18)
    assert [int(mask.sum()) for mask in kept.layers.masks] == [265, 260, 228]
    assert kept.layers.budget == pytest.approx(0.251, abs=0.001)
    [plain] = VFlowOptSelector().select(sample, [228])
    assert (plain.mask == kept.mask).all()
    assert all((wide >= narrow).all() for wide, narrow in zip(kept.layers.masks, kept.layers.masks[1:], strict=False))
    [shallow] = VFlowOptSelector(decoder=True).select(with_decoder(random_sample([(6, 7)]), 2), [5])
    assert shallow.layers is not None and shallow.layers.starts == (0, 1)


def both(kept: Kept) -> int:
    return int((kept.mask | kept.merged).sum()) if kept.merged is not None else 0


@pytest.mark.parametrize("setting", ["50%", "25%", "10%"])
def test_invariants(setting: str) -> None:
    check_invariants(lambda: VFlowOptSelector(setting))
    check_ties(lambda: VFlowOptSelector(setting))
    check_invariants(lambda: VFlowOptSelector(setting, alpha_v=0.5))
    # Cells may have more tokens to stand for than a token less leaves room for.
    check_invariants(lambda: VFlowOptSelector(setting, recycle=True), exact=False, nested=False, counted=both)


def test_impossible_options() -> None:
    for options, message in [
        ({"setting": "33%"}, "setting must be one of 50%, 25%, 10%"),
        ({"hubs": "all"}, "hubs must be one of threshold, share"),
        ({"alpha_v": math.nan}, "alpha_v must be a finite number"),
    ]:
        with pytest.raises(UsageError, match=message):
            make_selector("vflowopt", options)
