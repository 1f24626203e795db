"""Checks of the numbers themselves: what the evaluation computes against closed forms and independent implementations.

Each check is a function without arguments that returns what was compared with what. They call the functions that score
models, on data small enough for a minute in all. `scripts/selfcheck.py` prints them.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from genarena.data.cifar10 import CIFAR10
from genarena.data.digits import Digits
from genarena.distributions import discretised_logistic_log_prob
from genarena.errors import DataError
from genarena.evaluation.evaluate import evaluate, load_metric
from genarena.evaluation.settings import EvaluationSettings
from genarena.evaluation.weights import FeatureSettings
from genarena.likelihood import dequantisation_log_det, dequantise, to_unit
from genarena.models.autoregressive.made import MADE
from genarena.models.baseline.uniform import Uniform
from genarena.models.vae.vae import VAE
from genarena.published.imported import ImportedReference, score
from genarena.spec import DataSpec
from genarena.statistics.frechet import frechet_distance

CIFAR10_TRAIN_TEST_FID = 3.15  # 3.1508 by the official TensorFlow code; ports give 3.1457 to 3.1525


@dataclass(frozen=True)
class Check:
    """`value`, what it was compared with, and the largest difference that is still agreement.

    one_sided: `value` is a bound that must not exceed `reference` by more than the tolerance.
    """

    title: str
    value: float
    against: str
    reference: float
    tolerance: float
    one_sided: bool = False

    @property
    def difference(self) -> float:
        return self.value - self.reference

    @property
    def holds(self) -> bool:
        return self.difference <= self.tolerance if self.one_sided else abs(self.difference) <= self.tolerance

    @property
    def text(self) -> str:
        sign = "<=" if self.one_sided else "="
        return (
            f"{'ok    ' if self.holds else 'WRONG '} {self.title}: {self.value:.10g} {sign} {self.reference:.10g} "
            f"({self.against}), difference {self.difference:.1e}, allowed {self.tolerance:.0e}"
        )


@dataclass(frozen=True)
class Missing:
    """A check that cannot be made here, and what it needs."""

    title: str
    reason: str
    holds: bool = True

    @property
    def text(self) -> str:
        return f"absent  {self.title}: {self.reason}"


def _normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _measure(name: str, real: Tensor, fake: Tensor) -> float:
    """A two-sample metric of the protocol on given features."""
    metric = load_metric(name)()
    metric.update(real, fake)
    return metric.compute()


# -- sample quality ----------------------------------------------------------------------------------------------------


def frechet_of_known_gaussians() -> Iterator[Check]:
    """Commuting covariances: |m1 - m2|^2 + sum_i (s1_i - s2_i)^2, in a rotated basis."""
    rotation = torch.linalg.qr(_normal(64, 64)).Q.numpy()
    m1, m2, s1, s2 = (_normal(64, seed=seed).numpy() for seed in range(1, 5))
    (c1, c2) = (rotation @ np.diag(s**2) @ rotation.T for s in (s1, s2))
    expected = float(((m1 - m2) ** 2).sum() + ((np.abs(s1) - np.abs(s2)) ** 2).sum())
    yield Check(
        "Frechet distance of two Gaussians in 64 dimensions",
        frechet_distance(m1, c1, m2, c2),
        "closed form",
        expected,
        1e-8 * expected,
    )


def fid_of_a_set_with_itself() -> Iterator[Check]:
    rows = _normal(2100, 64)
    yield Check(
        "FID(x, x)",
        _measure("fid", rows, rows),
        "zero, relative to the trace of the covariance",
        0.0,
        1e-9 * rows.var(0).sum().item(),
    )


def fid_and_kid_of_torch_fidelity() -> Iterator[Check]:
    """The same features through torch-fidelity's own functions; its KID with one subset, the whole set."""
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
    from torch_fidelity.metric_kid import kid_features_to_metric

    mixing = _normal(256, 256, seed=1) / 16.0
    real, fake = (_normal(2100, 256, seed=2) @ mixing).relu(), (1.1 * _normal(2100, 256, seed=3) @ mixing + 0.1).relu()
    statistics = (fid_features_to_statistics(rows) for rows in (fake, real))
    fid = fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    yield Check("FID of 2 x 2,100 random features", _measure("fid", real, fake), "torch-fidelity", fid, 1e-6 * fid)
    kid = kid_features_to_metric(fake, real, kid_subsets=1, kid_subset_size=2100, verbose=False)
    kid = kid["kernel_inception_distance_mean"]
    yield Check("KID of the same features", _measure("kid", real, fake), "torch-fidelity", kid, 1e-6 * kid)


