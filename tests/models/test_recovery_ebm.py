"""Recovery likelihood: quadratic energies have Gaussian conditionals with the moments of chains; exact ones give the data."""

import pytest
import torch
from torch import Tensor

from genarena.models.energy.recovery_ebm import Recovery, RecoveryEBM
from genarena.spec import Batch, DataSpec

MEAN, SPREAD = 1.5, 0.5  # of the data of a world where every density is known


def model(dims: int = 1, **options: object) -> RecoveryEBM:
    torch.manual_seed(0)
    return RecoveryEBM(
        DataSpec((dims,)), hidden_channels=2, **{"data_noise": 0.0, "step_size": 0.1, "drift_clamp": None} | options
    ).eval()


def quadratic(precision: float, centre: float) -> object:
    return lambda y, t, context=None: -0.5 * precision * (y - centre).square().flatten(1).sum(1)


def test_a_quadratic_energy_has_a_gaussian_conditional_with_whose_moments_chains_end() -> None:
    """Precision p + 1/s^2, mean (p m + x / s^2) / (p + 1/s^2); a chain of steps h has the variance 1 / (l (1 - h l / 2))."""
    ebm, x, t = model(2, num_levels=4), torch.full((4000, 2), 0.7), torch.arange(4000) % 4
    ebm.log_marginal = quadratic(3.0, -1.0)
    end = ebm.recovered(x, t, 150)
    for level in range(4):
        variance = ebm.spread[level].square().item()
        precision = 3.0 + 1.0 / variance
        part, mean = end[t == level], (-3.0 + 0.7 / variance) / precision
        width = 1.0 / (precision * (1.0 - 0.5 * 0.1 * variance * precision))
        assert (part.mean(0) - mean).abs().max().item() < 4.0 * (width / 1000.0) ** 0.5
        assert part.var(0).mean().item() == pytest.approx(width, rel=4.0 * (2.0 / 2000.0) ** 0.5)


def test_the_energy_is_that_of_the_conditional() -> None:
    ebm, y, x = model(3), torch.randn(5, 3), torch.randn(5, 3)
    t = torch.tensor([0, 1, 2, 3, 5])
    expected = ((x - y).square().sum(1) / (2.0 * ebm.spread[t] ** 2)) - ebm.log_marginal(y, t)
    torch.testing.assert_close(ebm.energy(y, t, x), expected)
    ebm.reference.mean.fill_(MEAN)
    ebm.reference.variance.fill_(SPREAD**2)
    gaussian = exact(ebm)(y[:, :1], t) + exact(ebm)(y[:, 1:2], t) + exact(ebm)(y[:, 2:], t)
    torch.testing.assert_close(ebm.log_marginal(y, t), gaussian - ebm.output(y, t) * 3**0.5 / ebm.spread[t])


def test_levels_lead_from_the_data_to_noise() -> None:
    ebm = model(num_levels=6)
    torch.testing.assert_close(
        (1.0 - ebm.spread.double().square()).cumprod(0), ebm.kept[1:].double(), atol=1e-6, rtol=0
    )
    assert ebm.kept[0] == 1.0 and ebm.kept[-1].item() == pytest.approx(4.04e-5, rel=0.01)  # as in DDPM
    x_0, t = torch.full((60_000, 1), 2.0), torch.arange(60_000) % 6
    y, x = ebm.pair(x_0, t)
    for level in range(6):
        a, s = ebm.kept[level].item(), ebm.spread[level].item()
        part, error = y[t == level], 4.0 / 100.0
        assert part.mean().item() == pytest.approx(((1 - s * s) * a) ** 0.5 * 2.0, abs=error)
        assert part.var().item() == pytest.approx((1 - s * s) * (1 - a), abs=0.06)
        assert (x - y)[t == level].std().item() == pytest.approx(s, rel=0.03)


def exact(ebm: RecoveryEBM) -> object:
    """f(y, t) of data N(MEAN, SPREAD^2)."""

    def log_marginal(y: Tensor, t: Tensor, context: None = None) -> Tensor:
        a, s2 = ebm.kept[t], ebm.spread[t].square()
        mean, variance = ((1.0 - s2) * a).sqrt() * MEAN, (1.0 - s2) * (a * SPREAD**2 + 1.0 - a)
        return -0.5 * (y[:, 0] - mean).square() / variance

    return log_marginal


def test_with_exact_energies_samples_are_the_data() -> None:
    ebm = model(step_size=0.05, sampler=Recovery(steps=60))
    ebm.log_marginal = exact(ebm)
    x = ebm.sample(4000)
    assert x.mean().item() == pytest.approx(MEAN, abs=4.0 * SPREAD / 4000**0.5 + 0.01)
    assert x.std().item() == pytest.approx(SPREAD, rel=4.0 / 8000**0.5 + 0.03)  # and the bias of a step of 0.05
    assert ebm.nfe == 360


def test_before_the_network_has_learnt_samples_have_the_moments_of_the_data() -> None:
    ebm = model(2, sampler=Recovery(steps=60), step_size=0.05)
    ebm.output = lambda y, t, context=None: torch.zeros(len(y))
    for _ in range(100):
        ebm.observe(Batch(MEAN + SPREAD * torch.randn(200, 2)))
    x = ebm.sample(4000)
    assert (x.mean(0) - ebm.reference.mean).abs().max() < 4.0 * SPREAD / 4000**0.5 + 0.01
    torch.testing.assert_close(x.var(0), ebm.reference.variance, rtol=4.0 * (2.0 / 4000) ** 0.5 + 0.05, atol=0.0)


def test_the_loss_is_the_difference_of_the_networks_means() -> None:
    ebm, x = model(2), torch.randn(8, 2)
    ebm.recovered = lambda x, t, steps, context: x
    torch.manual_seed(3)
    terms = ebm.loss(Batch(x))
    torch.manual_seed(3)
    t = torch.randint(6, (8,))
    y, noisy = ebm.pair(ebm.clean(x), t)
    torch.testing.assert_close(terms["loss"], (ebm.output(y, t) - ebm.output(noisy, t)).mean())


def test_options_that_cannot_work_are_refused() -> None:
    with pytest.raises(ValueError, match="num_levels=1"):
        model(num_levels=1)
    with pytest.raises(ValueError, match="data_noise=0"):
        RecoveryEBM(DataSpec((1, 8, 8), 17), data_noise=0.0)
    with pytest.raises(ValueError, match=r"step_size=1\.5"):
        model(step_size=1.5)
