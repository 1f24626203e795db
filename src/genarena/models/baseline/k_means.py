"""Clusters of examples: k-means with the seeds of k-means++ (Arthur & Vassilvitskii 2007)."""

import torch
from torch import Tensor

KMEANS_STEPS = 10


def k_means(x: Tensor, num_clusters: int) -> Tensor:
    """Memberships (N, K), one-hot, of x (N, D): seeds of k-means++, then `KMEANS_STEPS` steps of k-means."""
    chosen = [int(torch.randint(len(x), ()))]
    for _ in range(1, num_clusters):
        distance = torch.cdist(x, x[chosen]).amin(1).square()
        chosen.append(int(torch.multinomial(distance + 1e-12 * (1.0 + distance.sum()), 1)))
    centres = x[chosen]
    for _ in range(KMEANS_STEPS):
        members = torch.nn.functional.one_hot(torch.cdist(x, centres).argmin(1), num_clusters).to(x.dtype)
        sizes = members.sum(0)[:, None]
        centres = torch.where(sizes > 0, members.T @ x / sizes.clamp_min(1.0), centres)
    return members
