"""Nearest-neighbour classifiers of codes.

Majority: Cover & Hart 1967, doi 10.1109/TIT.1967.1053964. Weighted by exp(cosine / T): Wu, Xiong, Yu & Lin 2018 (instance
discrimination), arXiv 1805.01978, sec. 3.4.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from genarena.statistics.neighbours import nearest

ROWS = 500


def by_majority(bank: Tensor, labels: Tensor, z: Tensor, k: int = 20) -> Tensor:
    """Labels (N,) of codes z (N, F): the commonest among the k nearest of the bank (M, F), of equals that of the nearest
    neighbour among them. k is lowered to M."""
    k = min(k, len(bank))
    near = labels[nearest(z, bank, k)[1]]
    votes = F.one_hot(near).double()  # (N, k, K)
    return (votes.sum(1) + 0.5 * _earliest(votes)).argmax(1)


def _earliest(votes: Tensor) -> Tensor:
    """(N, K): 1 for the label of the first neighbour, falling to 0 for a label that no neighbour has."""
    k = votes.shape[1]
    rank = torch.where(votes.any(1), votes.argmax(1), k)
    return 1.0 - rank / k


def by_cosine(bank: Tensor, labels: Tensor, z: Tensor, k: int = 200, temperature: float = 0.1) -> Tensor:
    """Labels (N,): the largest sum of exp(cosine / temperature) over the k neighbours of the largest cosine."""
    k, bank, z = min(k, len(bank)), F.normalize(bank, dim=1), F.normalize(z, dim=1)
    found = []
    for part in z.split(ROWS):
        cosine, index = (part @ bank.T).topk(k)
        weight = ((cosine - cosine[:, :1]) / temperature).exp()  # of a row: the factor changes no maximum
        votes = torch.zeros(len(part), int(labels.max()) + 1, dtype=weight.dtype)
        found.append(votes.scatter_add_(1, labels[index], weight).argmax(1))
    return torch.cat(found)
