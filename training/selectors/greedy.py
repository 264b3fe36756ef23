"""What selectors that add one token after another share: exact greedy choices, never with a map of all tokens by all.

A greedy choice over N tokens of width d takes O(N d) a step: the cosines of one token with all others, and a running
maximum. Candidates come in a random order that depends on the pages alone, and the first of equals is taken.
"""

from __future__ import annotations

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


def mean_cosine(rows: Tensor, others: Tensor) -> Tensor:
    """(n,) the cosine of each row (n, d) with each of `others` (m, d), averaged over these."""
    return unit(rows) @ unit(others).mean(dim=0)


def min_max(values: Tensor) -> Tensor:
    """Values scaled to [0, 1]; all 1 where they are equal, so that they tell nothing apart."""
    low, high = values.min(), values.max()
    return torch.where(high > low, (values - low) / (high - low), torch.ones_like(values))


def nearest_cosine(rows: Tensor, others: Tensor | None = None) -> Tensor:
    """(n,) the largest product of each row (n, d) with any of `others` (m, d), m >= 1; without, with any other row."""
    found = rows.new_empty(len(rows))
    to = rows if others is None else others
    size = chunk_length(rows.element_size() * len(to), rows.device)
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
    nearest = nearest_cosine(rows, rows[seeds])
    nearest[seeds] = torch.inf
    added = []
    with _one_thread():
        for _ in range(count):
            row = int(nearest.argmin())
            added.append(row)
            torch.maximum(nearest, rows @ rows[row], out=nearest)
            nearest[row] = torch.inf
    return torch.tensor(added, dtype=torch.int64, device=rows.device)


def dpp_order(features: Tensor, count: int) -> Tensor:
    """Greedy MAP of a determinantal point process: each added row makes det(L_S) as large as it can.

    L = features features^T has at most rank d, and det(L_S) is 0 for every larger S. So it is L + RIDGE I that is
    chosen from, which changes nothing that could be told in single precision until the rank is exhausted; from there
    on det(L_S + RIDGE I) grows most by the row of the largest leverage phi^T (Phi_S^T Phi_S)^-1 phi, the one that
    the chosen rows explain worst (greedy D-optimal design). Rows of zeros come last.

    With features scaled by RIDGE^-1/2 the gain of a row is 1 + phi^T A phi, A = (I + Phi_S^T Phi_S)^-1 in R^{d x d}.
    Sherman-Morrison keeps both up to date in O(n d + d^2) a step, where the incremental Cholesky of Chen et al.
    (NeurIPS 2018), of the same choices, takes O(n |S|) beside a row of L and keeps |S| x n numbers.

    Args:
        features: (n, d), the longest of about unit length.
        count: How many to choose, at most n.

    Returns:
        (count,) int64, in the order in which they are chosen.
    """
    rows = features.double() / RIDGE**0.5
    if rows.shape[1] > len(rows):
        # The same products in n coordinates.
        rows = torch.linalg.qr(rows.T, mode="r").R.T.contiguous()
    inverse = torch.eye(rows.shape[1], dtype=rows.dtype, device=rows.device)
    gain = rows.square().sum(dim=1)
    chosen = []
    with _one_thread():
        for _ in range(count):
            row = int(gain.argmax())
            chosen.append(row)
            along = inverse @ rows[row]
            scale = 1 + along @ rows[row]
            gain -= (rows @ along).square() / scale
            gain[row] = -torch.inf
            inverse -= along[:, None] * (along / scale)
    return torch.tensor(chosen, dtype=torch.int64, device=rows.device)


def dpp_flops(n: int, d: int, count: int) -> float:
    """Operations of `dpp_order` of features (n, d), leading terms."""
    width = min(n, d)
    return 2.0 * d * n * n * (d > n) + count * (2.0 * n * width + 4.0 * width**2)


@contextmanager
def _one_thread() -> Iterator[None]:
    """While inside: one CPU thread. A step takes a tenth of a millisecond; waiting for other threads may take ten."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
