"""Labelled images without a trained network: draws of a Gaussian per class, and training images again."""

import torch
from torch import Tensor

from genarena.data.batches import Split, seeded_generator
from genarena.models.baseline.gaussian import LARGEST_FULL, Gaussian
from genarena.spec import Batch, DataSpec
from genarena.tasks.augmenting.labels import sampled


def gaussian_of_classes(spec: DataSpec, real: Split, y: Tensor, seed: int) -> Split:
    """Images of labels y (N,), drawn from a Gaussian per class (`models/baseline/gaussian.py`) of its real images."""
    plain = DataSpec(spec.shape, spec.num_levels, spec.num_classes)
    x = torch.empty(len(y), *spec.shape, dtype=spec.dtype)
    for label in y.unique().tolist():
        model = Gaussian(plain, covariance="full" if spec.num_dims <= LARGEST_FULL else "diagonal")
        model.observe(Batch(real.x[real.y == label]))
        rows = y == label
        x[rows] = sampled(model, int(rows.sum()), None, seed + label)[0]
    return Split(x, y)


def copies(real: Split, y: Tensor, seed: int) -> Split:
    """Real images of the labels y (N,), each once before one comes twice: what a perfect copier would draw."""
    index = torch.empty_like(y)
    for label in y.unique().tolist():
        rows, own = (y == label).nonzero().flatten(), (real.y == label).nonzero().flatten()
        generator = seeded_generator(seed, label, "again")
        rounds = [own[torch.randperm(len(own), generator=generator)] for _ in range(-(-len(rows) // len(own)))]
        index[rows] = torch.cat(rounds)[: len(rows)]
    return real[index]
