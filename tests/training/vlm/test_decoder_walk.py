"""Walks through the decoder that drop tokens on the way, beside prompts and models that never had them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from pinpoint_data.errors import TrainingError, UsageError
from tests.training.vlm.decoders import KINDS, THIN, attentions, decoder_of, layer_inputs, logits, opened, sizes_of
from training.flops import ModelShape, prefill_flops
from training.ledger import Ledger
from training.vlm import PromptSequence, VisionLanguageModel, VisualTokens
from training.vlm.decoder import Decoder

Open = Callable[..., VisionLanguageModel]


def without(decoder: Decoder, kept: Tensor) -> tuple[PromptSequence, VisualTokens]:
    """The prompt with these grid tokens only, at their original positions."""
    gone = set(decoder.visual_places.tolist()) - set(decoder.visual_places[kept].tolist())
    places = torch.tensor([place for place in range(len(decoder.sequence)) if place not in gone])
    slots = decoder.slots[places]
    return decoder.sequence.take(places), decoder.visual.take(slots[slots >= 0])


@pytest.mark.parametrize("kind", KINDS)
def test_tokens_dropped_at_once_are_as_if_never_there(decoder_folder: Callable[[str], Path], kind: str) -> None:
    model, reference = opened(decoder_folder(kind)), opened(decoder_folder(kind), with_eager=True)
    decoder = decoder_of(model, *sizes_of(model))
    kept = torch.arange(1, len(decoder.visual_places), 3)
    sequence, visual = without(decoder, kept)
    walk = decoder.walk()
    walk.keep(kept.flip(0))
    assert torch.equal(walk.visual, kept) and len(walk) == len(sequence)
    own = attentions(reference, sequence, visual)
    for layer in range(2):
        walk.run_to(layer)
        torch.testing.assert_close(walk.rows("last")[:, 0], own[layer][:, -1], atol=1e-6, rtol=1e-4)
        text = walk.received("text")
        torch.testing.assert_close(text, own[layer][:, walk.text_places].mean(dim=(0, 1)), atol=1e-6, rtol=1e-4)
        grid = walk.rows("visual")
        torch.testing.assert_close(grid, own[layer][:, walk.places], atol=1e-6, rtol=1e-4)
    walk.run_to(2)
    torch.testing.assert_close(walk.rows([3], of="previous")[:, 0], own[1][:, 3], atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(logits(model, walk.hidden), model.logits(sequence, visual), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_tokens_dropped_on_the_way_are_hidden_from_there_on(decoder_folder: Callable[[str], Path], kind: str) -> None:
    """Beside a whole eager model whose second layer may look at none of them; windows count what is left."""
    model, reference = opened(decoder_folder(kind)), opened(decoder_folder(kind), with_eager=True)
    decoder = decoder_of(model, *sizes_of(model))
    kept = torch.arange(0, len(decoder.visual_places), 2)
    stays = torch.ones(len(decoder.sequence), dtype=torch.bool)
    stays[decoder.visual_places] = False
    stays[decoder.visual_places[kept]] = True
    place = stays.cumsum(0)
    seen = (stays & torch.ones(len(stays), len(stays)).tril().bool()) | torch.eye(len(stays)).bool()
    if kind == "mistral":
        assert stays.sum() > 400
        seen &= place[:, None] - place < 300
    mask = torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min)[None, None]

    def blinkered(_: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        return args, kwargs | {"attention_mask": mask}

    handle = reference.inner.language_model.layers[1].register_forward_pre_hook(blinkered, with_kwargs=True)
    expected = reference.logits(decoder.sequence, decoder.visual)[stays]
    handle.remove()
    walk = decoder.walk()
    walk.run_to(1)
    walk.keep(kept)
    walk.run_to(2)
    torch.testing.assert_close(logits(model, walk.hidden), expected, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(expected, model.logits(decoder.sequence, decoder.visual)[stays], atol=1e-3)


def test_positions_counted_anew(tiny_model: Open) -> None:
    model = tiny_model("llava-next")
    decoder = decoder_of(model, *THIN)
    kept = torch.arange(5, 60)
    whole, visual = without(decoder, kept)
    sequence = PromptSequence(whole.ids, torch.arange(len(whole))[None], whole.image)
    walk = decoder.walk()
    walk.keep(kept, positions="renumbered")
    walk.run_to(2)
    torch.testing.assert_close(logits(model, walk.hidden), model.logits(sequence, visual), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(logits(model, walk.hidden), model.logits(whole, visual), atol=1e-3)


@pytest.mark.parametrize("family", ["llava-next", "qwen2-vl", "qwen3-vl"])
def test_tokens_put_in_stand_behind_the_last_image(tiny_model: Open, family: str) -> None:
    """Merged tokens are further visual tokens at the positions of others; here copies, whose prompt can be written.

    They are of no one place on the page: what Qwen3-VL adds to visual tokens between layers, they do not get.
    """
    model = tiny_model(family)
    decoder = decoder_of(model, *sizes_of(model))
    kept, copied = torch.arange(4, 20), torch.tensor([7, 30])
    whole, visual = without(decoder, kept)
    text = len(whole) - len(decoder.text_places)
    places = decoder.visual_places[copied]
    sequence = PromptSequence(
        torch.cat([whole.ids[:text], decoder.sequence.ids[places], whole.ids[text:]]),
        torch.cat([whole.positions[:, :text], decoder.sequence.positions[:, places], whole.positions[:, text:]], dim=1),
        torch.cat([whole.image[:text], torch.tensor([1, 1]), whole.image[text:]]),
    )
    nothing = tuple(torch.zeros_like(layer[:2]) for layer in decoder.visual.deepstack)
    copies = decoder.visual.take(decoder.slots[places]).tokens
    both = VisualTokens.cat([visual, VisualTokens(copies, nothing)])
    walk = decoder.walk()
    walk.keep(kept, merged=walk.hidden[places], merged_at=places)
    assert walk.merged_places.tolist() == [text, text + 1] and torch.equal(walk.visual, kept)
    assert walk.text_places.tolist() == list(range(text + 2, len(sequence)))
    walk.run_to(1)
    torch.testing.assert_close(
        logits(model, walk.decoder.advance(1, walk.hidden, walk.angles, walk.slots)),
        model.logits(sequence, both),
        atol=1e-5,
        rtol=1e-5,
    )
    # The next ones are put in behind those that stay.
    walk.keep(kept[:3], keep_merged=torch.tensor([1]), merged=walk.hidden[:1] * 0 + 9, merged_at=torch.tensor([0]))
    assert walk.merged_places.tolist() == [text - 13, text - 12] and len(walk.visual) == 3
    assert (walk.hidden[text - 12] == 9).all() and not (walk.hidden[text - 13] == 9).all()


def test_walk_is_charged_at_its_real_length(tiny_model: Open) -> None:
    model = tiny_model("qwen2-vl")
    ledger = Ledger()
    decoder = decoder_of(model, (200, 150), ledger=ledger)

    def work() -> None:
        walk = decoder.walk()
        walk.run_to(1)
        walk.keep(torch.arange(6))
        walk.run_to(2)

    def flops(tokens: int) -> float:
        count = prefill_flops(ModelShape.of(model.config), tokens)
        return (count["linear"] + count["attention"]) / 2

    less = len(decoder.sequence) - len(decoder.visual_places) + 6
    with layer_inputs(model) as ran:
        for _ in range(2):
            *_, charged = ledger.charged(work)
            assert charged["decoder"].flops == flops(len(decoder.sequence)) + flops(less)
    assert [len(hidden) for hidden in ran] == [len(decoder.sequence), less, less]  # the first layer is shared


def test_ways_that_there_are_not(tiny_model: Open) -> None:
    decoder = decoder_of(tiny_model("qwen2-vl"), (200, 150))
    walk = decoder.walk()
    with pytest.raises(UsageError, match="no previous layer"):
        walk.rows("last", of="previous")
    walk.run_to(1)
    walk.rows("last", of="previous")
    walk.keep(torch.tensor([3, 4]))
    with pytest.raises(UsageError, match="saw other tokens"):
        walk.rows("last", of="previous")
    with pytest.raises(UsageError, match="cannot run to layer 0"):
        walk.run_to(0)
    with pytest.raises(TrainingError, match="dropped before"):
        walk.keep(torch.tensor([3, 5]))
    with pytest.raises(TrainingError, match="a place each"):
        walk.keep(torch.tensor([3]), merged=walk.hidden[:1])
    walk.run_to(2)
    with pytest.raises(UsageError, match="no next layer"):
        walk.rows("last")
