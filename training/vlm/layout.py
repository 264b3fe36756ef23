"""What an image becomes: its tokens in the language model's order, and where on the image each of them looks.

Everything here follows from an image's size; no weights and no pixels are needed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pinpoint_data.errors import TrainingError
from pinpoint_data.token_grid import TokenGrid

GRID, GLOBAL, NEWLINE = 0, 1, 2
"""Roles of a visual token: of the grid that windows slide over, of the view of the whole image, end of a row."""


@dataclass(frozen=True, eq=False)
class ImageLayout:
    """The n visual tokens of an image, in the order the language model reads them.

    Attributes:
        width: Of the image in pixels.
        height: Of the image in pixels.
        grid: The grid that windows slide over, in pixels of this image.
        role: (n,) int8: `GRID`, `GLOBAL` or `NEWLINE`.
        place: (n,) int64: raster index in the grid, raster index in the view of the whole image, or row.
        canvas: Height and width that the image is encoded at, in pixels, padding included.
    """

    width: int
    height: int
    grid: TokenGrid
    role: npt.NDArray[np.int8]
    place: npt.NDArray[np.int64]
    canvas: tuple[int, int]

    def __post_init__(self) -> None:
        on_grid = self.place[self.role == GRID]
        if not np.array_equal(on_grid, np.arange(self.grid.n_tokens)):
            raise TrainingError(
                f"a layout must hold each of its grid's {self.grid.n_tokens} tokens once, in raster order, "
                f"got {len(on_grid)} of them"
            )

    @property
    def n_tokens(self) -> int:
        """All tokens: grid, view of the whole, row ends."""
        return len(self.role)

    @property
    def on_grid(self) -> Tensor:
        """(grid.n_tokens,) int64: where the grid's tokens stand among all, in raster order."""
        return torch.from_numpy(np.flatnonzero(self.role == GRID))


def grid_layout(grid: TokenGrid, canvas: tuple[int, int]) -> ImageLayout:
    """The layout of an image that becomes its grid and nothing else."""
    role = np.full(grid.n_tokens, GRID, dtype=np.int8)
    return ImageLayout(grid.page_width, grid.page_height, grid, role, np.arange(grid.n_tokens), canvas)


def fitting_grid(width: int, height: int, tokens: int) -> tuple[int, int]:
    """Rows and columns of about square cells over an image: as many as `tokens` allows, at least one."""
    if tokens < 1:
        raise TrainingError(f"an image needs at least 1 token, got {tokens}")
    side = math.sqrt(width * height / tokens)
    # Both sides rounded down would leave up to a fifth of the tokens unused: one of them is rounded up where it fits.
    # An image thinner than a cell keeps one row, and then its columns must not outgrow what is allowed.
    rows, cols = min(tokens, max(1, int(height / side))), min(tokens, max(1, int(width / side)))
    wider = rows, min(math.ceil(width / side), tokens // rows)
    taller = min(math.ceil(height / side), tokens // cols), cols
    return max(wider, taller, key=math.prod)


@dataclass(frozen=True, eq=False)
class VisualTokens:
    """Visual tokens of one or more images as the language model reads them.

    Attributes:
        tokens: (n, d) in the order of the layout.
        deepstack: Further (n, d) that some models add to the hidden states of their first layers (Qwen3-VL).
    """

    tokens: Tensor
    deepstack: tuple[Tensor, ...] = ()

    def __len__(self) -> int:
        return len(self.tokens)

    def take(self, index: Tensor) -> VisualTokens:
        """Some of the tokens."""
        index = index.to(self.tokens.device)
        return VisualTokens(self.tokens[index], tuple(layer[index] for layer in self.deepstack))

    @staticmethod
    def cat(parts: list[VisualTokens]) -> VisualTokens:
        """The tokens of several images, one behind the other; at least one part."""
        layers = zip(*(part.deepstack for part in parts), strict=True)
        return VisualTokens(torch.cat([part.tokens for part in parts]), tuple(torch.cat(layer) for layer in layers))


@dataclass(frozen=True, eq=False)
class PromptSequence:
    """A prompt as the language model reads it.

    Attributes:
        ids: (S,) int64 token ids; the image placeholder where a visual token stands.
        positions: (p, S) int64, one row for plain and three for multimodal rotary positions.
        image: (S,) int64: the number of the image that a visual token belongs to, -1 for text.
    """

    ids: Tensor
    positions: Tensor
    image: Tensor

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, index: Tensor) -> PromptSequence:
        """Some of the sequence, each part at its original position."""
        index = index.to(self.ids.device)
        return PromptSequence(self.ids[index], self.positions[:, index], self.image[index])
