"""The aligner against its formula written out window by window, forward and backward."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pinpoint_data.errors import TrainingError
from pinpoint_data.token_grid import even_grid
from pinpoint_data.windows import WindowSpec, make_windows
from training.aligner.mlp import Mlp, rms_scale
from training.aligner.model import Aligner, window_tokens
from training.aligner.window_pooling import window_scores, windows_at_a_time

torch.set_num_threads(1)


def unfolded(aligner: Aligner, tokens: Tensor, windows: Tensor, question: Tensor) -> Tensor:
    """The definition, one window and one query at a time; (w,) similarities with one question's tokens (m, d_t)."""

    def pooled(values: Tensor) -> Tensor:
        logits = aligner.queries @ values.T / values.shape[1] ** 0.5
        return torch.softmax(logits, dim=1) @ values

    text = pooled(aligner.text(question))
    scores = []
    for window in windows:
        visual = pooled(aligner.visual(tokens[window]))
        if aligner.similarity == "flattened":
            scores.append(torch.cosine_similarity(visual.flatten(), text.flatten(), dim=0))
        else:
            scores.append(
                torch.stack([torch.cosine_similarity(v, t, dim=0) for v, t in zip(visual, text, strict=True)]).mean()
            )
    return torch.stack(scores)


def scored(aligner: Aligner, tokens: Tensor, windows: Tensor, questions: list[Tensor]) -> Tensor:
    padded = torch.nn.utils.rnn.pad_sequence(questions, batch_first=True, padding_value=7.0)
    mask = torch.arange(padded.shape[1]) < torch.tensor([len(q) for q in questions])[:, None]
    return aligner.score(aligner.encode_page(tokens), [windows], aligner.encode_questions(padded, mask))


