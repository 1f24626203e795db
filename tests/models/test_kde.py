"""Kernel density estimate: scikit-learn's score, the leave-one-out likelihood by hand, levels, labels, samples."""

import math

import pytest
import torch
from sklearn.neighbors import KernelDensity
from torch import Tensor

from genarena.likelihood import Likelihood
from genarena.models.baseline.kde import KDE
from genarena.spec import Batch, DataSpec


def fitted(spec: DataSpec, x: Tensor, y: Tensor | None = None, **options: object) -> KDE:
    model = KDE(spec, **options)
    for start in range(0, len(x), 64):
        model.observe(Batch(x[start : start + 64], None if y is None else y[start : start + 64]))
    return model.eval()


def points(num: int, dims: int, seed: int = 0) -> Tensor:
    x = torch.randn(num, dims, generator=torch.Generator().manual_seed(seed))
    return torch.where(x[:, :1] > 0, x + 3.0, 0.5 * x)


@pytest.mark.parametrize("dims", [2, 13])
def test_scores_are_those_of_scikit_learn(dims: int) -> None:
    train, test = points(300, dims), points(100, dims, seed=1)
    model = fitted(DataSpec((dims,)), train)
    # One leaf: with several, the bounds of its tree cost scikit-learn 2e-5 nats in 13 dimensions.
    reference = KernelDensity(bandwidth=model.bandwidth, rtol=0.0, atol=0.0, leaf_size=1000).fit(train.double().numpy())
    expected = torch.from_numpy(reference.score_samples(test.double().numpy()))
    torch.testing.assert_close(model._log_density(test), expected, rtol=0, atol=1e-8)
    torch.testing.assert_close(model.log_prob(test), expected.float())
    assert model.likelihood is Likelihood.EXACT


def test_the_bandwidth_is_the_maximum_of_the_leave_one_out_likelihood() -> None:
    """Against a loop over scikit-learn's estimates that lack one example each."""
    train = points(40, 2)
    model = fitted(DataSpec((2,)), train)

    def score(bandwidth: float) -> float:
        total, rows = 0.0, train.double().numpy()
        for i in range(len(rows)):
            others = KernelDensity(bandwidth=bandwidth).fit(rows[[j for j in range(len(rows)) if j != i]])
            total += others.score_samples(rows[i : i + 1])[0]
        return total / len(rows)

    best = score(model.bandwidth)
    assert best == pytest.approx(model.leave_one_out(model.squared_distances_to_others(), model.bandwidth), abs=1e-9)
    assert best > score(1.03 * model.bandwidth) and best > score(model.bandwidth / 1.03)
    assert best > max(score(factor * model.bandwidth) for factor in (0.2, 0.5, 2.0, 5.0))


def test_one_kernel_of_levels_is_a_bound_on_the_masses_of_its_bins() -> None:
    """One stored pixel of level 3 of 8, h = 1: the mass of a level is a difference of normal distribution functions."""
    spec = DataSpec((1,), 8)
    model = fitted(spec, torch.tensor([[3]], dtype=torch.uint8), bandwidth=1.0)
    levels = torch.arange(8, dtype=torch.uint8)[:, None]
    edges = torch.arange(9, dtype=torch.float64) - 3.5
    masses = torch.special.ndtr(edges).diff()
    torch.manual_seed(0)
    weights = model.log_weights(levels, num_samples=2_000).double()
    error = weights.exp().std(0) / 2_000**0.5
    assert ((weights.exp().mean(0) - masses).abs() < 4.0 * error).all()
    assert (weights.mean(0) < masses.log()).all() and model.likelihood is Likelihood.LOWER_BOUND


def test_samples_are_examples_with_noise_of_the_bandwidth() -> None:
    train = torch.tensor([[-50.0, 0.0], [50.0, 0.0], [50.0, 0.0], [50.0, 0.0]])
    model = fitted(DataSpec((2,)), train, bandwidth=2.0)
    torch.manual_seed(0)
    x = model.sample(20_000)
    right = x[:, 0] > 0
    assert right.float().mean().item() == pytest.approx(0.75, abs=0.015)
    noise = x - torch.where(right[:, None], train[1], train[0])
    assert noise.std(0).tolist() == pytest.approx([2.0, 2.0], rel=0.03)


def test_every_label_has_its_examples_and_its_bandwidth() -> None:
    x, y = points(200, 2), torch.arange(200) % 2
    x[y == 1] *= 10.0
    model = fitted(DataSpec((2,), num_classes=2, condition="label"), x, y)
    narrow, wide = (part.bandwidth for part in model.per_label)
    assert wide == pytest.approx(10.0 * narrow, rel=0.7)
    alone = fitted(DataSpec((2,)), x[y == 1])
    torch.testing.assert_close(model.log_prob(x[:8], torch.ones(8, dtype=torch.int64)), alone.log_prob(x[:8]))


def test_a_loaded_model_finds_its_bandwidth_again_and_one_example_has_a_wide_one() -> None:
    model, other = fitted(DataSpec((2,)), points(50, 2)), KDE(DataSpec((2,)))
    assert other.bandwidth == pytest.approx(12.0**-0.5)
    other.load_state_dict(model.state_dict())
    assert other.bandwidth == model.bandwidth and math.isfinite(model.bandwidth)
