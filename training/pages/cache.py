"""Where training takes visual tokens from; and encoded pages kept in little memory between epochs."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pinpoint_data.errors import TrainingError
from training.backbones.base import Backbone, EncodedPage, FloatArray
from training.pages.store import PageStore

_HALF_MAX = float(np.finfo(np.float16).max)


class PageTokens(Protocol):
    """Visual tokens by page id: encoded when asked for (`PageCache`), or read from a feature cache on disk.

    Attributes:
        backbone: Whose tokens they are.
    """

    backbone: Backbone

    def tokens(self, page_id: str) -> Tensor:
        """Tokens (n, d_v) of a page, on the CPU, of any floating-point type; not to be written into."""
        ...

    def prefetch(self, page_ids: Sequence[str]) -> None:
        """Say which pages are asked for next, so that they can be got ready meanwhile."""
        ...


def host_tensor(page: EncodedPage) -> Tensor:
    """The tokens on the CPU, contiguous, in memory of their own, and fit for autograd."""
    tokens = page.tensor().detach().cpu().contiguous()
    # A slice would keep its whole batch alive; autograd cannot save what was made in inference mode, copies included.
    if tokens.untyped_storage().nbytes() != tokens.nbytes or tokens.is_inference():
        with torch.inference_mode(False):
            return tokens.clone()
    return tokens


@dataclass(frozen=True)
class _Packed:
    """Tokens (n, d) in half precision, without the rows of leading features that are all zero.

    Most cells of a page hold no word; their shared features are zero.
    """

    rows: npt.NDArray[np.int32]
    leading: npt.NDArray[np.float16]
    rest: npt.NDArray[np.float16]

    @classmethod
    def of(cls, tokens: FloatArray, shared_dim: int) -> _Packed:
        half = np.clip(tokens, -_HALF_MAX, _HALF_MAX).astype(np.float16)
        rows = np.flatnonzero(half[:, :shared_dim].any(axis=1)).astype(np.int32)
        return cls(rows, half[rows, :shared_dim], half[:, shared_dim:].copy())

    def tokens(self) -> Tensor:
        width = self.leading.shape[1]
        full = np.zeros((len(self.rest), width + self.rest.shape[1]), dtype=np.float32)
        full[self.rows, :width] = self.leading
        full[:, width:] = self.rest
        return torch.from_numpy(full)

    @property
    def nbytes(self) -> int:
        return self.rows.nbytes + self.leading.nbytes + self.rest.nbytes


class PageCache:
    """Visual tokens by page id, the least recently used ones forgotten above a budget.

    Arrays are packed: every token passes through float16, kept or not, so that results do not depend on the budget.
    Tensors have a precision that their model chose, and are kept as they are.

    Args:
        backbone: Encodes a page that is not kept.
        store: Where its words and pixels are.
        budget_bytes: Memory for kept pages.
    """

    def __init__(self, backbone: Backbone, store: PageStore, budget_bytes: int) -> None:
        self.backbone, self.store, self.budget_bytes = backbone, store, budget_bytes
        self.used_bytes = 0
        self._kept: OrderedDict[str, _Packed | Tensor] = OrderedDict()

    def prefetch(self, page_ids: Sequence[str]) -> None:
        """Nothing to do: a page is encoded when it is asked for."""

    def tokens(self, page_id: str) -> Tensor:
        """Tokens (n, d_v) of a page: float32 of a backbone that gives arrays, else as the backbone gave them.

        Raises:
            TrainingError: A token is not finite, or the page is unknown.
            PageError: The page's image cannot be read.
        """
        kept = self._kept.get(page_id)
        if kept is None:
            kept = self._encode(page_id)
        else:
            self._kept.move_to_end(page_id)
        return kept.tokens() if isinstance(kept, _Packed) else kept

    def _encode(self, page_id: str) -> _Packed | Tensor:
        page = self.backbone.encode_page(self.store.input(page_id))
        if not torch.isfinite(page.tensor()).all():
            raise TrainingError(f"backbone {self.backbone.name!r} gave tokens that are not finite", record=page_id)
        kept: _Packed | Tensor
        if isinstance(page.tokens, Tensor):
            kept = host_tensor(page)
        else:
            kept = _Packed.of(page.tokens, self.backbone.shared_dim)
        if kept.nbytes <= self.budget_bytes:
            self._kept[page_id] = kept
            self.used_bytes += kept.nbytes
            while self.used_bytes > self.budget_bytes:
                _, forgotten = self._kept.popitem(last=False)
                self.used_bytes -= forgotten.nbytes
        return kept