def neighbours_by_brute_force() -> Iterator[Check]:
    """Equations 1-2 of Kynkaanniemi et al. 2019 and 4-5 of Naeem et al. 2020, by plain loops."""
    real, fake = _normal(60, 4, seed=4).tolist(), (0.8 * _normal(50, 4, seed=5) + 0.3).tolist()

    def inside(k: int, centres: list[list[float]], points: list[list[float]]) -> list[list[bool]]:
        """[centre][point]: whether the point is as near as the k-th of the other centres."""
        radii = [sorted(math.dist(centre, other) for other in centres)[k] for centre in centres]  # [0] is itself
        return [
            [math.dist(centre, point) <= radius for point in points]
            for centre, radius in zip(centres, radii, strict=True)
        ]

    by_three, of_samples, by_five = inside(3, real, fake), inside(3, fake, real), inside(5, real, fake)
    expected = {
        "precision": sum(map(any, zip(*by_three, strict=True))) / 50,
        "recall": sum(map(any, zip(*of_samples, strict=True))) / 60,
        "density": sum(map(sum, by_five)) / (5 * 50),
        "coverage": sum(map(any, by_five)) / 60,
    }
    sets = [torch.tensor(rows, dtype=torch.float64) for rows in (real, fake)]
    for name, value in expected.items():
        yield Check(name, _measure(name, *sets), "brute force", value, 1e-12)


# -- likelihood --------------------------------------------------------------------------------------------------------


def uniform_model() -> Iterator[Check]:
    data = Digits(DataSpec((1, 8, 8), 17, 10))
    data.setup()
    found = evaluate(Uniform(data.spec).eval(), data, ["bits_per_dim"], EvaluationSettings(), progress=False)
    value = found.metrics["bits_per_dim"]["value"]
    yield Check("bits/dim of a uniform model on digits", value, "log2(17)", math.log2(17.0), 1e-6)


class _Affine(nn.Module):
    """x -> (weight x + bias, log-variance): an encoder or decoder with a known posterior."""

    def __init__(self, weight: Tensor, bias: Tensor, log_var: Tensor) -> None:
        super().__init__()
        self.weight, self.bias, self.log_var = weight, bias, log_var

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x @ self.weight.T + self.bias, self.log_var.expand(len(x), -1)], 1)


@torch.no_grad()
def bounds_of_a_linear_gaussian_model() -> Iterator[Check]:
    """x = W z + b + s eps has log p(x) = log N(x; b, W W^T + s^2 I); q is made twice as wide as the true posterior."""
    torch.manual_seed(0)
    scales, noise, bias = torch.tensor([1.5, 0.4]), 0.6, torch.tensor([0.2, -0.3, 0.1, 0.5])
    weight = torch.linalg.qr(_normal(4, 2, seed=6).float()).Q * scales
    variance = 1.0 / (1.0 + scales**2 / noise**2)
    gain = variance.diag() @ weight.T / noise**2
    model = VAE(DataSpec((4,)), latent_dim=2, hidden=4).eval()
    model.decoder = _Affine(weight, bias, torch.full((4,), 2.0 * math.log(noise)))
    model.encoder = _Affine(gain, -gain @ bias, (4.0 * variance).log())
    x = 1.5 * _normal(8, 4, seed=7).float()
    covariance = weight @ weight.T + noise**2 * torch.eye(4)
    exact = torch.distributions.MultivariateNormal(bias, covariance).log_prob(x).mean().item()
    repeats, last = 4000, -math.inf
    for k in (1, 10, 100):
        bounds = model.log_prob(x.repeat(repeats, 1), num_samples=k).view(repeats, 8).mean(1)
        error = 4.0 * bounds.std().item() / repeats**0.5
        value = bounds.mean().item()
        yield Check(
            f"importance-weighted bound, k={k}, of a linear-Gaussian model",
            value,
            "exact, 4 standard errors",
            exact,
            error,
            one_sided=True,
        )
        if k == 1:
            gap = 0.5 * 2 * (4.0 - 1.0 - math.log(4.0))
            yield Check("  and its value", value, "exact - KL(q || posterior), 4 standard errors", exact - gap, error)
        else:
            yield Check("  and the bound of the smaller k", last, "the one of this k", value, error, one_sided=True)
        last = value
    many = (
        model.log_prob(x, num_samples=50_000).mean().item()
    )  # 4 standard errors are 0.008: 4 (1.4 / 50,000 / 8)^(1/2)
    yield Check("  and k=50,000", many, "exact", exact, 0.01)


