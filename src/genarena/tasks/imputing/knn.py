"""The mean of the nearest training rows in which the entry is observed (Troyanskaya et al. 2001, doi
10.1093/bioinformatics/17.6.520, with equal weights), by the distance over entries that both rows have, as
scikit-learn has it."""

from typing import ClassVar

import torch
from sklearn.impute import KNNImputer
from torch import Tensor

from genarena.tasks.imputing.base import Imputer


class KNN5(Imputer):
    """num_neighbours: rows that are averaged."""

    name = "knn_5"
    paper = "10.1093/bioinformatics/17.6.520"
    num_neighbours: ClassVar[int] = 5

    def __init__(self, train: Tensor, seed: int = 0) -> None:
        self.imputer = KNNImputer(n_neighbors=self.num_neighbours, keep_empty_features=True).fit(train.numpy())

    def fill(self, x: Tensor) -> Tensor:
        return torch.from_numpy(self.imputer.transform(x.numpy()))


class KNN10(KNN5):
    name = "knn_10"
    num_neighbours = 10
