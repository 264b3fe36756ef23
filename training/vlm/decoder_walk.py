"""A walk through the decoder's layers in which visual tokens are dropped on the way, for good."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from pinpoint_data.errors import TrainingError, UsageError
from training.vlm.layers import Angles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from training.vlm.decoder import Decoder

Queries = Literal["last", "text", "visual"]
Positions = Literal["original", "renumbered"]


class DecoderWalk:
    """What is left of a prompt on its way through the layers.

    Dropped tokens are gone: later layers run on a shorter sequence and attend to what is left, in its order. Until the
    first of them is dropped, layers are shared with the decoder and all its walks. Each layer is charged at its real
    length, under `decoder`.

    Args:
        decoder: The prompt.
        number: Of the walk, among those of this decoder.

    Attributes:
        decoder: As given.
        layer: That runs next, from 0.
        visual: (n,) int64: the grid tokens that are left, as indices into all N, in order.
        places: (n,) int64: where they stand in what is left.
        merged_places: (m,) int64: where tokens stand that were put in by `keep`.
        text_places: (t,) int64: where the text after the last image stands.
        positions: (p, S'): rotary positions of what is left.
        angles: The rotation of each place.
        slots: (S',) int64: the number of the visual token at each place, -1 for text and merged tokens.
    """

    def __init__(self, decoder: Decoder, number: int) -> None:
        self.decoder, self._number = decoder, number
        self.layer = 0
        self._pruned: Tensor | None = None  # hidden states, once they differ from the decoder's own
        self._before: Tensor | None = None  # input of the layer that ran last, where nothing was dropped since
        self.angles: Angles = decoder.angles
        self.positions, self.slots = decoder.sequence.positions.to(decoder.slots.device), decoder.slots
        self._token = torch.full_like(self.slots, -1)
        self._token[decoder.visual_places] = torch.arange(len(decoder.visual_places), device=self.slots.device)
        self._merged = torch.zeros_like(self.slots, dtype=torch.bool)
        self._text_length = len(decoder.text_places)
        self._locate()

    def __len__(self) -> int:
        return len(self._token)

    @property
    def last(self) -> int:
        """The last place of what is left."""
        return len(self) - 1

    @property
    def hidden(self) -> Tensor:
        """(S', d): the input of the layer that runs next."""
        return self.decoder.hidden(self.layer) if self._pruned is None else self._pruned

    def run_to(self, layer: int) -> None:
        """Run layers up to, and without, this one.

        Raises:
            UsageError: It is behind, or there is no such layer.
        """
        if not self.layer <= layer <= self.decoder.n_layers:
            raise UsageError(f"a walk at layer {self.layer} of {self.decoder.n_layers} cannot run to layer {layer}")
        if self._pruned is None:
            self.layer = layer
            return
        flops = self.decoder.layers.flops(len(self))
        while self.layer < layer:
            # The ledger keeps what `make` returns: nothing, as no other walk can use it.
            name = f"decoder.walk {self._number}.{self.layer}.{self.decoder.question}"
            self.decoder.ledger.once(name, self._step, flops=flops)

    def rows(self, queries: Queries | Sequence[int] | Tensor, of: Literal["next", "previous"] = "next") -> Tensor:
        """(heads, queries, S') float32: rows of attention over what is left.

        Args:
            queries: Places in what is left, or which of them: the last one, the text after the last image, or the grid
                tokens.
            of: The layer that runs next, or the one that ran last; nothing may have been dropped since.

        Raises:
            UsageError: There is no such layer or place.
        """
        layer, hidden = self._of(of)
        return self.decoder.layers.rows(layer, hidden, self.angles, self._places_of(queries))

    def received(self, queries: Queries | Sequence[int] | Tensor, of: Literal["next", "previous"] = "next") -> Tensor:
        """(S',) float32: the mean of `rows` over heads and queries, without making all of them at once.

        Raises:
            UsageError: There is no such layer or place.
        """
        layer, hidden = self._of(of)
        return self.decoder.layers.received(layer, hidden, self.angles, self._places_of(queries))

    def row_flops(self, queries: int) -> float:
        """Operations of `rows` of so many queries."""
        return self.decoder.layers.row_flops(queries, len(self))

    @torch.inference_mode()
    def keep(
        self,
        visual: Tensor,
        *,
        keep_merged: Tensor | None = None,
        merged: Tensor | None = None,
        merged_at: Tensor | None = None,
        positions: Positions = "original",
    ) -> None:
        """Drop all other grid tokens; whatever is no grid token of a page (text, a view of the whole, row ends) stays.

        Args:
            visual: Grid tokens that stay, as indices into all N; their order does not matter.
            keep_merged: Which of the tokens at `merged_places` stay, as indices into them; all of them by default.
            merged: (m, d): further tokens, put in behind the last image. They get no deepstack features.
            merged_at: (m,): the places, before anything is dropped, whose positions they take.
            positions: `original`: every token keeps its own. `renumbered`: what is left is counted from 0.

        Raises:
            TrainingError: A token that is to stay is not there any more, or `merged` and `merged_at` do not fit.
        """
        device = self._token.device
        wanted = torch.zeros(len(self.decoder.visual_places), dtype=torch.bool, device=device)
        wanted[visual.to(device)] = True
        stays = self._token < 0
        stays[self.places] = wanted[self.visual]
        if int(stays[self.places].sum()) < int(wanted.sum()):
            raise TrainingError("a walk through the decoder cannot keep tokens that it has dropped before")
        if keep_merged is not None:
            stays[self.merged_places] = False
            stays[self.merged_places[keep_merged.to(device)]] = True
        added = torch.zeros(0, dtype=torch.int64, device=device) if merged_at is None else merged_at.to(device)
        if len(added) != (0 if merged is None else len(merged)):
            raise TrainingError("tokens that are put into the decoder need a place each whose position they take")
        hidden = self.hidden
        split = len(self) - self._text_length
        new = torch.arange(len(self), len(self) + len(added), device=device)
        order = torch.cat([stays[:split].nonzero()[:, 0], new, self.text_places])
        source = torch.cat([torch.arange(len(self), device=device), added])[order]
        fresh = order >= len(self)
        if merged is not None:
            hidden = torch.cat([hidden, merged.to(hidden)])
        self._pruned = hidden[order.to(hidden.device)]
        self._token = self._token[source].masked_fill(fresh, -1)
        self.slots = self.slots[source].masked_fill(fresh, -1)
        self._merged = self._merged[source] | fresh
        self.positions = self.positions[:, source]
        if positions == "renumbered":
            self.positions = torch.arange(len(order), device=device).expand(len(self.positions), -1)
        self.angles, self._before = self.decoder.layers.angles(self.positions, self._pruned), None
        self._locate()

    def _step(self) -> None:
        self._before = self.hidden
        self._pruned = self.decoder.advance(self.layer, self._before, self.angles, self.slots)
        self.layer += 1

    def _locate(self) -> None:
        self.places = (self._token >= 0).nonzero()[:, 0]
        self.visual = self._token[self.places]
        self.merged_places = self._merged.nonzero()[:, 0]
        self.text_places = torch.arange(len(self) - self._text_length, len(self), device=self._token.device)

    def _of(self, which: Literal["next", "previous"]) -> tuple[int, Tensor]:
        """A layer and its input."""
        layer = self.layer if which == "next" else self.layer - 1
        if not 0 <= layer < self.decoder.n_layers:
            raise UsageError(f"a walk at layer {self.layer} of {self.decoder.n_layers} has no {which} layer")
        if which == "next":
            return layer, self.hidden
        if self._pruned is None:
            return layer, self.decoder.hidden(layer)
        if self._before is None:
            raise UsageError("the layer that ran last saw other tokens than are left now")
        return layer, self._before

    def _places_of(self, queries: Queries | Sequence[int] | Tensor) -> Tensor:
        if isinstance(queries, str):
            known = {"last": torch.tensor([self.last]), "text": self.text_places, "visual": self.places}
            return known[queries]
        return torch.as_tensor(queries)