def discretised_logistic_masses() -> Iterator[Check]:
    for mean, log_scale, levels in (
        (-1.3, -4.0, 256),
        (0.4, -1.0, 256),
        (0.0, 2.0, 17),
        (0.9, -6.5, 256),
        (0.1, -0.5, 2),
    ):
        x = to_unit(torch.arange(levels), levels).double()
        log_prob = discretised_logistic_log_prob(x, torch.tensor(mean), torch.tensor(log_scale), levels)
        yield Check(
            f"masses of a discretised logistic, {levels} levels, mean {mean}, log-scale {log_scale}",
            log_prob.exp().sum().item(),
            "one",
            1.0,
            1e-6,
        )


def dequantisation_bound() -> Iterator[Check]:
    """p(u) = 2u on [0, 1) gives level x the mass (2x + 1) / L^2; E[log 2u] - log L is a bound on its logarithm."""
    levels, repeats = 4, 200_000
    spec = DataSpec((1,), levels)
    torch.manual_seed(0)
    for level in range(levels):
        x = torch.full((repeats, 1), level, dtype=torch.uint8)
        draws = torch.log(2.0 * dequantise(x, levels).double()).squeeze(1) + dequantisation_log_det(spec)
        error = 4.0 * draws.std().item() / repeats**0.5
        exact = math.log((2 * level + 1) / levels**2)
        bound = draws.mean().item()
        yield Check(f"dequantised bound, level {level} of {levels}", bound, "exact mass", exact, 0.0, one_sided=True)
        low, high = level / levels, (level + 1) / levels
        primitive = [u * math.log(2.0 * u) - u if u else 0.0 for u in (low, high)]
        integral = levels * (primitive[1] - primitive[0]) - math.log(levels)
        yield Check("  and its value", bound, "the integral, 4 standard errors", integral, error)


def autoregressive_masses() -> Iterator[Check]:
    """An autoregressive model's masses over all binary images of 2x3 pixels."""
    torch.manual_seed(1)
    model = MADE(DataSpec((1, 2, 3), 2), hidden=[32], num_masks=2, order_agnostic=True).eval()
    images = torch.tensor(list(itertools.product((0, 1), repeat=6)), dtype=torch.uint8).view(-1, 1, 2, 3)
    with torch.no_grad():
        total = model.log_prob(images).double().exp().sum().item()
    yield Check("masses of all 64 images under a MADE", total, "one", 1.0, 1e-6)


# -- with the real weights and data ------------------------------------------------------------------------------------


def fid_of_cifar10(root: str, networks: FeatureSettings) -> Iterator[Check | Missing]:
    """FID of the 50,000 training images against the 10,000 test images."""
    title = f"FID of CIFAR-10, train against test ({CIFAR10_TRAIN_TEST_FID} +- 0.01)"
    folder = Path(root) / CIFAR10.inner
    if not folder.is_dir():
        yield Missing(title, f"needs CIFAR-10; there is no {folder} (GENARENA_DATA or data.root=)")
        return
    data = CIFAR10(DataSpec((3, 32, 32), 256, 10), root=root)
    try:
        data.setup()
    except DataError as error:
        yield Missing(title, f"needs CIFAR-10: {error}")
        return
    if data.part():
        yield Missing(title, f"needs all of CIFAR-10; {folder} has {data.part()}")
        return
    train = torch.cat([data.train.x, data.val.x])
    settings = EvaluationSettings(num_samples=len(train), num_test=data.test.size, features=networks)
    reference = ImportedReference(data.test.x, data.spec)
    reference.setup()
    record = score(train, reference, ["fid"], settings)["fid"]
    if record["value"] is None:
        yield Missing(title, record["reason"])
    else:
        yield Check(title, record["value"], "3.1508 of the official code", CIFAR10_TRAIN_TEST_FID, 0.01)


OFFLINE: list[Callable[[], Iterator[Check]]] = [
    frechet_of_known_gaussians,
    fid_of_a_set_with_itself,
    fid_and_kid_of_torch_fidelity,
    neighbours_by_brute_force,
    uniform_model,
    bounds_of_a_linear_gaussian_model,
    discretised_logistic_masses,
    dequantisation_bound,
    autoregressive_masses,
]
