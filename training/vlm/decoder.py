"""A question over its pages inside the language model: hidden states and attention of any layer, each made once.

decoder = Decoder(model, question, layouts, visual, ledger=Ledger())
decoder.rows(1, [decoder.last])[:, 0, decoder.visual_places]      # what the last token looks at in layer 1
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial

import numpy as np
import torch
from torch import Tensor

from pinpoint_data.errors import UsageError
from training.ledger import Ledger
from training.vlm.decoder_walk import DecoderWalk
from training.vlm.layers import Angles, LanguageLayers
from training.vlm.layout import GRID, ImageLayout, PromptSequence, VisualTokens
from training.vlm.model import VisionLanguageModel


class Decoder:
    """The prompt of a question over some pages, and what the layers of the language model make of it.

    Whoever uses a layer's input is charged for all layers before it, under `decoder`, whoever asked first. Inputs that
    were asked for are kept, S x d numbers each in the model's type; those of the layers between are not, and are made
    again from the nearest one before them if someone asks: 28 of 30,000 tokens would take 6 GB of a 7B model.

    Args:
        model: Opened with its language model.
        question: What is asked.
        layouts: Of the pages.
        visual: All their visual tokens, as `model.encode` gives them.
        ledger: What making hidden states costs goes here.

    Attributes:
        model: As given.
        question: As given.
        sequence: The prompt, S tokens.
        layers: The language model's layers.
        visual: All visual tokens, end to end.
        ledger: As given.

    Raises:
        UsageError: The question is empty.
        TrainingError: The model was opened without its language model, or there are more or fewer visual tokens than
            the layouts say.
    """

    def __init__(
        self,
        model: VisionLanguageModel,
        question: str,
        layouts: Sequence[ImageLayout],
        visual: Sequence[VisualTokens],
        *,
        ledger: Ledger,
    ) -> None:
        self.model, self.question, self.ledger = model, question, ledger
        self.visual = VisualTokens.cat(list(visual))
        self.sequence: PromptSequence = model.assemble(model.prompt(question, len(layouts)), layouts)
        # What the model's forward would take: there is a language model, and a place for each visual token.
        model.decoder_inputs(self.sequence, self.visual)
        self.layers = LanguageLayers(model)
        self._roles = np.concatenate([layout.role for layout in layouts])
        self._walks = 0

    @property
    def n_layers(self) -> int:
        """L."""
        return len(self.layers)

    @cached_property
    def slots(self) -> Tensor:
        """(S,) int64: the number of the visual token at each place, -1 for text."""
        seen = self.sequence.image >= 0
        return torch.where(seen, seen.cumsum(0) - 1, -1).to(self.model.device)

    @cached_property
    def visual_places(self) -> Tensor:
        """(N,) int64: where the grid tokens of all pages stand, page after page and each in raster order."""
        on_grid = torch.from_numpy(self._roles == GRID).to(self.slots.device)
        return (self.slots >= 0).nonzero()[:, 0][on_grid]

    @cached_property
    def text_places(self) -> Tensor:
        """(t,) int64: everything after the last image: the question and the template around it."""
        first = int((self.slots >= 0).nonzero()[-1]) + 1
        return torch.arange(first, len(self.sequence), device=self.slots.device)

    @cached_property
    def question_places(self) -> Tensor:
        """(m,) int64: where the question's own tokens stand after the last image.

        All of `text_places` where they are not found there as such: a tokenizer may join a question's first or last
        letters with the template around it.
        """
        own = self.model.question_ids(self.question)
        after = self.sequence.ids[self.text_places.cpu()].tolist()
        starts = [start for start in range(len(after) - len(own) + 1) if after[start : start + len(own)] == own]
        return self.text_places[starts[0] : starts[0] + len(own)] if starts else self.text_places

    @property
    def last(self) -> int:
        """The last place of the prompt, which the first token of the answer is predicted from."""
        return len(self.sequence) - 1

    @cached_property
    def angles(self) -> Angles:
        """The rotation of each place of the whole sequence."""
        return self.layers.angles(self.sequence.positions, self.visual.tokens)

    def hidden(self, layer: int) -> Tensor:
        """(S, d): the input of a layer, from 0, over the whole sequence; of `n_layers`, what the last one gives.

        Raises:
            UsageError: There is no such layer.
        """
        if not 0 <= layer <= self.n_layers:
            raise UsageError(f"there is no decoder layer {layer}; there are {self.n_layers}")
        names = [f"decoder.{number}.{self.question}" for number in range(layer + 1)]
        start = max((number for number in range(layer + 1) if self.ledger.holds(names[number])), default=0)
        self.ledger.charge(names[:start])
        found = self.ledger.once(names[start], self._embedded)
        flops = self.layers.flops(len(self.sequence))
        for number in range(start, layer):
            make = partial(self.advance, number, found, self.angles, self.slots)
            found = self.ledger.once(names[number + 1], make, flops=flops)
            if number > start:
                self.ledger.forget(names[number])
        return found

    def rows(self, layer: int, queries: Sequence[int] | Tensor) -> Tensor:
        """(heads, queries, S) float32: rows of a layer's attention; each sums to 1.

        Args:
            layer: From 0.
            queries: Places in the sequence whose attention is wanted, from 0.

        Raises:
            UsageError: There is no such layer or place.
        """
        return self.layers.rows(layer, self._input(layer), self.angles, torch.as_tensor(queries))

    def received(self, layer: int, queries: Sequence[int] | Tensor) -> Tensor:
        """(S,) float32: the mean of `rows` over heads and queries, without making all of them at once.

        Raises:
            UsageError: There is no such layer or place.
        """
        return self.layers.received(layer, self._input(layer), self.angles, torch.as_tensor(queries))

    def values(self, layer: int) -> Tensor:
        """(key-value heads, S, head width) float32: the value vectors of a layer's attention.

        Raises:
            UsageError: There is no such layer.
        """
        return self.layers.values(layer, self._input(layer))

    def row_flops(self, queries: int) -> float:
        """Operations of `rows` of so many queries, the layers before them apart."""
        return self.layers.row_flops(queries, len(self.sequence))

    def walk(self) -> DecoderWalk:
        """A new walk through the layers, in which visual tokens can be dropped on the way."""
        self._walks += 1
        return DecoderWalk(self, self._walks)

    @torch.inference_mode()
    def advance(self, layer: int, hidden: Tensor, angles: Angles, slots: Tensor) -> Tensor:
        """The input of the next layer from that of this one; Qwen3-VL adds features to its visual tokens between.

        Args:
            layer: That runs, from 0.
            hidden: (S', d), its input: the whole sequence, or what is left of it.
            angles: The rotation of each place.
            slots: (S',): the number of the visual token at each place, -1 where there is none.
        """
        made = self.layers.run(layer, hidden, angles)
        if layer < len(self.visual.deepstack):
            slots = slots.to(made.device)
            places = (slots >= 0).nonzero()[:, 0]
            made[places] += self.visual.deepstack[layer].to(made)[slots[places]]
        return made

    def _input(self, layer: int) -> Tensor:
        if layer == self.n_layers:
            raise UsageError(f"there is no decoder layer {layer}; there are {self.n_layers}")
        return self.hidden(layer)

    @torch.inference_mode()
    def _embedded(self) -> Tensor:
        hidden = self.model.embed(self.sequence.ids)
        hidden[(self.slots >= 0).nonzero()[:, 0]] = self.visual.tokens.to(hidden)
        return hidden
