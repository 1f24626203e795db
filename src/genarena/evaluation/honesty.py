"""Does a model keep what everything here assumes of it? Samples depend on the seed and on nothing else; an exact likelihood
depends on the example and on nothing else.

Samples that are kept from an earlier call cost no time, and those that depend on other random numbers cannot be drawn again.
A log-probability that changes with the seed is a bound or an estimate, and one that changes with the other examples of its
batch (batch normalisation in training mode) is none of an example.
"""

import torch

from genarena.data.base import ArenaDataModule
from genarena.likelihood import Likelihood
from genarena.models.base import GenerativeModel

FEW = 4  # samples of a draw that is repeated; half as many examples as are scored together
ROUNDING = 1e-3  # relative difference of log-probabilities


def odd(model: GenerativeModel, data: ArenaDataModule) -> str | None:
    """What is wrong, in words, or None. Only on a CPU: a GPU may round differently the second time. Uses random numbers."""
    if model.device.type != "cpu":
        return None
    with torch.no_grad():
        return _odd_draws(model, data) or _odd_likelihood(model, data)


def _odd_draws(model: GenerativeModel, data: ArenaDataModule) -> str | None:
    condition = data.spec.condition
    y = data.train[:FEW].given(condition) if condition else None

    def draw(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return model.sample(FEW if y is None else len(y), y)

    first, other, again = (draw(seed) for seed in (1, 2, 1))
    if not torch.equal(first, again):
        return "two draws with the same seed gave different samples"
    return "two seeds gave the same samples" if torch.equal(first, other) else None


def _odd_likelihood(model: GenerativeModel, data: ArenaDataModule) -> str | None:
    if model.likelihood is not Likelihood.EXACT:
        return None
    split = data.train[: 2 * FEW]
    y = split.given(data.spec.condition) if data.spec.condition else None
    torch.manual_seed(1)
    together = model.log_prob(split.x, y)[:FEW]
    torch.manual_seed(2)
    alone = model.log_prob(split.x[:FEW], None if y is None else y[:FEW])
    same = torch.allclose(alone.double(), together.double(), rtol=ROUNDING, atol=ROUNDING, equal_nan=True)
    return None if same else "a likelihood that is said to be exact changed with the seed or with the other examples"
