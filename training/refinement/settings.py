"""How selected tokens become what the language model reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pinpoint_data.errors import UsageError
from training.refinement.crops import Regions
from training.selection.select import MAX_WASTE

Positions = Literal["packed", "original"]


@dataclass(frozen=True)
class Refinement:
    """Settings of stage two.

    Attributes:
        refine: Encode the selected regions anew, as crops of the page's own pixels; else the selected tokens of the
            page are read as they are, at their places in the full page.
        regions: `components`: crops around connected selected tokens. `windows`: each selected window alone.
        global_view: Show the whole page too, in front of its regions: LLaVA-NeXT's base view, which is there already;
            for Qwen-VL a thumbnail. Without `refine` it decides about LLaVA-NeXT's base view alone.
        global_tokens: The most tokens of a thumbnail.
        positions: `packed`: each crop as an image of its own. `original`: each crop's token at the position of the
            page's token that it lies in. None: what suits the model, see `positions_for`.
        zoom: How much finer than the page a crop is encoded, along each side: 2 gives four times the tokens.
        max_tokens_region: The most tokens of one crop.
        max_waste: Share of a crop that may lie outside the selection, for `components`. Each crop of LLaVA-NeXT takes
            a tile of 576 patches at least, however small it is. Of 80 questions over single pages, selected by their
            words, a coverage of 0.6 came to 6.2 tiles on average and 34 at most; with 0.3 to 4.3 and 7, the same tokens
            spread over a sixth more area.

    Raises:
        UsageError: A setting outside its range, or one that has no meaning without `refine`.
    """

    refine: bool = True
    regions: Regions = "components"
    global_view: bool = False
    global_tokens: int = 144
    positions: Positions | None = None
    zoom: float = 1.0
    max_tokens_region: int | None = None
    max_waste: float = MAX_WASTE

    def __post_init__(self) -> None:
        if self.regions not in ("components", "windows"):
            raise UsageError(f"regions must be components or windows, got {self.regions!r}")
        if self.positions not in (None, "packed", "original"):
            raise UsageError(f"positions must be packed or original, got {self.positions!r}")
        if not self.refine and self.positions == "packed":
            raise UsageError("tokens that are not refined keep their original positions; packed needs refinement")
        if not self.refine and (self.regions, self.zoom, self.max_tokens_region) != ("components", 1.0, None):
            raise UsageError("regions, zoom and max_tokens_region are about crops; they need refinement")
        if not 0.1 <= self.zoom <= 10:
            raise UsageError(f"zoom must be from 0.1 to 10, got {self.zoom}")
        for name in ("global_tokens", "max_tokens_region"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name} must be at least 1, got {value}")
        if not 0 <= self.max_waste < 1:
            raise UsageError(f"max_waste must be in [0, 1), got {self.max_waste}")

    def positions_for(self, family: str) -> Positions:
        """The positions asked for; else original for models whose positions are two-dimensional, packed for others."""
        return self.positions or ("packed" if family == "llava-next" else "original")
