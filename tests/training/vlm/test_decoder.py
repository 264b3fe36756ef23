"""Layers run one at a time, beside the model's own forward and eager attention."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pinpoint_data.errors import TrainingError, UsageError
from tests.training.vlm.decoders import (
    KINDS,
    QUESTION,
    attentions,
    decoder_of,
    layer_inputs,
    logits,
    opened,
    sizes_of,
)
from tests.training.vlm.eager import Largest
from tests.training.vlm.pictures import noise
from tests.training.vlm.tiny import FAMILIES, tiny_model_folder
from training.flops import ModelShape, prefill_flops
from training.ledger import Cost, Ledger
from training.vlm import GRID, VisionLanguageModel, open_model
from training.vlm.decoder import Decoder

Open = Callable[..., VisionLanguageModel]


@pytest.mark.parametrize("kind", KINDS)
def test_layers_alone_are_the_model_as_a_whole(decoder_folder: Callable[[str], Path], kind: str) -> None:
    model = opened(decoder_folder(kind))
    decoder = decoder_of(model, *sizes_of(model))
    with layer_inputs(model) as inputs:
        expected = model.logits(decoder.sequence, decoder.visual)
    assert decoder.n_layers == len(inputs) == 2
    for layer, own in enumerate(inputs):
        assert torch.equal(decoder.hidden(layer), own)
    assert torch.equal(logits(model, decoder.hidden(2)), expected)
    walk = decoder.walk()
    walk.run_to(2)
    assert torch.equal(walk.hidden, decoder.hidden(2))


@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_those_of_eager_attention(decoder_folder: Callable[[str], Path], kind: str) -> None:
    model, reference = opened(decoder_folder(kind)), opened(decoder_folder(kind), with_eager=True)
    decoder = decoder_of(model, *sizes_of(model))
    queries = [decoder.last, 0, len(decoder.sequence) // 2, 41]
    for layer, own in enumerate(attentions(reference, decoder.sequence, decoder.visual)):
        rows = decoder.rows(layer, queries)
        torch.testing.assert_close(rows, own[:, queries], atol=1e-6, rtol=1e-4)
        torch.testing.assert_close(rows.sum(-1), torch.ones(4, 4))
        torch.testing.assert_close(decoder.received(layer, queries), own[:, queries].mean(dim=(0, 1)))
        assert rows.dtype == torch.float32
    if kind == "mistral":
        assert (rows[:, 0, :-300] == 0).all() and (rows[:, 0, -300:] > 0).all()


def test_many_queries_go_some_at_a_time(tiny_model: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = decoder_of(tiny_model("qwen2-vl"), (200, 150))
    whole = decoder.rows(1, decoder.visual_places)
    received = decoder.received(1, decoder.visual_places)
    monkeypatch.setattr("training.vlm.layers.chunk_length", lambda *_: 3)
    torch.testing.assert_close(decoder.rows(1, decoder.visual_places), whole)
    torch.testing.assert_close(decoder.received(1, decoder.visual_places), received)


def test_half_precision_rows_are_float32(model_folder: Callable[[str], Path], tiny_model: Open) -> None:
    half = open_model(model_folder("qwen2-vl"), dtype="bfloat16", device="cpu", language=True)
    decoder = decoder_of(half, (200, 150))
    rows = decoder.rows(0, [decoder.last])
    assert rows.dtype == torch.float32 and decoder.hidden(1).dtype == torch.bfloat16
    torch.testing.assert_close(rows.sum(-1), torch.ones(4, 1))
    # The first layer sees nothing but rounded inputs: its rows differ by that and not by rounded weights.
    exact = decoder_of(tiny_model("qwen2-vl"), (200, 150)).rows(0, [decoder.last])
    assert torch.corrcoef(torch.stack([rows.flatten(), exact.flatten()]))[0, 1] > 0.99


@pytest.mark.parametrize("family", ["llava-next", "qwen2-vl"])
def test_no_map_of_all_tokens_by_all_tokens(tiny_model: Open, family: str) -> None:
    decoder = decoder_of(tiny_model(family), (600, 600), (600, 600))
    with Largest() as largest:
        decoder.rows(1, [decoder.last])
    heads, width, length = 4, 96, len(decoder.sequence)
    assert largest.numel <= length * max(heads, width) < length**2 / 4


@pytest.mark.parametrize("family", FAMILIES)
def test_values_carry_no_position(tiny_model: Open, family: str) -> None:
    model = tiny_model(family)
    decoder = decoder_of(model, *sizes_of(model))
    layer = model.inner.language_model.layers[1]
    with torch.no_grad():
        flat = layer.self_attn.v_proj(layer.input_layernorm(decoder.hidden(1)))
    values = decoder.values(1)
    assert values.shape == (2, len(decoder.sequence), 16)
    for head in range(2):
        torch.testing.assert_close(values[head], flat[:, 16 * head : 16 * head + 16])


@pytest.mark.parametrize("family", FAMILIES)
def test_where_tokens_stand(tiny_model: Open, family: str) -> None:
    model = tiny_model(family)
    decoder = decoder_of(model, *sizes_of(model))
    ids, tokenizer = decoder.sequence.ids, model.tokenizer
    on_grid = [layout.role == GRID for layout in (model.layout(*size) for size in sizes_of(model))]
    slots = (ids == model.config.image_token_id).nonzero()[:, 0]
    assert torch.equal(decoder.visual_places, slots[torch.from_numpy(np.concatenate(on_grid))])
    assert torch.equal(decoder.hidden(0)[slots], decoder.visual.tokens)
    assert tokenizer.decode(ids[decoder.question_places]) == QUESTION
    assert decoder.text_places.tolist() == list(range(int(slots[-1]) + 1, len(ids)))
    assert decoder.last == len(ids) - 1 == int(decoder.text_places[-1])


def test_question_that_the_template_swallowed(tiny_model: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model("qwen2-vl")
    decoder = decoder_of(model, (60, 60))
    monkeypatch.setattr(model, "question_ids", lambda _: [5, 5, 5])
    assert torch.equal(decoder.question_places, decoder.text_places)


def test_layers_run_once_and_are_charged_to_all(tiny_model: Open) -> None:
    model = tiny_model("qwen2-vl")
    ticks = iter(range(1000))
    ledger = Ledger(lambda: float(next(ticks)))
    decoder = decoder_of(model, (200, 150), ledger=ledger)
    a_layer = prefill_flops(ModelShape.of(model.config), len(decoder.sequence))
    flops = (a_layer["linear"] + a_layer["attention"]) / 2
    with layer_inputs(model) as ran:
        *_, first = ledger.charged(lambda: decoder.rows(1, [decoder.last]))
        assert len(ran) == 1  # the rows of layer 1 need no more than its input
        *_, second = ledger.charged(lambda: decoder.received(1, [0]))
        *_, inputs = ledger.charged(lambda: decoder.hidden(0))
        *_, both = ledger.charged(lambda: decoder.hidden(2))
        assert len(ran) == 2
    assert first == second == {"decoder": Cost(2.0, flops)}
    assert inputs == {"decoder": Cost(1.0, 0.0)} and both == {"decoder": Cost(3.0, 2 * flops)}


def test_layers_between_are_not_kept(tmp_path: Path) -> None:
    """The input of a layer that nobody asked for is let go of, made again on request, and charged once all the same."""
    folder = tiny_model_folder("qwen2-vl", tmp_path / "qwen2-vl", layers=6)
    model = open_model(folder, dtype="float32", device="cpu", language=True)
    ledger = Ledger()
    decoder, whole = decoder_of(model, (200, 150), ledger=ledger), decoder_of(model, (200, 150))
    expected = [whole.hidden(layer) for layer in range(6)]
    made: list[weakref.ref[Tensor]] = []
    advance = decoder.advance

    def watched(*args: Any) -> Tensor:
        found = advance(*args)
        made.append(weakref.ref(found))
        return found

    decoder.advance = watched  # type: ignore[method-assign]
    flops = decoder.layers.flops(len(decoder.sequence))
    # (asked for, layers that run, inputs of how many layers are held beside that of the first)
    for layer, ran, held in ((5, 5, 1), (5, 0, 1), (2, 2, 2), (4, 2, 3), (3, 1, 4), (1, 1, 5)):
        before = len(made)
        found, _, costs = ledger.charged(lambda layer=layer: decoder.hidden(layer))
        assert torch.equal(found, expected[layer])
        assert costs["decoder"].flops == layer * flops
        assert len(made) - before == ran and sum(one() is not None for one in made) == held


def test_what_is_made_again_costs_what_it_did(tiny_model: Open) -> None:
    ticks = iter([0.0, 2.0, 10.0, 15.0, 20.0, 27.0])
    ledger = Ledger(lambda: next(ticks))
    assert ledger.once("decoder.1", lambda: "one", flops=3.0) == "one"
    ledger.forget("decoder.1")
    made, own, costs = ledger.charged(lambda: ledger.once("decoder.1", lambda: "other"))
    # From 15 to 20 it was made again: no work of whoever asked, and no news to the bill.
    assert made == "other" and own == 17 - 5 and costs == {"decoder": Cost(2.0, 3.0)}
    ticks = iter([0.0, 1.0])
    assert ledger.charged(lambda: ledger.charge(["decoder.1"]))[2] == costs


def test_questions_do_not_share_layers(tiny_model: Open) -> None:
    ledger = Ledger()
    model = tiny_model("qwen2-vl")
    one, other = (decoder_of(model, (60, 60), question=q, ledger=ledger) for q in ("What?", "Who?"))
    assert not torch.equal(one.hidden(1)[-5:], other.hidden(1)[-5:])


def test_what_there_is_not(tiny_model: Open, model_folder: Callable[[str], Path]) -> None:
    model = tiny_model("qwen2-vl")
    decoder = decoder_of(model, (200, 150))
    for ask in (decoder.hidden, decoder.values):
        with pytest.raises(UsageError, match="no decoder layer 3; there are 2"):
            ask(3)
    with pytest.raises(UsageError, match="no decoder layer 2; there are 2"):
        decoder.rows(2, [0])
    for queries in ([], [-1], [len(decoder.sequence)]):
        with pytest.raises(UsageError, match=f"place in a sequence of {len(decoder.sequence)}"):
            decoder.rows(0, queries)
    layouts = [model.layout(60, 60)]
    visual = model.encode([noise(60, 60)], layouts)
    tower = open_model(model_folder("qwen2-vl"), dtype="float32", device="cpu")
    with pytest.raises(TrainingError, match="without its language model"):
        Decoder(tower, QUESTION, layouts, visual, ledger=Ledger())
    with pytest.raises(TrainingError, match="room for 4 visual tokens, got 8"):
        Decoder(model, QUESTION, layouts, visual * 2, ledger=Ledger())


def test_layers_that_are_offloaded(model_folder: Callable[[str], Path]) -> None:
    inner = ("visual", *(f"language_model.{name}" for name in ("embed_tokens", "norm", "rotary_emb", "layers.0")))
    places = {f"model.{name}": "cpu" for name in inner}
    places |= {"model.language_model.layers.1": "disk", "lm_head": "disk"}
    model = open_model(model_folder("qwen2-vl"), dtype="float32", language=True, device_map=places)
    with pytest.raises(TrainingError, match="has 1 decoder layers that the device map offloads, layer 1 first"):
        decoder_of(model, (60, 60))
