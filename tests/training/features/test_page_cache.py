"""The memory cache keeps a model's own precision, and packs arrays as it always did."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pinpoint_data.errors import TrainingError
from tests.training.features.build import FakeBackbone, expected, page_ids, same_bits, workspace
from training.backbones import OcrGrid
from training.pages.cache import PageCache
from training.pages.store import PageStore


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
@pytest.mark.parametrize("budget", [0, 300, 10**6])
def test_tensors_are_kept_as_they_are(tmp_path: Path, dtype: str, budget: int) -> None:
    ws, backbone = workspace(tmp_path), FakeBackbone(dtype)
    cache = PageCache(backbone, PageStore(ws), budget)
    for page_id, tokens in [*expected(ws, backbone).items()] * 2:
        assert same_bits(cache.tokens(page_id), tokens)
    assert cache.used_bytes <= budget


def test_a_slice_of_a_batch_does_not_keep_the_batch(tmp_path: Path) -> None:
    class Sliced(FakeBackbone):
        def encode_page(self, page):  # type: ignore[no-untyped-def]
            return self.encode_pages([page, page])[0]

    cache = PageCache(Sliced(), PageStore(workspace(tmp_path)), 10**6)
    tokens = cache.tokens("src/0")
    assert tokens.untyped_storage().nbytes() == tokens.nbytes == cache.used_bytes


@pytest.mark.parametrize("validated", [False, True], ids=["new", "asked for by a validation before"])
def test_tokens_made_in_inference_mode_can_be_trained_on(tmp_path: Path, validated: bool) -> None:
    cache = PageCache(FakeBackbone("float32"), PageStore(workspace(tmp_path)), 10**6)
    with torch.inference_mode(validated):
        cache.tokens("src/0")
    layer = torch.nn.Linear(6, 2)
    layer(cache.tokens("src/0")).sum().backward()
    assert layer.weight.grad is not None


def test_arrays_pass_through_half_precision(tmp_path: Path) -> None:
    ws = workspace(tmp_path, words=True)
    backbone = OcrGrid(lexical_dim=16)
    cache, store = PageCache(backbone, PageStore(ws), 10**6), PageStore(ws)
    for page_id in page_ids(ws):
        plain = np.asarray(backbone.encode_page(store.input(page_id)).tokens)
        half = np.clip(plain, -65504.0, 65504.0).astype(np.float16).astype(np.float32)
        assert np.array_equal(cache.tokens(page_id).numpy(), half)


def test_tokens_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    class Overflow(FakeBackbone):
        def _tokens(self, page, grid):  # type: ignore[no-untyped-def]
            return super()._tokens(page, grid) * torch.inf

    with pytest.raises(TrainingError, match="not finite"):
        PageCache(Overflow(), PageStore(workspace(tmp_path)), 10**6).tokens("src/0")
