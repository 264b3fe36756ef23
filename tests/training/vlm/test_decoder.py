"""Layers run one at a time, beside the model's own forward and eager attention; walks that drop tokens on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pinpoint_data.errors import TrainingError, UsageError
from tests.training.vlm.eager import Largest, eager
from tests.training.vlm.pictures import noise
from tests.training.vlm.tiny import FAMILIES, tiny_model_folder
from training.flops import ModelShape, prefill_flops
from training.ledger import Cost, Ledger
from training.vlm import GRID, PromptSequence, VisionLanguageModel, VisualTokens, open_model
from training.vlm.decoder import Decoder

Open = Callable[..., VisionLanguageModel]
QUESTION = "What is the total?"
SIZES = [(200, 150), (120, 90)]
THIN = [(30, 900), (25, 900)]
"""For LLaVA-NeXT, whose tiles make many tokens of anything that is not thin."""
KINDS = [*FAMILIES, "mistral"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, model_folder: Callable[[str], Path]) -> Callable[[str], Path]:
    """As `model_folder`, and LLaVA-NeXT on Mistral with a window of 300 tokens."""

    def found(kind: str) -> Path:
        return mistral if kind == "mistral" else model_folder(kind)

    mistral = tiny_model_folder("llava-next", tmp_path_factory.mktemp("decoder") / "mistral", text="mistral")
    return found


def sizes_of(model: VisionLanguageModel) -> list[tuple[int, int]]:
    return THIN if model.family == "llava-next" else SIZES


def opened(folder: Path, *, with_eager: bool = False) -> VisionLanguageModel:
    model = eager(folder) if with_eager else open_model(folder, dtype="float32", device="cpu", language=True)
    if folder.name == "mistral":
        model.weights.config.text_config.sliding_window = 300
    return model


def decoder_of(
    model: VisionLanguageModel, *sizes: tuple[int, int], question: str = QUESTION, ledger: Ledger | None = None
) -> Decoder:
    layouts = [model.layout(*size) for size in sizes]
    visual = model.encode([noise(*size) for size in sizes], layouts)
    return Decoder(model, question, layouts, visual, ledger=ledger or Ledger())


@contextmanager
def layer_inputs(model: VisionLanguageModel) -> Iterator[list[Tensor]]:
    """What every layer of the decoder is given while inside."""
    seen: list[Tensor] = []

    def catch(_: Any, args: tuple[Tensor, ...], __: Any) -> None:
        seen.append(args[0][0].clone())

    layers = model.inner.language_model.layers
    handles = [layer.register_forward_pre_hook(catch, with_kwargs=True) for layer in layers]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def attentions(reference: VisionLanguageModel, sequence: PromptSequence, visual: VisualTokens) -> list[Tensor]:
    """(heads, S, S) of each layer, from eager attention."""
    with torch.no_grad():
        inputs = reference.decoder_inputs(sequence, visual)
        out = reference.weights(**inputs, output_attentions=True, use_cache=False)
    return [layer[0] for layer in out.attentions]


def logits(model: VisionLanguageModel, hidden: Tensor) -> Tensor:
    with torch.inference_mode():
        found: Tensor = model.weights.lm_head(model.inner.language_model.norm(hidden))
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_layers_alone_are_the_model_as_a_whole(folder: Callable[[str], Path], kind: str) -> None:
    model = opened(folder(kind))
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
def test_rows_are_those_of_eager_attention(folder: Callable[[str], Path], kind: str) -> None:
    model, reference = opened(folder(kind)), opened(folder(kind), with_eager=True)
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


def test_questions_do_not_share_layers(tiny_model: Open) -> None:
    ledger = Ledger()
    model = tiny_model("qwen2-vl")
    one, other = (decoder_of(model, (60, 60), question=q, ledger=ledger) for q in ("What?", "Who?"))
    assert not torch.equal(one.hidden(1)[-5:], other.hidden(1)[-5:])


def without(decoder: Decoder, kept: Tensor) -> tuple[PromptSequence, VisualTokens]:
    """The prompt with these grid tokens only, at their original positions."""
    gone = set(decoder.visual_places.tolist()) - set(decoder.visual_places[kept].tolist())
    places = torch.tensor([place for place in range(len(decoder.sequence)) if place not in gone])
    slots = decoder.slots[places]
    return decoder.sequence.take(places), decoder.visual.take(slots[slots >= 0])


@pytest.mark.parametrize("kind", KINDS)
def test_tokens_dropped_at_once_are_as_if_never_there(folder: Callable[[str], Path], kind: str) -> None:
    model, reference = opened(folder(kind)), opened(folder(kind), with_eager=True)
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


@pytest.mark.parametrize("family", ["llava-next", "qwen2-vl"])
def test_tokens_put_in_stand_behind_the_last_image(tiny_model: Open, family: str) -> None:
    """Merged tokens are further visual tokens at the positions of others; here copies, whose prompt can be written."""
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
    both = VisualTokens.cat([visual, decoder.visual.take(decoder.slots[places])])
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
    layouts = [model.layout(60, 60)]
    visual = model.encode([noise(60, 60)], layouts)
    tower = open_model(model_folder("qwen2-vl"), dtype="float32", device="cpu")
    with pytest.raises(TrainingError, match="without its language model"):
        Decoder(tower, QUESTION, layouts, visual, ledger=Ledger())
    with pytest.raises(TrainingError, match="room for 4 visual tokens, got 8"):
        Decoder(model, QUESTION, layouts, visual * 2, ledger=Ledger())
