"""Denoising: y = x + sigma n, n ~ N(0, I), with sigma known.

The posterior mean E[x | y] has the smallest mean squared error. A Gaussian model has it in closed form (Wiener 1949). A
diffusion model's network estimates E[x_0 | x_t]: at the level t with s / a = 2 sigma (data in [-1, 1] is twice as wide as in
[0, 1]), x_t = a (2 y - 1) is the noisy image, and one evaluation is enough (Efron 2011, doi 10.1198/jasa.2011.tm11181).

Classical methods: the noisy image as it is, a Gaussian blur, total variation. Their strength is the one with the smallest
mean squared error on noisy validation images.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from genarena.models.capabilities import Correlates, Denoises
from genarena.spec import DataSpec
from genarena.statistics.image_quality import filtered, gaussian
from genarena.tasks import total_variation
from genarena.tasks.base import Algorithm
from genarena.tasks.restoring import Classical, Restoration

HALVINGS = 60  # of an interval of times: beyond the precision of float64


def closed_form(model: Correlates, y: Tensor, sigma: float, condition: Tensor | None = None) -> Tensor:
    """m + C (C + sigma^2 I)^-1 (y - m) for x ~ N(m, C): the exact posterior mean of the model."""
    mean, covariance = model.moments()
    noise, off = (2.0 * sigma) ** 2, 2.0 * y.double().flatten(1) - 1.0 - mean  # moments are of data in [-1, 1]
    if covariance.dim() == 1:
        off = off * covariance / (covariance + noise)
    else:
        identity = torch.eye(len(mean), dtype=mean.dtype, device=mean.device)
        off = torch.linalg.solve(covariance + noise * identity, off.T).T @ covariance
    return (0.5 * (mean + off + 1.0)).unflatten(1, y.shape[1:])


def one_step(model: Denoises, y: Tensor, sigma: float, condition: Tensor | None = None) -> Tensor:
    """E[x_0 | x_t] at the level with s / a = 2 sigma. Raises ValueError if the path has less noise than that."""
    t = time_of(model, 2.0 * sigma, y.device)
    a, _ = model.marginal(t)
    x_t = a * (2.0 * y.float() - 1.0)
    return 0.5 * (model.denoise(x_t, t.expand(len(y)), condition) + 1.0)


def time_of(model: Denoises, ratio: float, device: torch.device | str = "cpu") -> Tensor:
    """t (1,) with s(t) / a(t) = ratio, by halving [0, 1]. Raises ValueError if even t = 1 has a smaller ratio."""
    low, high = torch.zeros(1, device=device), torch.ones(1, device=device)
    a, s = model.marginal(high)
    if (s < ratio * a).item():
        raise ValueError(
            f"task.sigma={ratio / 2.0:g}: the model's path has less noise, at most {s.item() / a.item() / 2.0:g}"
        )
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        a, s = model.marginal(middle)
        low, high = (middle, high) if (s < ratio * a).item() else (low, middle)
    return high


def blur(y: Tensor, sigma: float, std: float) -> Tensor:
    """Images (N, C, H, W) filtered with a Gaussian of `std` pixels, continued by the pixels of the edge."""
    if std <= 0:
        return y
    radius = max(1, int(4.0 * std + 0.5))
    padded = functional.pad(y, (radius, radius, radius, radius), mode="replicate")
    return filtered(padded, gaussian(2 * radius + 1, std))


@dataclass(frozen=True)
class Denoise(Restoration):
    """The options are those of `Restoration`. algorithm: closed_form or one_step; null: the first that fits the model."""

    title = "Denoising"
    algorithms: ClassVar = (
        Algorithm("closed_form", Correlates, "exact", closed_form),
        Algorithm("one_step", Denoises, "asymptotic", one_step, nfe=1),
    )
    classical: ClassVar = (
        Classical("noisy", lambda y, sigma, _: y),
        Classical("gaussian_blur", blur, lambda sigma: [0.2 * 1.15**k for k in range(17)]),
        Classical(
            "total_variation",
            lambda y, sigma, weight: total_variation.denoise(y, weight),
            lambda sigma: [sigma * 0.1 * 1.25**k for k in range(17)],
            "10.1023/B:JMIV.0000011325.36760.1e",
        ),
    )

    def constants(self, spec: DataSpec) -> dict[str, Any]:
        return super().constants(spec) | {"total_variation": [total_variation.STEP, total_variation.NUM_STEPS]}
