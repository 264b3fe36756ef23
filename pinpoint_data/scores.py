"""Scores of a selection of visual tokens against a question's evidence, over all its pages.

A selection is a set of tokens M out of the N that the question's pages have. Evidence is clipped to the
grids' extents, and the share that clipping loses is part of every result. Areas of several pages are summed
in the pixels of each page. How a ranking becomes a selection is in `ranking`, means and their intervals are
in `bootstrap`; both can be imported from here too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pinpoint_data.bootstrap import Interval, bootstrap_difference, bootstrap_mean
from pinpoint_data.boxes import FloatArray, as_xyxy, union_area
from pinpoint_data.errors import GeometryError
from pinpoint_data.ranking import (
    BoolArray,
    IntArray,
    TokenRanking,
    TokenScores,
    keep_top,
    rank_windows,
    token_ranks,
    token_scores,
    windows_to_coverage,
)
from pinpoint_data.token_grid import TokenGrid

__all__ = [
    "Interval",
    "MeasuredEvidence",
    "PageEvidence",
    "RoleScores",
    "SelectionScores",
    "TokenRanking",
    "TokenScores",
    "bootstrap_difference",
    "bootstrap_mean",
    "full_coverage_budget",
    "keep_top",
    "rank_windows",
    "score_selection",
    "token_ranks",
    "token_scores",
    "windows_to_coverage",
]

# Areas are sums of floats: half a box must count as half a box.
_TOLERANCE = 1e-9


@dataclass(frozen=True, eq=False)
class PageEvidence:
    """One page of a question, with the evidence on it.

    Attributes:
        grid: the page's token grid.
        boxes: evidence boxes in page pixels, shape (n, 4); empty on a page without evidence.
        roles: the role of each box, "answer" or "support"; all "answer" if none is given.
    """

    grid: TokenGrid
    boxes: FloatArray
    roles: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        boxes = as_xyxy(self.boxes, "boxes")
        roles = tuple(self.roles) or ("answer",) * len(boxes)
        if len(roles) != len(boxes):
            raise GeometryError(f"roles must have one entry a box, got {len(roles)} for {len(boxes)} boxes")
        object.__setattr__(self, "boxes", boxes)
        object.__setattr__(self, "roles", roles)

    def boxes_of(self, role: str | None) -> FloatArray:
        """The boxes of one role, shape (n, 4), or all for None."""
        return self.boxes if role is None else self.boxes[[r == role for r in self.roles]]


@dataclass(frozen=True)
class RoleScores:
    """Scores over the boxes of one role.

    Attributes:
        n_boxes: number of boxes.
        evidence_recall: area(M and E) / area(E), with E the union of the boxes inside the grids; 0 if all of
            them lie outside.
        all_hit: every box is hit: at least half of its area inside the grid is selected. A box outside its
            grid is missed.
        any_hit: at least one box is hit.
    """

    n_boxes: int
    evidence_recall: float
    all_hit: bool
    any_hit: bool


@dataclass(frozen=True)
class SelectionScores(RoleScores):
    """Scores over all boxes of a question.

    Attributes:
        budget: |M| / N as realised; it belongs beside every other figure.
        precision: area(M and E) / area(M); NaN where nothing is selected.
        page_recall: share of the pages with evidence from which at least one token is selected.
        clipped_share: share of the evidence area that lies outside the grids and was left out.
        by_role: the scores over the boxes of each role that occurs.
    """

    budget: float
    precision: float
    page_recall: float
    clipped_share: float
    by_role: dict[str, RoleScores]


@dataclass(frozen=True, eq=False)
class MeasuredEvidence:
    """A question's evidence in the N tokens of all its pages, end to end.

    It is measured once; scores of any number of selections are then sums over tokens.

    Attributes:
        area: shape (N,): area of the evidence in each token, overlaps counted once.
        token_area: shape (N,): area of each token, whole even where the grid sticks out of the page.
        role_area: the same for the boxes of each role that occurs.
        page_tokens: the tokens of each page with evidence.
        box_area: for each of those pages, the area of each of its boxes in each of its tokens, (n_boxes, n_tokens).
        roles: the role of each box, page after page.
        clipped_share: share of the evidence area that lies outside the grids, and is in no array.
    """

    area: FloatArray
    token_area: FloatArray
    role_area: dict[str, FloatArray]
    page_tokens: tuple[slice, ...]
    box_area: tuple[FloatArray, ...]
    roles: tuple[str, ...]
    clipped_share: float

    @classmethod
    def of(cls, pages: Sequence[PageEvidence]) -> MeasuredEvidence:
        """Measure the evidence of a question's pages."""
        ends = np.cumsum([page.grid.n_tokens for page in pages], dtype=np.int64).tolist()
        area = np.zeros(ends[-1] if ends else 0)
        roles = tuple(role for page in pages for role in page.roles)
        role_area = {role: np.zeros_like(area) for role in sorted(set(roles))}
        filled = [(page, slice(end - page.grid.n_tokens, end)) for page, end in zip(pages, ends, strict=True)]
        filled = [(page, tokens) for page, tokens in filled if len(page.boxes)]
        for page, tokens in filled:
            area[tokens] = page.grid.evidence_area(page.boxes)
            for role in (found := set(page.roles)):
                alone = len(found) == 1
                role_area[role][tokens] = area[tokens] if alone else page.grid.evidence_area(page.boxes_of(role))
        whole = sum(union_area(page.boxes) for page, _ in filled)
        sizes = [np.outer(np.diff(page.grid.y_edges), np.diff(page.grid.x_edges)).ravel() for page in pages]
        return cls(
            area,
            np.concatenate([np.zeros(0), *sizes]),
            role_area,
            tuple(tokens for _, tokens in filled),
            tuple(page.grid.box_token_area(page.boxes) for page, _ in filled),
            roles,
            max(0.0, 1 - float(area.sum()) / whole) if whole else 0.0,
        )

    def score(self, masks: ArrayLike, *, hit: float = 0.5) -> list[SelectionScores]:
        """Score selections of tokens.

        Args:
            masks: the selected tokens of each selection, bool, shape (n_selections, N).
            hit: share of a box's area that must be selected for a hit.

        Raises:
            GeometryError: there is no evidence, or the masks do not fit it.
        """
        chosen = self._checked(masks)
        # A box outside its grid has no share, and is missed.
        hits = self.box_recall(chosen) >= hit - _TOLERANCE
        every = _role_scores(self.area, chosen, hits)
        by_role = {
            role: _role_scores(area, chosen, hits[:, [r == role for r in self.roles]])
            for role, area in self.role_area.items()
        }
        used = np.count_nonzero(chosen, 1)
        whole = [float(self.token_area[mask].sum()) for mask in chosen]
        shared = [float(self.area[mask].sum()) for mask in chosen]
        precision = [min(1.0, part / of) if of else math.nan for part, of in zip(shared, whole, strict=True)]
        reached = np.mean([chosen[:, tokens].any(1) for tokens in self.page_tokens], 0)
        return [
            SelectionScores(
                **vars(every[i]),
                budget=float(used[i] / len(self.area)),
                precision=precision[i],
                page_recall=float(reached[i]),
                clipped_share=self.clipped_share,
                by_role={role: scores[i] for role, scores in by_role.items()},
            )
            for i in range(len(chosen))
        ]

    def evidence_recall(self, masks: ArrayLike) -> FloatArray:
        """The evidence recall of selections (n_selections, N) alone, shape (n_selections,)."""
        return np.array(_recalls(self.area, self._checked(masks)))

    def box_recall(self, masks: ArrayLike) -> FloatArray:
        """The share of each box's area inside its grid that is selected.

        Args:
            masks: bool, shape (n_selections, N).

        Returns:
            Shape (n_selections, n_boxes), boxes in the order of `roles`; NaN for a box outside its grid.
        """
        chosen = self._checked(masks)
        shares = []
        for tokens, area in zip(self.page_tokens, self.box_area, strict=True):
            touched = np.flatnonzero(area.any(0))
            part, inside = area[:, touched], area[:, touched].sum(1)
            # A sum a selection, as for the recall of all boxes.
            kept = np.array([np.where(mask, part, 0.0).sum(1) for mask in chosen[:, tokens][:, touched]])
            kept = kept.reshape(len(chosen), len(area))
            shares.append(np.minimum(1, np.divide(kept, inside, out=np.full_like(kept, np.nan), where=inside > 0)))
        return np.concatenate(shares, 1)

    def full_coverage_budget(self, ranks: IntArray, *, recall: float = 0.999) -> float:
        """`full_coverage_budget` for the ranks of all pages' tokens end to end, int, counted from 0, shape (N,)."""
        reached = np.cumsum(np.bincount(ranks, self.area)) >= (recall - _TOLERANCE) * self.area.sum()
        if not self.area.any() or not reached.any():
            return 1.0
        return float(np.count_nonzero(ranks <= np.argmax(reached)) / len(ranks))

    def _checked(self, masks: ArrayLike) -> BoolArray:
        if not self.roles:
            raise GeometryError("pages must hold at least one evidence box: without evidence there is no score")
        chosen = np.asarray(masks)
        if chosen.dtype.kind != "b" or chosen.shape[1:] != self.area.shape:
            raise GeometryError(
                f"masks must be bool of shape (n, {len(self.area)}), got {chosen.dtype} of shape {chosen.shape}"
            )
        return chosen