def problem(similarity: str = "mean-cosine", rows: int = 23, cols: int = 17, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    aligner = Aligner(12, 9, queries=7, width=8, similarity=similarity, query_scale=3.0, seed=seed)
    for weights in aligner.parameters():  # away from the special start
        weights.data += 0.3 * torch.randn(weights.shape, generator=generator)
    windows = make_windows(even_grid(rows, cols, cols * 28, rows * 28, "test"), WindowSpec())
    tokens = torch.randn(rows * cols, 12, generator=generator)
    questions = [torch.randn(m, 9, generator=generator) for m in (5, 1, 3)]
    return aligner, tokens, window_tokens(windows.rows_cols, cols), questions


@pytest.mark.parametrize("similarity", ["mean-cosine", "flattened"])
@pytest.mark.parametrize(("rows", "cols"), [(23, 17), (46, 36), (3, 30), (1, 1)])
def test_scores_and_gradients_are_those_of_the_formula(similarity: str, rows: int, cols: int) -> None:
    aligner, tokens, windows, questions = problem(similarity, rows, cols)
    pull = torch.randn(len(questions), len(windows), generator=torch.Generator().manual_seed(1))

    ours = scored(aligner, tokens, windows, questions)
    (ours * pull).sum().backward()
    ours_gradients = [weights.grad.clone() for weights in aligner.parameters()]
    aligner.zero_grad()
    naive = torch.stack([unfolded(aligner, tokens, windows, question) for question in questions])
    (naive * pull).sum().backward()

    torch.testing.assert_close(ours, naive, atol=1e-5, rtol=0)
    for ours_gradient, weights in zip(ours_gradients, aligner.parameters(), strict=True):
        scale = weights.grad.abs().max().clamp_min(1.0)
        torch.testing.assert_close(ours_gradient / scale, weights.grad / scale, atol=1e-5, rtol=0)


@pytest.mark.parametrize("flattened", [False, True])
def test_the_hand_written_backward_passes_gradcheck(flattened: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    values, logits, text = (
        torch.randn(*shape, generator=generator, dtype=torch.float64, requires_grad=True)
        for shape in ((12, 4), (12, 3), (2, 3, 4))
    )
    windows = torch.tensor([[0, 1, 2], [2, 3, 4], [9, 10, 11], [2, 4, 9]])
    torch.autograd.gradcheck(
        lambda v, lo, t: window_scores(v, lo, [windows, windows[:2, :2]], t, flattened=flattened),
        (values, logits, text),
    )


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_the_order_of_tokens_inside_a_window_means_nothing(seed: int) -> None:
    aligner, tokens, windows, questions = problem()
    order = torch.randperm(windows.shape[1], generator=torch.Generator().manual_seed(seed))
    before, after = (scored(aligner, tokens, w, questions) for w in (windows, windows[:, order]))
    torch.testing.assert_close(before, after, atol=1e-6, rtol=0)


def test_tokens_outside_a_window_do_not_touch_its_score() -> None:
    aligner, tokens, windows, questions = problem()
    changed = tokens.clone()
    outside = torch.ones(len(tokens), dtype=torch.bool)
    outside[windows[4]] = False
    changed[outside] += 100
    before, after = scored(aligner, tokens, windows, questions), scored(aligner, changed, windows, questions)
    assert torch.equal(before[:, 4], after[:, 4])
    assert not torch.isclose(before, after).all()


def test_padding_of_questions_does_not_touch_their_scores() -> None:
    aligner, tokens, windows, questions = problem()
    together = scored(aligner, tokens, windows, questions)
    alone = torch.cat([scored(aligner, tokens, windows, [question]) for question in questions])
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=0)


def test_logits_far_apart_neither_overflow_nor_vanish() -> None:
    aligner, tokens, windows, questions = problem()
    aligner.queries.data *= 1e4  # weights below e^-700 of the page's largest, in windows without it
    ours = scored(aligner, tokens, windows, questions)
    naive = torch.stack([unfolded(aligner, tokens, windows, question) for question in questions])
    assert torch.isfinite(ours).all()
    torch.testing.assert_close(ours, naive, atol=1e-5, rtol=0)


def test_more_windows_than_a_chunk_are_all_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    aligner, tokens, windows, questions = problem(rows=46, cols=36)
    values, logits = aligner.encode_page(tokens)
    monkeypatch.setattr("training.aligner.window_pooling.chunk_length", lambda *_: 4)
    assert len(windows) > windows_at_a_time(values, logits, windows) == 4
    whole = scored(aligner, tokens, windows, questions)
    parts = torch.cat([scored(aligner, tokens, w, questions) for w in windows.split(3)], dim=1)
    torch.testing.assert_close(whole, parts, atol=1e-6, rtol=0)


def test_an_mlp_starts_as_a_linear_map_and_can_leave_it() -> None:
    mlp = Mlp(6, 20, 4, torch.Generator().manual_seed(0))
    a, b = torch.randn(5, 6), torch.randn(5, 6)
    torch.testing.assert_close(mlp(a + 2 * b), mlp(a) + 2 * mlp(b), atol=1e-5, rtol=1e-5)
    mlp(a).square().sum().backward()
    with torch.no_grad():
        for weights in mlp.parameters():
            weights -= 0.1 * weights.grad
    assert not torch.allclose(mlp(a + 2 * b), mlp(a) + 2 * mlp(b), atol=1e-2)


@pytest.mark.parametrize("scaled", [False, True])
def test_the_mlps_own_backward_passes_gradcheck(scaled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.aligner.mlp.chunk_length", lambda *_: 2)  # six rows in three chunks
    mlp = Mlp(5, 6, 4, torch.Generator().manual_seed(0)).double()
    for weights in mlp.parameters():
        weights.data += 0.1 * torch.randn_like(weights)
    tokens = torch.randn(2, 3, 5, dtype=torch.float64)
    scale = rms_scale(tokens) if scaled else None
    torch.autograd.gradcheck(lambda *_: mlp(tokens, scale), tuple(mlp.parameters()))
    expected = mlp.last(torch.nn.functional.gelu(mlp.first(tokens if scale is None else tokens * scale)))
    torch.testing.assert_close(mlp(tokens, scale), expected)


def test_rms_makes_the_size_of_tokens_irrelevant_and_leaves_empty_ones_empty() -> None:
    tokens = torch.randn(6, 12) * torch.tensor([1e-3, 0.02, 1.0, 50.0, 3.0, 0.0]).unsqueeze(1)
    scaled = tokens * rms_scale(tokens)
    torch.testing.assert_close(scaled[:5].square().mean(dim=1), torch.ones(5))
    assert (scaled[5] == 0).all() and torch.isfinite(rms_scale(tokens)).all()
    plain, rms = (Aligner(12, 12, queries=3, width=8, normalise=n) for n in ("none", "rms"))
    torch.testing.assert_close(rms.encode_page(tokens)[0], plain.encode_page(scaled)[0], atol=1e-5, rtol=1e-5)


def test_bfloat16_products_change_scores_by_rounding_only() -> None:
    aligner, tokens, windows, questions = problem()
    exact = scored(aligner, tokens, windows, questions)
    exact.sum().backward()
    gradients = [weights.grad.clone() for weights in aligner.parameters()]
    aligner.zero_grad()
    aligner.compute_dtype = torch.bfloat16
    rounded = scored(aligner, tokens.bfloat16(), windows, questions)
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded, exact, atol=0.03, rtol=0)
    rounded.sum().backward()
    for weights, gradient in zip(aligner.parameters(), gradients, strict=True):
        assert weights.grad.dtype == torch.float32
        assert torch.cosine_similarity(weights.grad.flatten(), gradient.flatten(), dim=0) > 0.99


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_tokens_are_computed_in_the_precision_of_the_weights(dtype: torch.dtype) -> None:
    aligner, tokens, windows, questions = problem()
    tokens = tokens.to(dtype)
    assert torch.equal(scored(aligner, tokens, windows, questions), scored(aligner, tokens.float(), windows, questions))


@given(st.lists(st.tuples(st.integers(1, 24), st.integers(1, 24)), min_size=1, max_size=4), st.booleans())
@settings(max_examples=15, deadline=None)
def test_ragged_pages_scored_at_once_are_pages_scored_alone(sizes: list[tuple[int, int]], flattened: bool) -> None:
    aligner, _, _, questions = problem("flattened" if flattened else "mean-cosine")
    pages, windows, moved = [], [], []
    for number, (rows, cols) in enumerate(sizes):  # pages below ten tokens have smaller windows
        grid = even_grid(rows, cols, cols * 28, rows * 28, "test")
        windows.append(window_tokens(make_windows(grid, WindowSpec()).rows_cols, cols))
        moved.append(windows[-1] + sum(len(page) for page in pages))
        pages.append(torch.randn(rows * cols, 12, generator=torch.Generator().manual_seed(number)))
    mask = torch.ones(1, len(questions[0]), dtype=torch.bool)
    text = aligner.encode_questions(questions[0].unsqueeze(0), mask)
    together = aligner.score(aligner.encode_page(torch.cat(pages)), moved, text)[0]
    naive = torch.cat([unfolded(aligner, p, w, questions[0]) for p, w in zip(pages, windows, strict=True)])
    torch.testing.assert_close(together, naive, atol=1e-5, rtol=0)
    pull = torch.randn(len(naive), generator=torch.Generator().manual_seed(1))
    ours, theirs = (torch.autograd.grad((s * pull).sum(), aligner.queries) for s in (together, naive))
    scale = theirs[0].abs().max().clamp_min(1.0)
    torch.testing.assert_close(ours[0] / scale, theirs[0] / scale, atol=1e-5, rtol=0)


def test_an_untrained_aligner_ranks_the_window_that_holds_the_questions_words_first() -> None:
    aligner = Aligner(70, 66, queries=100, width=64, shared_dim=60, query_scale=4.0)
    words = torch.randn(16, 60, generator=torch.Generator().manual_seed(3)).sign()
    tokens = torch.zeros(16, 70)
    tokens[:, :60] = words
    windows = torch.arange(16).view(4, 4)
    for window in range(4):
        question = torch.zeros(2, 66)
        question[:, :60] = words[windows[window, 1:3]]
        assert scored(aligner, tokens, windows, [question])[0].argmax() == window


def test_the_seed_alone_decides_the_weights() -> None:
    torch.manual_seed(1)
    first = Aligner(5, 5, queries=3, width=4, seed=7).state_dict()
    torch.manual_seed(2)
    again, other = (Aligner(5, 5, queries=3, width=4, seed=seed).state_dict() for seed in (7, 8))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["queries"], other["queries"])


def test_window_tokens_are_the_grids_raster_indices() -> None:
    found = window_tokens(np.array([[0, 0, 2, 2], [1, 3, 3, 5]]), cols=5)
    assert found.tolist() == [[0, 1, 5, 6], [8, 9, 13, 14]]
    assert window_tokens(np.zeros((0, 4), dtype=int), cols=5).shape[0] == 0


def test_windows_of_two_shapes_are_refused() -> None:
    with pytest.raises(TrainingError, match="one shape"):
        window_tokens(np.array([[0, 0, 2, 2], [0, 0, 3, 2]]), cols=5)


def test_an_odd_inner_width_is_refused() -> None:
    with pytest.raises(TrainingError, match="even"):
        Aligner(5, 5, hidden=3)
