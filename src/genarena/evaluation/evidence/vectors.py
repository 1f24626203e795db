"""Examples of data that is vectors, in units of the spread of the training set, so that every coordinate weighs the same."""

from typing import Any

import torch
from torch import Tensor

from genarena.evaluation.evidence.base import Kind, piece
from genarena.metrics.base import Fresh, Unavailable

Scale = tuple[Tensor, Tensor]


class Vectors(Kind):
    """(x - mean) / std, with the mean and the standard deviation of each coordinate of the training set; float64."""

    @piece
    def vector_scale(self) -> Scale:
        """mean and std, (D,); a coordinate that never varies has std 1. Raises Unavailable for data that is no vectors."""
        data = self.subject.data
        if len(data.spec.shape) != 1:
            raise Unavailable(f"it is for vectors, and {data.name} is {'sound' if data.spec.is_sound else 'images'}")
        train = data.train.x.double()
        std = train.std(0, correction=0)
        return train.mean(0), torch.where(std > 0, std, 1.0)

    @piece
    def real_vectors(self, vector_scale: Scale, real: Tensor) -> Tensor:
        """(N, D), of test examples."""
        return _scaled(real, vector_scale)

    @piece
    def fake_vectors(self, vector_scale: Scale, fake: Tensor) -> Tensor:
        """(N, D), of samples."""
        return _scaled(fake, vector_scale)

    @piece
    def fresh_vectors(self, vector_scale: Scale, fresh: Fresh) -> Fresh:
        """(N, D), of real examples in place of samples."""
        return fresh if fresh.rows is None else fresh._replace(rows=_scaled(fresh.rows, vector_scale))

    def facts(self, piece: str) -> dict[str, Any]:
        return {"scale": "mean and standard deviation of the training set"}


def _scaled(rows: Tensor, scale: Scale) -> Tensor:
    return (rows.double() - scale[0]) / scale[1]
