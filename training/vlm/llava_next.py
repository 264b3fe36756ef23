"""LLaVA-NeXT (Vicuna and Mistral checkpoints): a squashed view of the whole page, then a mosaic of tiles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor
from transformers import CLIPImageProcessorPil, LlavaNextImageProcessorPil

from pinpoint_data.errors import TrainingError
from pinpoint_data.llava_next import llava_next_grid, llava_next_mosaic
from pinpoint_data.token_grid import TokenGrid, even_grid
from training.vlm.layout import GLOBAL, GRID, NEWLINE, ImageLayout, VisualTokens, fitting_grid
from training.vlm.model import VisionLanguageModel
from training.vlm.source import ModelSource
from training.vlm.text import MISTRAL, VICUNA

MAX_CROP_TILES = 4
"""The largest canvas of the published checkpoints: a crop has no more tokens than fit it, and is no longer than so many
tiles in a row."""


class LlavaNext(VisionLanguageModel):
    """LLaVA-NeXT.

    Args:
        source: Its files.
        config: A `LlavaNextConfig`.
        view: What windows slide over: `mosaic`, the tokens of the tiles with their padding cut off, or `base`, the
            page as one tile and nothing else. A page too narrow for a mosaic has the base view either way.
        options: As for `VisionLanguageModel`.
    """

    family = "llava-next"
    image_in_prompt = "{}\n"

    def __init__(self, source: ModelSource, config: Any, *, view: Literal["mosaic", "base"] = "mosaic", **options: Any):
        super().__init__(source, config, **options)
        if config.vision_feature_select_strategy != "default" or config.vision_config.model_type != "clip_vision_model":
            raise TrainingError(
                "only LLaVA-NeXT with a CLIP tower and the feature strategy 'default' is supported, got "
                f"{config.vision_config.model_type} and {config.vision_feature_select_strategy!r}",
                file=source.path,
            )
        if view not in ("mosaic", "base"):
            raise TrainingError(f"view must be 'mosaic' or 'base', got {view!r}")
        self.view = view
        self.processor = self._load_processor(LlavaNextImageProcessorPil)
        kept = ("do_rescale", "rescale_factor", "do_normalize", "image_mean", "image_std")
        # The page's processor would resize each tile, and make two of it; the arithmetic of both is the same.
        self._tile_processor = CLIPImageProcessorPil(
            do_resize=False, do_center_crop=False, **{name: getattr(self.processor, name) for name in kept}
        )
        self.tile: int = config.vision_config.image_size
        self.patch: int = config.vision_config.patch_size
        self.side = self.tile // self.patch
        self.pinpoints = tuple((int(height), int(width)) for height, width in config.image_grid_pinpoints)
        self._check_processor(lambda image: self._prepared([image]), self.tile)
        self.plain_prompt = MISTRAL if config.text_config.model_type == "mistral" else VICUNA

    @property
    def patches_a_pass(self) -> int:
        """40 tiles of 577 tokens."""
        return 40

    def settings(self) -> dict[str, Any]:
        """View, canvases, and what the processor does to pixels."""
        kept = (
            "crop_size",
            "do_normalize",
            "do_rescale",
            "image_mean",
            "image_std",
            "resample",
            "rescale_factor",
            "size",
        )
        return {"view": self.view, "pinpoints": [list(p) for p in self.pinpoints]} | self._processor_settings(kept)

    def layout(self, width: int, height: int) -> ImageLayout:
        """The base view, then the rows of the mosaic, each closed by a newline token."""
        mosaic = llava_next_mosaic(width, height, pinpoints=self.pinpoints, patch=self.patch)
        if self.view == "base" or mosaic.rows * mosaic.cols == 0:
            # Of a mosaic without tokens the model still writes a newline for each row, after a base view alone one.
            return self._base_layout(width, height, newlines=1 if self.view == "base" else mosaic.rows)
        base = np.arange(self.side * self.side)
        grid = llava_next_grid(width, height, pinpoints=self.pinpoints, tile=self.tile, patch=self.patch)
        role, place = _rows_with_newlines(grid)
        role = np.r_[np.full(len(base), GLOBAL), role].astype(np.int8)
        return ImageLayout(width, height, grid, role, np.r_[base, place], mosaic.canvas)

    def view_layout(self, width: int, height: int) -> ImageLayout | None:
        """The base view, where a mosaic follows it."""
        mosaic = llava_next_mosaic(width, height, pinpoints=self.pinpoints, patch=self.patch)
        if self.view == "base" or mosaic.rows * mosaic.cols == 0:
            return None
        return self._base_layout(width, height, newlines=0)

    def _base_layout(self, width: int, height: int, newlines: int) -> ImageLayout:
        grid = even_grid(self.side, self.side, width, height, "llava-next-base")
        role = np.r_[np.full(grid.n_tokens, GRID), np.full(newlines, NEWLINE)]
        place = np.r_[np.arange(grid.n_tokens), np.arange(newlines)]
        return ImageLayout(width, height, grid, role.astype(np.int8), place, (self.tile, self.tile))

    def crop_layout(self, width: int, height: int, tokens: int) -> ImageLayout:
        """Rows of tokens, each closed by a newline, in the middle of as few tiles as hold them."""
        rows, cols = fitting_grid(width, height, min(tokens, MAX_CROP_TILES * self.side**2))
        # A thin crop must not need a row of tiles that are mostly padding.
        rows, cols = min(rows, MAX_CROP_TILES * self.side), min(cols, MAX_CROP_TILES * self.side)
        grid = even_grid(rows, cols, width, height, "llava-next-crop")
        role, place = _rows_with_newlines(grid)
        canvas = -(-rows // self.side) * self.tile, -(-cols // self.side) * self.tile
        return ImageLayout(width, height, grid, role, place, canvas)

    def prepare(self, image: Image.Image, layout: ImageLayout) -> Tensor:
        """Tiles (n, 3, tile, tile): the base view first, where the layout has one."""
        if layout.grid.view == "llava-next-crop":
            return self._crop_tiles(image, layout)
        if layout.grid.view == "llava-next-base":
            return self._prepared([image.resize((self.tile, self.tile), Image.Resampling(self.processor.resample))])
        made = self.processor(images=image, image_grid_pinpoints=[list(p) for p in self.pinpoints], return_tensors="pt")
        tiles: Tensor = made["pixel_values"][0]
        return tiles

    def _crop_tiles(self, image: Image.Image, layout: ImageLayout) -> Tensor:
        rows, cols = layout.grid.rows, layout.grid.cols
        resized = image.resize((cols * self.patch, rows * self.patch), Image.Resampling.BICUBIC)
        height, width = layout.canvas
        top, left = self._crop_corner(layout)
        # As the processor pads a page: black before the colours are normalised.
        padded = Image.new("RGB", (width, height))
        padded.paste(resized, (left * self.patch, top * self.patch))
        tiles = [
            padded.crop((x, y, x + self.tile, y + self.tile))
            for y in range(0, height, self.tile)
            for x in range(0, width, self.tile)
        ]
        return self._prepared(tiles)

    def _prepared(self, tiles: Sequence[Image.Image]) -> Tensor:
        """Images of one tile's size, (n, 3, tile, tile), as the processor gives tiles to the tower."""
        pixels: Tensor = self._tile_processor(images=list(tiles), return_tensors="pt")["pixel_values"]
        return pixels

    def _crop_corner(self, layout: ImageLayout) -> tuple[int, int]:
        height, width = layout.canvas
        return (height // self.patch - layout.grid.rows) // 2, (width // self.patch - layout.grid.cols) // 2

    def encode_prepared(self, pixels: Sequence[Tensor], layouts: Sequence[ImageLayout]) -> list[VisualTokens]:
        """Tower and projector over all tiles at once, then each image's tiles put together."""
        tiles = torch.cat(list(pixels)).to(self.device, self.dtype)
        seen = self.inner.vision_tower(tiles, output_hidden_states=True)
        layers = self.config.vision_feature_layer
        wanted = [layers] if isinstance(layers, int) else layers
        features = torch.cat([seen.hidden_states[layer][:, 1:] for layer in wanted], dim=-1)
        projected = self.inner.multi_modal_projector(features)
        parts = torch.split(projected, [len(p) for p in pixels])
        newline = self.inner.image_newline.to(projected)
        return [VisualTokens(self.pack(part, layout, newline)) for part, layout in zip(parts, layouts, strict=True)]

    def pack(self, tiles: Tensor, layout: ImageLayout, newline: Tensor) -> Tensor:
        """(n, d): what an image's tiles (t, side * side, d) hold, in the language model's order.

        Args:
            tiles: Tokens, or anything else that there is one of for each token.
            layout: Of the image.
            newline: (d,) what closes a row.
        """
        if layout.grid.view == "llava-next-base":
            return torch.cat([tiles[0], newline.expand(int((layout.role == NEWLINE).sum()), -1)])
        is_crop = layout.grid.view == "llava-next-crop"
        if is_crop:
            top, left = self._crop_corner(layout)
        else:
            mosaic = llava_next_mosaic(layout.width, layout.height, pinpoints=self.pinpoints, patch=self.patch)
            top, left = mosaic.top, mosaic.left
        down, across = layout.canvas[0] // self.tile, layout.canvas[1] // self.tile
        joined = (tiles if is_crop else tiles[1:]).view(down, across, self.side, self.side, -1)
        whole = joined.transpose(1, 2).reshape(down * self.side, across * self.side, -1)
        kept = whole[top : top + layout.grid.rows, left : left + layout.grid.cols]
        rows = torch.cat([kept, newline.expand(len(kept), 1, -1)], dim=1).flatten(0, 1)
        return rows if is_crop else torch.cat([tiles[0], rows])

    def model_positions(self, ids: Tensor, layouts: Sequence[ImageLayout]) -> Tensor:
        """0, 1, 2, ..."""
        return torch.arange(len(ids))[None]


def _rows_with_newlines(grid: TokenGrid) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.int64]]:
    """Roles and places of a grid's rows, each closed by a newline."""
    role = np.full((grid.rows, grid.cols + 1), GRID, dtype=np.int8)
    place = np.empty((grid.rows, grid.cols + 1), dtype=np.int64)
    role[:, -1], place[:, -1] = NEWLINE, np.arange(grid.rows)
    place[:, :-1] = np.arange(grid.n_tokens).reshape(grid.rows, grid.cols)
    return role.ravel(), place.ravel()
