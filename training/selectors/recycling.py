"""Tokens merged around the densest of them: DPC-kNN clustering."""

from __future__ import annotations

import torch
from torch import Tensor

from training.aligner.chunking import chunk_length


def cluster_means(states: Tensor, clusters: int) -> tuple[Tensor, Tensor, Tensor]:
    """Density peaks clustering with k nearest neighbours (Du et al. 2016), and the mean of each cluster.

    With distances D = |x_i - x_j| / sqrt(d): density rho_i = exp(-mean over the k nearest of D^2), k the number of
    clusters and i itself one of them; delta_i the distance to the nearest denser token, or the largest distance of all
    for the densest one. The tokens largest in rho delta are centres; every token joins the centre that is nearest.
    Of equally dense or equally high tokens the first comes first. One m x m matrix is made, 320 MB of 9,000 tokens.

    Args:
        states: (m, d), the first ones first.
        clusters: At most m.

    Returns:
        (clusters, d) means in the type of `states`; (clusters,) indices of the centres; (m,) the cluster of each token.
    """
    exact = states.float()
    distance = distances(exact / states.shape[1] ** 0.5)
    density = (-distance.topk(clusters, dim=1, largest=False).values.square().mean(dim=1)).exp()
    place = density.argsort(descending=True, stable=True).argsort()
    largest = float(distance.max())
    delta = torch.cat(
        [
            # Those of a lower place are denser.
            distance[some].masked_fill(place >= place[some, None], largest).amin(dim=1)
            for some in _some_rows(len(states), states.device)
        ]
    )
    centres = (density * delta).argsort(descending=True, stable=True)[:clusters]
    cluster = distance[:, centres].argmin(dim=1)
    cluster[centres] = torch.arange(clusters, device=centres.device)
    sums = torch.zeros(clusters, states.shape[1], device=states.device).index_add_(0, cluster, exact)
    return (sums / cluster.bincount(minlength=clusters)[:, None]).to(states), centres, cluster


def distances(rows: Tensor) -> Tensor:
    """(m, m): Euclidean distances of rows (m, d), exactly symmetric, and 0 of each to itself.

    Two tokens that are each other's nearest are equally dense: rounding must not say otherwise.
    """
    # Distances are those of squares: without what all rows share, less of these is rounded away.
    rows = rows - rows.mean(dim=0)
    found = rows.new_empty(len(rows), len(rows))
    for some in _some_rows(len(rows), rows.device):
        own = torch.cdist(rows[some], rows[some.start :])
        square = own[:, : len(own)]
        own[:, : len(own)] = (square + square.T) / 2
        found[some, some.start :] = own
        found[some.start :, some] = own.T
    return found.fill_diagonal_(0)


def _some_rows(m: int, device: torch.device) -> list[slice]:
    """Rows of an (m, m) matrix to work on at a time."""
    size = chunk_length(3 * 4 * m, device)
    return [slice(start, start + size) for start in range(0, m, size)]
