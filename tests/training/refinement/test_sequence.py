"""What the language model reads, against the model's own path: same logits, same positions, nothing shifted."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.training.refinement.selected import given_mask
from tests.training.vlm.pictures import noise
from tests.training.vlm.tiny import FAMILIES
from training.refinement import (
    Refinement,
    copied_sequence,
    crop_pages,
    encode_crops,
    kept_tokens,
    lead_with_global_views,
    original_sequence,
    packed_sequence,
    page_tokens,
)
from training.vlm import GRID, NEWLINE, VisualTokens

QUESTION = "What was the total in 2019?"
QWEN = tuple(family for family in FAMILIES if family != "llava-next")
# Cells of whole pixels: crops along them are encoded at the page's own scale.
SIZES = {"llava-next": (336, 672), "qwen2-vl": (336, 420), "qwen2.5-vl": (336, 420), "qwen3-vl": (320, 384)}


class Pages:
    """Encoded pages of noise."""

    def __init__(self, model, sizes):
        self.model, self.images = model, [noise(*size, seed=seed) for seed, size in enumerate(sizes)]
        self.layouts = [model.layout(*size) for size in sizes]
        self.visual = model.encode(self.images, self.layouts)
        self.whole = model.assemble(model.prompt(QUESTION, len(sizes)), self.layouts)

    def crops(self, masks, **settings):
        pages = [given_mask(layout.grid, mask) for layout, mask in zip(self.layouts, masks, strict=True)]
        crops = crop_pages(pages, [layout.grid for layout in self.layouts], Refinement(**settings))
        return encode_crops(self.model, dict(enumerate(self.images)), crops)

    def views(self):
        """The first 576 tokens of LLaVA-NeXT's pages."""
        return {number: visual.take(torch.arange(576)) for number, visual in enumerate(self.visual)}

    def masked_logits(self, kept):
        """Of the vanilla prompt, where nobody attends to what was left out."""
        inputs = self.model.decoder_inputs(self.whole, VisualTokens.cat(self.visual))
        inputs["attention_mask"] = torch.zeros(1, len(self.whole), dtype=torch.long)
        inputs["attention_mask"][0, kept] = 1
        with torch.inference_mode():
            return self.model.weights(**inputs, use_cache=False).logits[0, kept]


def spot(layout, r0, c0, r1, c1):
    mask = np.zeros((layout.grid.rows, layout.grid.cols), dtype=bool)
    mask[r0:r1, c0:c1] = True
    return mask


class TestKeptTokens:
    @pytest.mark.parametrize("family", FAMILIES)
    def test_everything_is_vanilla(self, tiny_model, family):
        pages = Pages(tiny_model(family), [SIZES[family], (200, 340)])
        masks = [np.ones((layout.grid.rows, layout.grid.cols), dtype=bool) for layout in pages.layouts]
        chosen = [
            kept_tokens(layout, mask, global_view=True) for layout, mask in zip(pages.layouts, masks, strict=True)
        ]
        sequence = copied_sequence(pages.model, QUESTION, pages.layouts, chosen)
        for name in ("ids", "positions", "image"):
            assert torch.equal(getattr(sequence, name), getattr(pages.whole, name))

    @pytest.mark.parametrize("family", FAMILIES)
    def test_logits_are_those_of_the_full_page_with_the_rest_masked(self, tiny_model, family):
        pages = Pages(tiny_model(family), [SIZES[family], (200, 340), SIZES[family]])
        masks = [
            spot(pages.layouts[0], 1, 2, 6, 5),
            spot(pages.layouts[1], 0, 0, 0, 0),
            spot(pages.layouts[2], 3, 1, 4, 7),
        ]
        masks[0][-1, -1] = True
        chosen = [
            kept_tokens(layout, mask, global_view=False) for layout, mask in zip(pages.layouts, masks, strict=True)
        ]
        sequence = copied_sequence(pages.model, QUESTION, pages.layouts, chosen)
        kept = _kept_by_hand(pages, masks)
        assert torch.equal(sequence.ids, pages.whole.ids[kept])
        assert torch.equal(sequence.positions, pages.whole.positions[:, kept])
        visual = VisualTokens.cat(
            [page.take(torch.from_numpy(index)) for page, index in zip(pages.visual, chosen, strict=True)]
        )
        found = pages.model.logits(sequence, visual)
        torch.testing.assert_close(found, pages.masked_logits(kept), atol=2e-5, rtol=1e-4)
        # The prompt is what the model would be given for the two pages that are left.
        two = pages.model.assemble(pages.model.prompt(QUESTION, 2), [pages.layouts[0], pages.layouts[2]])
        assert torch.equal(sequence.ids[sequence.image < 0], two.ids[two.image < 0])

    @pytest.mark.parametrize("size", [(1000, 10), (5000, 1), (1, 5000)])
    def test_a_page_without_a_mosaic(self, tiny_model, size):
        layout = tiny_model("llava-next").layout(*size)
        kept = kept_tokens(layout, spot(layout, 3, 3, 5, 5), global_view=False)
        ends = np.flatnonzero(layout.role == NEWLINE)
        assert kept.tolist() == [75, 76, 99, 100, *ends.tolist()]
        assert not len(kept_tokens(layout, spot(layout, 0, 0, 0, 0), global_view=True))

    @pytest.mark.parametrize("gone", [(0,), (1,), (2,), (0, 1), (1, 2), (0, 2)])
    @pytest.mark.parametrize("family", ["llava-next", "qwen2-vl"])
    def test_a_page_that_goes_takes_what_opens_and_closes_it_along(self, tiny_model, family, gone):
        model = tiny_model(family)
        layouts = [model.layout(*size) for size in [(200, 340), (100, 100), (336, 84)]]
        chosen = [np.arange(0 if index in gone else layout.n_tokens) for index, layout in enumerate(layouts)]
        found = copied_sequence(model, QUESTION, layouts, chosen)
        left = [layout for index, layout in enumerate(layouts) if index not in gone]
        expected = model.assemble(model.prompt(QUESTION, len(left)), left)
        assert torch.equal(found.ids, expected.ids)
        whole = model.assemble(model.prompt(QUESTION, 3), layouts)
        assert torch.equal(found.positions[:, -5:], whole.positions[:, -5:])
        last = max(set(range(3)) - set(gone))
        slot = torch.nonzero(whole.image == last).flatten()
        closing = int(slot[-1]) + 1  # the token behind the last page that stays
        at = int(torch.nonzero(found.image == last).flatten()[-1]) + 1
        assert torch.equal(found.positions[:, at], whole.positions[:, closing])


