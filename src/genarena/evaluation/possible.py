"""Log-probabilities that no model can have, whatever it learned: a wrong space or unit, or a density that is none.

Integer data: the probabilities of different examples add up to at most 1. Data drawn from a known density p: under p the ratio
q(x) / p(x) of a density q has mean 1, so the product over N independent examples exceeds 1 / c with probability c at most
(Markov), unless q knew the examples.
"""

import math

import torch
from torch import Tensor

from genarena.data.base import ArenaDataModule
from genarena.data.batches import Split
from genarena.likelihood import Likelihood
from genarena.metrics.base import Unavailable

CHANCE = (
    1e-6  # that values of a random bound or estimate, whose probabilities add up to 1 in the mean only, are refused
)
ROUNDING = 0.1  # nats


def refuse_impossible(log_prob: Tensor, split: Split, data: ArenaDataModule, likelihood: Likelihood) -> None:
    """Raise Unavailable if log-probabilities (N,), nats, of the examples of a split are too high to be any. Values that are
    not finite are left to the metrics."""
    if not bool(torch.isfinite(log_prob).all()):
        return
    if data.spec.is_discrete:
        _refuse_more_than_one(log_prob, split, data, likelihood)
    elif (true := data.log_density(split.x)) is not None:
        _refuse_better_than_true((log_prob - true)[true.isfinite()].sum().item())  # rounding may put one beyond an edge


def _refuse_more_than_one(log_prob: Tensor, split: Split, data: ArenaDataModule, likelihood: Likelihood) -> None:
    margin = ROUNDING if likelihood is Likelihood.EXACT else -math.log(CHANCE)
    if data.spec.condition:  # 1 for each condition
        margin += math.log(len(split.given(data.spec.condition).unique(dim=0)))
    if log_prob.logsumexp(0) <= margin:  # also if each example counts as often as it is there
        return
    seen: dict[bytes, float] = {}
    for row, value in zip(split.x[:].numpy(), log_prob.tolist(), strict=True):
        seen[row.tobytes()] = value
    total = torch.tensor(list(seen.values()), dtype=torch.float64).logsumexp(0).item()
    if total > margin:
        raise Unavailable(
            f"no probabilities: those of {len(seen):,} different test examples add up to e^{total:.4g}, and 1 is the most that "
            "there is"
        )


def _refuse_better_than_true(gained: float) -> None:
    if gained > -math.log(CHANCE):
        raise Unavailable(
            f"no density of a model that has not seen the test examples: they are e^{gained:.4g} times as likely under it as "
            "under the one that they were drawn from"
        )
