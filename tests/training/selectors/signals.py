"""Signals of a vision tower and of CLIP, given to a sample as if a model had made them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor

from training.selectors import EncodedSample


def give_saliency(sample: EncodedSample, saliency: np.ndarray) -> EncodedSample:
    """The sample, with `vision().saliency` (N,)."""
    sample.ledger.once("vision", lambda: SimpleNamespace(saliency=_tensor(saliency)))
    return sample


def give_clip(sample: EncodedSample, patches: np.ndarray, text: np.ndarray) -> EncodedSample:
    """The sample, with `clip().patches` (N, d_c) and `clip().text` (chunks, d_c)."""
    sample.ledger.once("vision", SimpleNamespace)  # they are made of its patches
    sample.ledger.once("clip", lambda: SimpleNamespace(patches=_tensor(patches), text=_tensor(text)))
    return sample


def _tensor(values: np.ndarray) -> Tensor:
    return torch.as_tensor(np.asarray(values, dtype=np.float32))