def score_selection(pages: Sequence[PageEvidence], masks: Sequence[ArrayLike], *, hit: float = 0.5) -> SelectionScores:
    """Score a selection of tokens for one question; `MeasuredEvidence` scores many of them.

    Args:
        pages: the question's pages.
        masks: the selected tokens of each page, bool, shape (n_tokens,).
        hit: share of a box's area that must be selected for a hit.

    Raises:
        GeometryError: no page has evidence, or the masks do not fit the pages.
    """
    return MeasuredEvidence.of(pages).score(_joined(masks, pages, np.bool_, "masks")[None], hit=hit)[0]


def full_coverage_budget(pages: Sequence[PageEvidence], ranks: Sequence[ArrayLike], *, recall: float = 0.999) -> float:
    """Smallest share of tokens, taken in rank order, at which evidence recall reaches 1.

    Tokens of equal rank are taken together. Evidence that the ranking never covers costs every token: 1.0.

    Args:
        pages: the question's pages.
        ranks: the rank of each page's tokens over all pages, int, 0 first, shape (n_tokens,): `token_ranks`
            for a ranking of windows.
        recall: evidence recall that counts as full coverage.
    """
    _, dense = np.unique(_joined(ranks, pages, np.int64, "ranks"), return_inverse=True)
    return MeasuredEvidence.of(pages).full_coverage_budget(dense, recall=recall)


