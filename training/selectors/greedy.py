"""What selectors that add one token after another share: exact greedy choices, never with a map of all tokens by all.

A greedy choice over N tokens of width d takes O(N d) a step. What a token adds only ever shrinks as others are chosen.
So the best candidates are looked at among themselves, and chosen from for as long as one of them adds no less than any
other token might; then all tokens are brought up to date with what was chosen, in one product. The choices are those of
one step after another, up to rounding. Candidates come in a random order that depends on the pages alone, so that of
equal ones any is as good.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pinpoint_data.errors import UsageError
from training.aligner.chunking import chunk_length
from training.selectors.page_budgets import page_budgets

if TYPE_CHECKING:
    from training.selectors.sample import EncodedSample

MOST_JOINT = 4096
"""The most tokens that a choice runs over at once; of more, each page is chosen from by itself."""
RIDGE = 1e-8
"""What `dpp_order` adds to the diagonal of a kernel whose largest entry is about 1."""
_LEADERS = 256
"""Candidates looked at among themselves."""
# Cosines are float32: tokens with equal features must tie, whichever kernel made their last bits.
_DIGITS = 6


@dataclass(frozen=True, eq=False)
class Part:
    """Tokens to choose from together.

    Attributes:
        candidates: (n,) int64 indices among the N tokens of all pages, in random order, on the sample's device.
        budgets: How many of them to keep at each of the budgets asked for; a page's share may be 0.
    """

    candidates: Tensor
    budgets: tuple[int, ...]


def check_most_joint(most_joint: int) -> int:
    """The option, as given.

    Raises:
        UsageError: It is less than 1.
    """
    if most_joint < 1:
        raise UsageError(f"most_joint must be at least 1, got {most_joint}")
    return most_joint


def parts_of(sample: EncodedSample, budgets: Sequence[int], most_joint: int) -> list[Part]:
    """All tokens together, or each page by itself where there are more than `most_joint`.

    Pages share each budget in proportion to their tokens (`page_budgets`).
    """
    shuffled = sample.order(np.zeros(sample.n_tokens))
    if sample.n_tokens <= most_joint or len(sample.pages) == 1:
        return [Part(torch.as_tensor(shuffled, device=sample.device), tuple(budgets))]
    shares = [page_budgets(sample, budget) for budget in budgets]
    return [
        Part(
            torch.as_tensor(shuffled[(shuffled >= page.start) & (shuffled < page.stop)], device=sample.device),
            tuple(share[number] for share in shares),
        )
        for number, page in enumerate(sample.slices)
    ]


def no_masks(sample: EncodedSample, budgets: Sequence[int]) -> Tensor:
    """(budgets, N) bool: nothing kept, on the sample's device."""
    return torch.zeros(len(budgets), sample.n_tokens, dtype=torch.bool, device=sample.device)


def unit(rows: Tensor) -> Tensor:
    """Rows of length 1; one of zeros stays, so that its cosine with any other is 0."""
    return functional.normalize(rows, dim=-1)


def cosines(rows: Tensor, others: Tensor) -> Tensor:
    """(n, m) the cosine of each row (n, d) with each of `others` (m, d); equal rows tie."""
    return (unit(rows) @ unit(others).T).round(decimals=_DIGITS)


def mean_cosine(rows: Tensor, others: Tensor) -> Tensor:
    """(n,) the cosine of each row (n, d) with each of `others` (m, d), averaged over these; equal rows tie."""
    return (unit(rows) @ unit(others).mean(dim=0)).round(decimals=_DIGITS)


def min_max(values: Tensor) -> Tensor:
    """Values scaled to [0, 1]; all 1 where they are equal, so that they tell nothing apart."""
    low, high = values.min(), values.max()
    return torch.where(high > low, (values - low) / (high - low), torch.ones_like(values))


def nearest_cosine(rows: Tensor, others: Tensor | None = None) -> Tensor:
    """(n,) the largest product of each row (n, d) with any of `others` (m, d), m >= 1; without, with any other row."""
    found = rows.new_empty(len(rows))
    to = rows if others is None else others
    size = chunk_length(rows.element_size() * len(to), rows.device)
    with _one_thread():
        for start in range(0, len(rows), size):
            products = rows[start : start + size] @ to.T
            if others is None:
                products.diagonal(start).fill_(-torch.inf)
            found[start : start + size] = products.amax(dim=1)
    return found


def farthest_first(rows: Tensor, seeds: Tensor, count: int) -> Tensor:
    """Greedy max-min: again and again the row that is farthest from all chosen ones (Gonzalez, 1985).

    The distance is 1 - cos, so that it is the row whose largest cosine with a chosen one is smallest.

    Args:
        rows: (n, d) of unit length.
        seeds: (k,) int64, k >= 1: rows that are chosen already.
        count: How many to add, at most n - k.

    Returns:
        (count,) int64, in the order in which they are added.
    """
    apart, added = -nearest_cosine(rows, rows[seeds]), seeds[:0]
    apart[seeds] = -torch.inf
    with _one_thread():
        while len(added) < count:
            leaders, bound = _leaders(apart)
            near = rows[leaders]
            chosen = leaders[_farthest_of(-(near @ near.T), apart[leaders], bound, count - len(added))]
            apart = torch.minimum(apart, -nearest_cosine(rows, rows[chosen]))
            apart[chosen] = -torch.inf
            added = torch.cat([added, chosen])
    return added


