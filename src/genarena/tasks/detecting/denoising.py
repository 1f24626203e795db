"""Scores of a denoiser at ten times, t = 0.1 ... 0.9: x_t = a x + s eps, D = E[x | x_t], in the space of the model."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from genarena.likelihood import to_space
from genarena.models.base import GenerativeModel
from genarena.models.capabilities import Denoises
from genarena.tasks.detecting.score import Judge, Score
from genarena.tasks.detecting.sets import Examples
from genarena.tasks.noise import Noise

TIMES = tuple(round(0.1 + 0.8 * k / 9, 6) for k in range(10))


class DenoisingLoss(Score):
    """Mean over the times of |eps - eps'|^2 per dimension, eps' = (x_t - a D) / s: the loss of eps-prediction."""

    name = "denoising_loss"
    needs = (Denoises,)
    paper = "2211.07740"

    def __call__(self, judge: Judge, examples: Examples) -> Tensor:
        return self.values(judge, examples).mean(1)

    def values(self, judge: Judge, examples: Examples) -> Tensor:
        """(N, times)."""
        return judge.per_example(self.name, examples, lambda x, noise: _each(judge.model, x, noise, self.at))

    def at(self, model: GenerativeModel, x: Tensor, eps: Tensor, k: int) -> Tensor:
        """Of examples x (N, *shape) at the time TIMES[k]; (N,)."""
        a, s = level(model, TIMES[k], x)
        return _mean_square((x - denoised(model, a * x + s * eps, TIMES[k])) * a / s)

    def facts(self, judge: Judge) -> Mapping[str, Any]:
        return {"times": list(TIMES)}


class DenoisingReconstruction(DenoisingLoss):
    """Mean over the times of the error |x - x'|^2 in standard deviations from its mean over validation examples. x' follows
    from x_t by DDIM steps over the lower times.

    Graham et al. 2023, arXiv 2211.07740. Differs from the paper: DDIM instead of PLMS, fewer steps, no LPIPS.
    """

    name = "denoising_reconstruction"

    def __call__(self, judge: Judge, examples: Examples) -> Tensor:
        val = self.values(judge, judge.val)
        return ((self.values(judge, examples) - val.mean(0)) / val.std(0)).mean(1)

    def at(self, model: GenerativeModel, x: Tensor, eps: Tensor, k: int) -> Tensor:
        a, s = level(model, TIMES[k], x)
        x_t = a * x + s * eps
        for lower in range(k, -1, -1):
            mean = denoised(model, x_t, TIMES[lower])
            mean = mean.clamp(-1.0, 1.0) if model.spec.is_discrete else mean
            if lower:
                a_next, s_next = level(model, TIMES[lower - 1], x)
                x_t = a_next * mean + s_next / s * (x_t - a * mean)
                a, s = a_next, s_next
        return _mean_square(x - mean)


class ScoreNorm(DenoisingLoss):
    """Mahalanobis distance of the norms s |grad log p_t(a x)| at all times from their mean over validation examples (MSMA).

    Mahmood, Oliva & Styner 2021, arXiv 2010.13132. Differs from the paper: a Gaussian instead of a mixture.
    """

    name = "score_norm"
    paper = "2010.13132"

    def __call__(self, judge: Judge, examples: Examples) -> Tensor:
        val = self.values(judge, judge.val)
        covariance = torch.cov(val.T)
        covariance = covariance + 1e-6 * covariance.diagonal().mean() * torch.eye(len(covariance), dtype=val.dtype)
        centred = self.values(judge, examples) - val.mean(0)
        return (centred * torch.linalg.solve(covariance, centred.T).T).sum(1)

    def at(self, model: GenerativeModel, x: Tensor, eps: Tensor, k: int) -> Tensor:
        """s |grad log p| = |a D - x_t| / s (Tweedie's formula), per square root of the dimensions."""
        a, s = level(model, TIMES[k], x)
        return _mean_square((denoised(model, a * x, TIMES[k]) - x) * a / s).sqrt()


def level(model: Denoises, t: float, x: Tensor) -> tuple[Tensor, Tensor]:
    """a and s at a time, as numbers of the type of x."""
    return tuple(part[0].to(x.dtype) for part in model.marginal(torch.full((1,), t, device=x.device)))


def denoised(model: Denoises, x_t: Tensor, t: float) -> Tensor:
    return model.denoise(x_t, torch.full((len(x_t),), t, device=x_t.device))


def _each(
    model: GenerativeModel, x: Tensor, noise: Noise, at: Callable[[GenerativeModel, Tensor, Tensor, int], Tensor]
) -> Tensor:
    """(N, times)."""
    x = to_space(x, model.spec)
    return torch.stack([at(model, x, noise.normal(x), k) for k in range(len(TIMES))], 1)


def _mean_square(x: Tensor) -> Tensor:
    return x.flatten(1).square().mean(1)
