"""Qwen2-VL, Qwen2.5-VL and Qwen3-VL: a page at its own aspect ratio, one token for each 2 x 2 patches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from transformers import Qwen2VLImageProcessorPil
from transformers.models.qwen3_vl.modeling_qwen3_vl import BaseModelOutputWithDeepstackFeatures

from pinpoint_data.errors import TrainingError
from pinpoint_data.grids import qwen2_vl_grid
from pinpoint_data.token_grid import even_grid
from training.flops.shape import FAMILIES
from training.vlm.layout import ImageLayout, VisualTokens, fitting_grid, grid_layout
from training.vlm.model import VisionLanguageModel
from training.vlm.source import ModelSource


class QwenVl(VisionLanguageModel):
    """A model of the Qwen-VL family.

    Args:
        source: Its files.
        config: Its transformers configuration.
        max_pixels: The most pixels a page is encoded with, instead of the checkpoint's own setting.
        options: As for `VisionLanguageModel`.
    """

    image_in_prompt = "<|vision_start|>{}<|vision_end|>"
    plain_prompt = (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
        "{images}{question}<|im_end|>\n<|im_start|>assistant\n"
    )

    def __init__(self, source: ModelSource, config: Any, *, max_pixels: int | None = None, **options: Any):
        super().__init__(source, config, **options)
        self.family = FAMILIES[config.model_type]
        self.processor = self._load_processor(Qwen2VLImageProcessorPil)
        least, most = self.processor.size["shortest_edge"], self.processor.size["longest_edge"]
        if not least or not most:
            raise TrainingError("has an image processor without limits in pixels", file=source.path)
        if max_pixels is not None and max_pixels < 1:
            raise TrainingError(f"max_pixels must be at least 1, got {max_pixels}")
        self.max_pixels = int(max_pixels or most)
        self.min_pixels = min(int(least), self.max_pixels)
        self.merge: int = config.vision_config.spatial_merge_size
        self.cell: int = config.vision_config.patch_size * self.merge
        self._check_processor(self._patches, self.cell)

    @property
    def patches_a_pass(self) -> int:
        """16,384: a page of 3.2 million pixels, or several smaller ones; a larger page goes alone."""
        return 16_384

    def settings(self) -> dict[str, Any]:
        """Limits in pixels, and what the processor does to them."""
        kept = ("do_normalize", "do_rescale", "image_mean", "image_std", "merge_size", "patch_size", "resample")
        return {"min_pixels": self.min_pixels, "max_pixels": self.max_pixels} | self._processor_settings(kept)

    def layout(self, width: int, height: int) -> ImageLayout:
        """The cells of the page as the processor resizes it."""
        grid = qwen2_vl_grid(
            width,
            height,
            min_pixels=self.min_pixels,
            max_pixels=self.max_pixels,
            patch=self.cell // self.merge,
            merge=self.merge,
        )
        return grid_layout(grid, (grid.rows * self.cell, grid.cols * self.cell))

    def crop_layout(self, width: int, height: int, tokens: int) -> ImageLayout:
        """Even cells over the crop."""
        rows, cols = fitting_grid(width, height, tokens)
        grid = even_grid(rows, cols, width, height, f"{self.family}-crop")
        return grid_layout(grid, (rows * self.cell, cols * self.cell))

    def prepare(self, image: Image.Image, layout: ImageLayout) -> Tensor:
        """Patches (n, 3 * 2 * patch * patch) in blocks of merge x merge."""
        height, width = layout.canvas
        # The processor's own resizing is Pillow's too, but only to sizes that it chooses itself.
        return self._patches(image.resize((width, height), Image.Resampling(self.processor.resample)))

    def _patches(self, image: Image.Image) -> Tensor:
        patches: Tensor = self.processor(images=image, do_resize=False, return_tensors="pt")["pixel_values"]
        return patches

    def encode_prepared(self, pixels: Sequence[Tensor], layouts: Sequence[ImageLayout]) -> list[VisualTokens]:
        """Tower and merger over all patches at once; each image attends to itself alone."""
        patches = torch.cat(list(pixels)).to(self.device, self.dtype)
        made = self.inner.get_image_features(patches, self._thw(layouts).to(self.device))
        deepstack = getattr(made, "deepstack_features", None) or []
        return [
            VisualTokens(tokens, tuple(layer[number] for layer in deepstack))
            for number, tokens in enumerate(made.pooler_output)
        ]

    def model_positions(self, ids: Tensor, layouts: Sequence[ImageLayout]) -> Tensor:
        """(3, S): time, row and column of multimodal rotary positions."""
        slots = (ids == self.config.image_token_id).int()[None]
        if not layouts:
            return torch.arange(len(ids)).expand(3, -1)
        positions, _ = self.inner.get_rope_index(ids[None], mm_token_type_ids=slots, image_grid_thw=self._thw(layouts))
        found: Tensor = positions[:, 0]
        return found

    def encoder_output(self, visual: VisualTokens) -> Any:
        """With the features of the first layers, where the model has them."""
        if not visual.deepstack:
            return super().encoder_output(visual)
        tokens: Any = [visual.tokens]
        deepstack: Any = [[layer] for layer in visual.deepstack]
        return BaseModelOutputWithDeepstackFeatures(pooler_output=tokens, deepstack_features=deepstack)

    def _thw(self, layouts: Sequence[ImageLayout]) -> Tensor:
        """(images, 3): frames, rows and columns of patches."""
        return torch.tensor([[1, lay.grid.rows * self.merge, lay.grid.cols * self.merge] for lay in layouts])