def _farthest_of(distances: Tensor, apart: Tensor, bound: float, count: int) -> list[int]:
    """The next choices of `farthest_first` among k tokens: at least one, and more while none is nearer than `bound`.

    Args:
        distances: (k, k) between them.
        apart: (k,) of each to the nearest chosen one; -inf for one that is chosen already.
        bound: How far the farthest of all others is.
        count: At most so many.
    """
    between, left = distances.cpu().numpy(), apart.cpu().numpy()
    picked: list[int] = []
    while len(picked) < count and (not picked or left.max() >= bound):
        row = int(left.argmax())
        picked.append(row)
        left = np.minimum(left, between[row])
        left[row] = -np.inf
    return picked


def dpp_order(features: Tensor, count: int) -> Tensor:
    """Greedy MAP of a determinantal point process: each added row makes det(L_S) as large as it can.

    L = features features^T has at most rank d, and det(L_S) is 0 for every larger S. So it is L + RIDGE I that is
    chosen from, which changes nothing that could be told in single precision until the rank is exhausted; from there
    on det(L_S + RIDGE I) grows most by the row of the largest leverage phi^T (Phi_S^T Phi_S)^-1 phi, the one that
    the chosen rows explain worst (greedy D-optimal design). Rows of zeros come last.

    With features scaled by RIDGE^-1/2 the gain of a row is 1 + phi^T A phi, A = (I + Phi_S^T Phi_S)^-1 in R^{d x d}.
    Woodbury's identity keeps both up to date in O(n d + d^2) a step, where the incremental Cholesky of Chen et al.
    (NeurIPS 2018), of the same choices, takes O(n |S|) beside a row of L and keeps |S| x n numbers. Of rows that are
    wider than they are many Phi A Phi^T itself, (n, n), is kept up to date, in O(n^2) a step.

    Args:
        features: (n, d), the longest of about unit length.
        count: How many to choose, at most n.

    Returns:
        (count,) int64, in the order in which they are chosen.
    """
    rows = features.double() / RIDGE**0.5
    gain, is_wide = rows.square().sum(dim=1), rows.shape[1] > len(rows)
    inner = rows @ rows.T if is_wide else torch.eye(rows.shape[1], dtype=rows.dtype, device=rows.device)
    order = torch.empty(0, dtype=torch.int64, device=rows.device)
    with _one_thread():
        while len(order) < count:
            leaders, bound = _leaders(gain)
            along = inner[leaders] if is_wide else rows[leaders] @ inner
            kernel = along[:, leaders] if is_wide else along @ rows[leaders].T
            picked = _likeliest_of(kernel, gain[leaders], bound, count - len(order))
            identity = torch.eye(len(picked), dtype=rows.dtype, device=rows.device)
            factor = torch.linalg.cholesky(identity + kernel[picked][:, picked])
            along = torch.linalg.solve_triangular(factor, along[picked], upper=False)
            inner -= along.T @ along
            gain -= (along if is_wide else along @ rows.T).square().sum(dim=0)
            gain[leaders[picked]] = -torch.inf
            order = torch.cat([order, leaders[picked]])
    return order


def _likeliest_of(kernel: Tensor, gain: Tensor, bound: float, count: int) -> list[int]:
    """The next choices of `dpp_order` among k rows: at least one, and more while none gains less than `bound`.

    Args:
        kernel: (k, k) Phi A Phi^T of these rows.
        gain: (k,) its diagonal; -inf for a row that is chosen already.
        bound: The largest gain of all others.
        count: At most so many.
    """
    products, left = kernel.cpu().numpy(), gain.cpu().numpy()
    columns = np.empty((min(count, len(left)), len(left)))
    picked: list[int] = []
    while len(picked) < count and (not picked or left.max() >= bound):
        row, before = int(left.argmax()), columns[: len(picked)]
        column = (products[row] - before[:, row] @ before) / math.sqrt(1 + left[row])
        columns[len(picked)] = column
        picked.append(row)
        left -= column**2
        left[row] = -np.inf
    return picked


def _leaders(gain: Tensor) -> tuple[Tensor, float]:
    """The indices (k,) of the tokens that add most, and how much the best of all others adds."""
    best = gain.topk(min(_LEADERS + 1, len(gain)))
    others = best.values[_LEADERS:].tolist()
    return best.indices[:_LEADERS], max(others, default=-math.inf)


def dpp_flops(n: int, d: int, count: int) -> float:
    """Operations of `dpp_order` of features (n, d), taken one step after another; leading terms."""
    return 2.0 * d * n**2 + count * 2.0 * n**2 if d > n else count * (2.0 * n * d + 4.0 * d**2)


@contextmanager
def _one_thread() -> Iterator[None]:
    """While inside: one CPU thread. A product takes a millisecond; waiting for other threads may take ten."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
