"""Decoders of tiny models over noise, and what the models themselves say of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tests.training.vlm.eager import eager
from tests.training.vlm.pictures import noise
from tests.training.vlm.tiny import FAMILIES
from training.ledger import Ledger
from training.vlm import PromptSequence, VisionLanguageModel, VisualTokens, open_model
from training.vlm.decoder import Decoder

QUESTION = "What is the total?"
SIZES = [(200, 150), (120, 90)]
THIN = [(30, 900), (25, 900)]
"""For LLaVA-NeXT, whose tiles make many tokens of anything that is not thin."""
KINDS = [*FAMILIES, "mistral"]


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
