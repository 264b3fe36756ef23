"""Grid, windows and window tokens of a page, made once for each page size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

from pinpoint_data.grids import TokenGrid
from pinpoint_data.windows import Windows, WindowSpec, make_windows
from training.aligner.model import window_tokens
from training.backbones.base import Backbone


@dataclass(frozen=True, eq=False)
class PageGeometry:
    """What follows from a page's size alone.

    Attributes:
        grid: The backbone's grid.
        windows: w windows over it.
        tokens: (w, t) indices of each window's tokens.
        all_negative: (w,) labels of a page without evidence.
    """

    grid: TokenGrid
    windows: Windows
    tokens: Tensor
    all_negative: npt.NDArray[np.int8]


class Geometries:
    """The geometry of every page size met so far."""

    def __init__(self, backbone: Backbone, spec: WindowSpec) -> None:
        self.backbone, self.spec = backbone, spec
        self._known: dict[tuple[int, int], PageGeometry] = {}

    def of(self, width: int, height: int) -> PageGeometry:
        """The geometry of a page of this size in pixels."""
        size = (width, height)
        if size not in self._known:
            grid = self.backbone.grid(width, height)
            windows = make_windows(grid, self.spec)
            tokens = window_tokens(windows.rows_cols, grid.cols)
            self._known[size] = PageGeometry(grid, windows, tokens, np.zeros(len(tokens), dtype=np.int8))
        return self._known[size]