def _role_scores(area: FloatArray, chosen: BoolArray, hits: BoolArray) -> list[RoleScores]:
    """Scores of selections (k, N) from the area (N,) of some boxes in the tokens and what hits them, (k, n_boxes)."""
    found = zip(_recalls(area, chosen), np.all(hits, 1).tolist(), np.any(hits, 1).tolist(), strict=True)
    return [RoleScores(hits.shape[1], recall, all_hit, any_hit) for recall, all_hit, any_hit in found]


def _recalls(area: FloatArray, chosen: BoolArray) -> list[float]:
    """Share of the area (N,) of some boxes that selections (k, N) hold; 0 where there is none."""
    touched = np.flatnonzero(area)  # few of a page's tokens, and of a document's
    part, total = area[touched], float(area[touched].sum())
    # A sum a selection: what one scores must not hang, in the last bit, on how many are scored with it.
    return [min(1.0, float(part[mask].sum()) / total) if total else 0.0 for mask in chosen[:, touched]]


def _joined(
    arrays: Sequence[ArrayLike], pages: Sequence[PageEvidence], dtype: type[np.generic], name: str
) -> NDArray[Any]:
    """Arrays of one entry a token, one a page, end to end; bool, or integers of any width."""
    checked = [np.asarray(array) for array in arrays]
    if [array.shape for array in checked] != [(page.grid.n_tokens,) for page in pages]:
        raise GeometryError(
            f"{name} must have shapes {[(page.grid.n_tokens,) for page in pages]}, one a page, "
            f"got {[array.shape for array in checked]}"
        )
    kinds, wanted = ("b", "bool") if dtype is np.bool_ else ("iu", "int")
    if any(array.dtype.kind not in kinds for array in checked):
        raise GeometryError(f"{name} must be {wanted}, got {[str(array.dtype) for array in checked]}")
    return np.concatenate([np.zeros(0, dtype), *(array.astype(dtype) for array in checked)])
