"""Tokens merged around the densest of them: DPC-kNN clustering."""

from __future__ import annotations

import torch
from torch import Tensor


def cluster_means(states: Tensor, clusters: int) -> tuple[Tensor, Tensor, Tensor]:
    """Density peaks clustering with k nearest neighbours (Du et al. 2016), and the mean of each cluster.

    With distances D = |x_i - x_j| / sqrt(d): density rho_i = exp(-mean over the k nearest of D^2), k the number of
    clusters and i itself one of them; delta_i the distance to the nearest denser token, or the largest distance of all
    for the densest one. The tokens largest in rho delta are centres; every token joins the centre that is nearest.
    Of equally dense or equally high tokens the first comes first.

    Args:
        states: (m, d), the first ones first.
        clusters: At most m.

    Returns:
        (clusters, d) means in the type of `states`; (clusters,) indices of the centres; (m,) the cluster of each token.
    """
    exact = states.float()
    distance = torch.cdist(exact, exact) / states.shape[1] ** 0.5
    # Two tokens that are each other's nearest are equally dense: rounding must not say otherwise.
    distance = (distance + distance.T).fill_diagonal_(0) / 2
    nearest = distance.topk(clusters, dim=1, largest=False).values
    density = (-nearest.square().mean(dim=1)).exp()
    by_density = density.argsort(descending=True, stable=True)
    # In order of density, those before a token are denser.
    ordered = distance[by_density][:, by_density]
    sparser = torch.ones_like(ordered, dtype=torch.bool).triu()
    delta = torch.empty_like(density)
    delta[by_density] = ordered.masked_fill(sparser, float(distance.max())).min(dim=1).values
    centres = (density * delta).argsort(descending=True, stable=True)[:clusters]
    cluster = distance[:, centres].argmin(dim=1)
    cluster[centres] = torch.arange(clusters, device=centres.device)
    sums = torch.zeros(clusters, states.shape[1], device=states.device).index_add_(0, cluster, exact)
    return (sums / cluster.bincount(minlength=clusters)[:, None]).to(states), centres, cluster
