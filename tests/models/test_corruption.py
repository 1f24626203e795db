"""Chains of levels against products of matrices, written out."""

import itertools
import math

import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor

from genarena.models.discrete_diffusion.corruption import Chain, chain

STEPS, LEVELS = 8, 5
KINDS = pytest.mark.parametrize("kind", ["gaussian", "uniform", "absorbing"])


def matrices(kind: str, found: Chain) -> list[Tensor]:
    """Q_1 .. Q_T by the formulas of appendix A, entry by entry."""
    size, steps = found.num_states, found.num_steps
    result = []
    for t in range(1, steps + 1):
        q = torch.zeros(size, size, dtype=torch.float64)
        if kind == "gaussian":
            beta = (1e-4 + (0.02 - 1e-4) * (t - 1) / (steps - 1)) * 1000 / steps
            weight = {n: math.exp(-4 * n**2 / ((size - 1) ** 2 * beta)) for n in range(-(size - 1), size)}
            for i, j in itertools.product(range(size), repeat=2):
                q[i, j] = weight[i - j] / sum(weight.values()) if i != j else 0.0
            q += torch.diag(1.0 - q.sum(1))
        elif kind == "absorbing":
            beta = 1 / (steps - t + 1)
            q = (1 - beta) * torch.eye(size, dtype=torch.float64)
            q[:, -1] += beta
        else:
            f = [math.cos((u / steps + 0.008) / 1.008 * math.pi / 2) ** 2 for u in (t - 1, t)]
            kept = f[1] / f[0] if t < steps else 0.0
            q = kept * torch.eye(size, dtype=torch.float64) + (1 - kept) / size
        result.append(q)
    return result


def product(parts: list[Tensor], size: int) -> Tensor:
    found = torch.eye(size, dtype=torch.float64)
    for part in parts:
        found = found @ part
    return found


@KINDS
def test_marginals_and_transitions_are_products_of_the_steps(kind: str) -> None:
    found = chain(kind, STEPS, LEVELS)
    parts, size = matrices(kind, found), found.num_states
    states, p = torch.arange(size)[None], torch.randn(1, 3, size).softmax(-1)
    for t in range(STEPS + 1):
        whole, at = product(parts[:t], size), torch.tensor([t])
        torch.testing.assert_close(found.marginal(states, at)[0].double(), whole, rtol=0, atol=1e-6)
        torch.testing.assert_close(found.spread(p, at).double(), p.double() @ whole, rtol=0, atol=1e-6)
        for s in range(t):
            between = product(parts[s:t], size)
            torch.testing.assert_close(
                found.seen(states, torch.tensor([s]), at)[0].double(), between.T, rtol=0, atol=1e-6
            )


@KINDS
@pytest.mark.parametrize(("s", "t"), [(0, 1), (2, 3), (1, 4), (3, 8)])
def test_posteriors_are_those_of_bayes(kind: str, s: int, t: int) -> None:
    """For every possible pair of x_0 and x_t, and for a distribution of x_0."""
    found = chain(kind, STEPS, LEVELS)
    parts, size = matrices(kind, found), found.num_states
    until, between = product(parts[:s], size), product(parts[s:t], size)
    before, after = torch.tensor([s]), torch.tensor([t])
    for start, end in itertools.product(range(LEVELS), range(size)):
        if (until @ between)[start, end] > 1e-12:  # what is less likely, float32 cannot weigh
            joint = until[start] * between[:, end]
            p = torch.eye(size)[start].view(1, 1, size)
            posterior = found.posterior(torch.tensor([[end]]), p, before, after)
            torch.testing.assert_close(posterior[0, 0].double(), joint / joint.sum(), rtol=0, atol=1e-5)
    p = torch.randn(LEVELS).softmax(0).double()
    p = torch.cat([p, torch.zeros(size - LEVELS, dtype=torch.float64)])
    for end in range(size):
        joint = (p @ until) * between[:, end]
        if not joint.any():  # at the end of an absorbing chain all is masked
            continue
        posterior = found.posterior(torch.tensor([[end]]), p.float().view(1, 1, size), before, after)
        torch.testing.assert_close(posterior[0, 0].double(), joint / joint.sum(), rtol=0, atol=1e-5)


@KINDS
def test_the_chain_ends_in_its_prior_and_knows_what_is_left(kind: str) -> None:
    found = chain(kind, STEPS, LEVELS)
    whole = product(matrices(kind, found), found.num_states)
    left = torch.special.xlogy(whole, whole) - torch.special.xlogy(whole, found.end.double())
    torch.testing.assert_close(found.prior_term[:LEVELS].double(), left.sum(1)[:LEVELS], rtol=1e-4, atol=1e-6)
    assert found.end.sum().item() == pytest.approx(1.0)
    if kind == "gaussian":
        exact = torch.special.xlogy(whole[0], whole[0] * LEVELS).sum().item()
        assert found.left() == pytest.approx(exact, rel=1e-6)


@KINDS
def test_draws_have_the_marginal(kind: str) -> None:
    torch.manual_seed(0)
    found, num = chain(kind, STEPS, LEVELS), 20_000
    t = torch.tensor([2, 5]).repeat_interleave(num)
    x_t = found.draw(torch.full((2 * num, 1), 3), t).view(2, num)
    for drawn, step in zip(x_t, (2, 5), strict=True):
        masses = product(matrices(kind, found)[:step], found.num_states)[3]
        counts = drawn.bincount(minlength=found.num_states)
        assert not counts[masses == 0].any()
        assert chisquare(counts[masses > 0].numpy(), (masses[masses > 0] * num).numpy()).pvalue > 1e-3


def test_a_gaussian_chain_that_remembers_is_refused_in_one_line() -> None:
    with pytest.raises(ValueError, match=r"corruption=gaussian: 100 steps leave 0\.\d+ nats of a level of 2") as error:
        chain("gaussian", 100, 2)
    assert "\n" not in str(error.value)
    assert chain("gaussian", 100, 17).left() < 0.01 and chain("gaussian", 100, 256).left() < 0.01