def _kept_by_hand(pages, masks):
    """Text but for what stands around the second page, and selected tokens with their row ends."""
    whole, kept = pages.whole, []
    slot = torch.nonzero(whole.image == 1).flatten().tolist()
    around = {slot[-1] + 1} if pages.model.family == "llava-next" else {slot[0] - 1, slot[-1] + 1}
    seen = [0] * len(masks)
    for at, image in enumerate(whole.image.tolist()):
        if image < 0:
            kept += [at] if at not in around else []
            continue
        layout, number = pages.layouts[image], seen[image]
        seen[image] += 1
        role, place = layout.role[number], layout.place[number]
        if (role == GRID and masks[image].ravel()[place]) or (role == NEWLINE and masks[image][place].any()):
            kept.append(at)
    return torch.tensor(kept)


class TestCropsInThePrompt:
    @pytest.mark.parametrize("family", QWEN)
    def test_packed_is_the_crop_given_to_the_model_as_its_page(self, tiny_model, family):
        pages = Pages(tiny_model(family), [SIZES[family]])
        (crop,) = pages.crops([spot(pages.layouts[0], 2, 3, 6, 9)])
        sequence = packed_sequence(pages.model, QUESTION, [crop])
        cell = SIZES[family][0] // pages.layouts[0].grid.cols
        cut = pages.images[0].crop((3 * cell, 2 * cell, 9 * cell, 6 * cell))
        made = pages.model.processor(images=cut, return_tensors="pt")
        assert made["image_grid_thw"].tolist() == [[1, 8, 12]]
        slots = (sequence.ids == pages.model.config.image_token_id).int()[None]
        with torch.inference_mode():
            own = pages.model.weights(input_ids=sequence.ids[None], mm_token_type_ids=slots, **made).logits[0]
        torch.testing.assert_close(pages.model.logits(sequence, crop.visual), own, atol=2e-5, rtol=1e-4)

    @pytest.mark.parametrize("family", FAMILIES)
    def test_original_positions_are_those_of_the_page_tokens(self, tiny_model, family):
        pages = Pages(tiny_model(family), [(200, 340), SIZES[family]])
        layout = pages.layouts[1]
        crops = pages.crops([spot(pages.layouts[0], 0, 0, 0, 0), spot(layout, 2, 3, 6, 9) | spot(layout, 8, 1, 9, 3)])
        assert [crop.layout.grid.n_tokens for crop in crops] == [24, 2]
        sequence = original_sequence(pages.model, QUESTION, pages.layouts, crops)
        slot = torch.nonzero(pages.whole.image == 1).flatten()
        expected = []
        for r0, c0, r1, c1 in ((2, 3, 6, 9), (8, 1, 9, 3)):
            for row in range(r0, r1):
                ends = [_at(layout, NEWLINE, row)] if family == "llava-next" else []
                expected += [_at(layout, GRID, row * layout.grid.cols + col) for col in range(c0, c1)] + ends
        shown = sequence.positions[:, sequence.image == 1]
        assert torch.equal(shown, pages.whole.positions[:, slot[expected]])
        assert sequence.image.max() == 1
        assert not (sequence.image == 0).any()
        assert torch.equal(sequence.positions[:, -10:], pages.whole.positions[:, -10:])

    @pytest.mark.parametrize(("size", "ends"), [((1000, 10), 0), ((1, 5000), 24), ((640, 480), 36)])
    def test_row_ends_stand_at_row_ends_where_the_page_has_any(self, tiny_model, size, ends):
        pages = Pages(tiny_model("llava-next"), [size])
        layout = pages.layouts[0]
        assert int((layout.role == NEWLINE).sum()) == ends
        crops = pages.crops([spot(layout, 4, 6, 12, 18)])
        assert crops
        for crop in crops:
            found = page_tokens(crop, layout)
            of_ends = found[crop.layout.role == NEWLINE]
            assert (layout.role[of_ends] == (NEWLINE if ends else GRID)).all()
            if not ends:
                last = np.flatnonzero(crop.layout.role == NEWLINE) - 1
                assert np.array_equal(of_ends, found[last])

    @pytest.mark.parametrize("family", ["llava-next", "qwen2-vl"])
    def test_repeated_positions_reach_the_model_unharmed(self, tiny_model, family):
        pages = Pages(tiny_model(family), [SIZES[family]])
        layout = pages.layouts[0]
        crops = pages.crops([spot(layout, 7, 1, 9, 4) | spot(layout, 2, 3, 5, 6)], zoom=2.0)
        sequence = original_sequence(pages.model, QUESTION, pages.layouts, crops)
        steps = sequence.positions[-1].diff()
        assert (steps == 0).any()
        assert (steps < 0).any()
        assert (steps > 1).any()
        visual = VisualTokens.cat([crop.visual for crop in crops])
        expected = _greedy(pages.model, sequence, visual, 5)
        assert pages.model.logits(sequence, visual)[-1].argmax() == expected[0]
        made = pages.model.generate(sequence, visual, max_new_tokens=5)
        assert list(made.ids) == expected[: len(made.ids)]
        assert len(made.ids) in (5, expected.index(2) if 2 in expected else 5)

    def test_the_global_view_of_llava_stands_before_a_page_s_first_crop(self, tiny_model):
        pages = Pages(tiny_model("llava-next"), [SIZES["llava-next"], (200, 340)])
        masks = [
            spot(pages.layouts[0], 2, 3, 6, 9) | spot(pages.layouts[0], 30, 3, 33, 9),
            spot(pages.layouts[1], 0, 0, 3, 5),
        ]
        crops = pages.crops(masks)
        parts = lead_with_global_views(crops, pages.layouts, pages.views())
        assert [len(part.visual) for part in parts] == [576 + 4 * 7, 3 * 7, 576 + 3 * 6]
        for part, page in ((parts[0], 0), (parts[2], 1)):
            assert torch.equal(part.visual.tokens[:576], pages.visual[page].tokens[:576])
        packed = packed_sequence(pages.model, QUESTION, parts)
        assert torch.equal(packed.positions[0], torch.arange(len(packed)))
        original = original_sequence(pages.model, QUESTION, pages.layouts, parts)
        for page in (0, 1):
            start = pages.whole.positions[0, pages.whole.image == page][0]
            view = original.positions[0, original.image == page][:576]
            assert torch.equal(view, torch.arange(576) + start)

    def test_the_whole_page_refined_behind_its_global_view_is_vanilla(self, tiny_model):
        pages = Pages(tiny_model("llava-next"), [SIZES["llava-next"]])
        crops = pages.crops([spot(pages.layouts[0], 0, 0, 48, 48)])
        (part,) = lead_with_global_views(crops, pages.layouts, pages.views())
        sequence = packed_sequence(pages.model, QUESTION, [part])
        assert torch.equal(sequence.ids, pages.whole.ids)
        torch.testing.assert_close(part.visual.tokens, pages.visual[0].tokens, atol=1e-4, rtol=1e-3)


def _at(layout, role, place):
    """The number of the token of a role at a place."""
    return int(np.flatnonzero((layout.role == role) & (layout.place == place))[0])


def _greedy(model, sequence, visual, steps):
    """Token after token through the whole model without a cache, embeddings put in by hand."""
    embedded = model.embed(sequence.ids).clone()
    embedded[sequence.ids == model.config.image_token_id] = visual.tokens
    positions, found = sequence.positions, []
    for _ in range(steps):
        rows = positions if len(positions) == 1 else positions[:, None]
        with torch.inference_mode():
            logits = model.weights(
                inputs_embeds=embedded[None],
                attention_mask=torch.ones(1, len(embedded), dtype=torch.long),
                position_ids=rows,
                use_cache=False,
            ).logits[0, -1]
        found.append(int(logits.argmax()))
        embedded = torch.cat([embedded, model.embed([found[-1]])])
        positions = torch.cat([positions, positions[:, -1:] + 1], dim=1)
    return found
