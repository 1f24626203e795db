"""Likelihood regret: how much the bound of one example gains when the encoder is trained on this example alone.

Xiao, Yan & Amit 2020, arXiv 2003.02977, eq. 5. Differs from the paper: the bound before and after uses the same few draws of z,
and the best step counts, so that the regret is never negative.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from genarena.models.capabilities import Infers
from genarena.tasks.detecting.inference import kl, log_likelihood
from genarena.tasks.detecting.score import Judge, Score
from genarena.tasks.detecting.sets import Examples
from genarena.tasks.noise import Noise

STEPS, RATE, DRAWS = 100, 2e-4, 4
AT_ONCE = 5  # each lane has a copy of the encoder, its gradient, and two moments: more of them do not fit into caches


class Regret(Score):
    """max_q' L(x; q') - L(x; q) in nats, L the bound with the decoder fixed; q' after at most 100 steps of Adam."""

    name = "regret"
    paper = "2003.02977"
    needs = (Infers,)
    searches = True

    def __call__(self, judge: Judge, examples: Examples) -> Tensor:
        return judge.per_example(self.name, examples, lambda x, noise: regret(judge.model, x, noise), AT_ONCE)

    def facts(self, judge: Judge) -> Mapping[str, Any]:
        return {"unit_of_score": "nats", "steps": STEPS, "learning_rate": RATE, "draws": DRAWS}


class _Posterior(nn.Module):
    """q(z|x) of one example as a function of its parameters."""

    def __init__(self, model: Infers) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        q = self.model.posterior(x.unsqueeze(0))
        return q.mean[0], q.log_var[0]


def regret(model: Infers, x: Tensor, noise: Noise, steps: int = STEPS) -> Tensor:
    """(N,) nats. Each lane trains an encoder of its own."""
    wrapped, num = _Posterior(model), len(x)
    eps = noise.normal(torch.empty(num, DRAWS, model.latent_dim, device=x.device))
    own = {name: p.detach().expand(num, *p.shape).clone().requires_grad_() for name, p in _trained(wrapped, x).items()}
    optimiser = torch.optim.Adam(own.values(), lr=RATE, fused=True)
    posterior = vmap(lambda parameters, image: functional_call(wrapped, parameters, (image,)))
    first = best = None
    for step in range(steps + 1):
        with torch.enable_grad():
            bound = _bound(model, x, *posterior(own, x), eps)
            gradients = torch.autograd.grad(-bound.sum(), [*own.values()]) if step < steps else ()
        first = bound.detach() if first is None else first
        best = first if best is None else torch.fmax(best, bound.detach())
        for parameter, gradient in zip(own.values(), gradients, strict=False):
            parameter.grad = gradient
        if gradients:
            optimiser.step()
    return best - first


def _trained(wrapped: _Posterior, x: Tensor) -> dict[str, Tensor]:
    """The parameters that q(z|x) depends on: the encoder's."""
    parameters = {name: p.detach().requires_grad_() for name, p in wrapped.named_parameters()}
    with torch.enable_grad():
        mean, log_var = functional_call(wrapped, parameters, (x[0],))
        found = torch.autograd.grad(mean.sum() + log_var.sum(), [*parameters.values()], allow_unused=True)
    return {name: p for (name, p), gradient in zip(parameters.items(), found, strict=True) if gradient is not None}


def _bound(model: Infers, x: Tensor, mean: Tensor, log_var: Tensor, eps: Tensor) -> Tensor:
    """E_q log p(x|z) - KL (N,), over the draws eps (N, K, latent_dim)."""
    z = mean[:, None] + (0.5 * log_var).exp()[:, None] * eps
    repeated = x.repeat_interleave(eps.shape[1], 0)
    each = log_likelihood(model.likelihood_of(z.flatten(0, 1)), repeated).unflatten(0, eps.shape[:2])
    return each.mean(1) - kl(mean, log_var)
