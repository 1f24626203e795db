import math

import pytest
import torch
from torch import Tensor

from genarena.models.diffusion.samplers import SAMPLERS, Denoised, respaced
from genarena.models.diffusion.schedules import (
    PREDICTIONS,
    SCHEDULES,
    NoiseSchedule,
    cosine_alpha_bar,
    linear_alpha_bar,
)

MEAN, SPREAD = 0.4, 0.5


def gaussian_denoiser(schedule: NoiseSchedule):
    """E[x_0 | x_t] in closed form for data N(MEAN, SPREAD^2)."""

    def denoise(x: Tensor, t: int) -> Denoised:
        a, variance = math.sqrt(schedule.alpha_bar[t]), 1.0 - schedule.alpha_bar[t]
        gain = SPREAD**2 * a / (a**2 * SPREAD**2 + variance)
        return Denoised(MEAN + gain * (x - a * MEAN))

    return denoise


def exact_flow(x: Tensor, schedule: NoiseSchedule) -> Tensor:
    """Where the probability-flow ODE takes x_T: quantiles are kept, N(a MEAN, a^2 SPREAD^2 + s^2) -> N(MEAN, SPREAD^2)."""
    a_squared = schedule.alpha_bar[-1]
    scale = math.sqrt(a_squared * SPREAD**2 + 1.0 - a_squared)
    return MEAN + SPREAD * (x - math.sqrt(a_squared) * MEAN) / scale


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("num_steps", [50, 1000])
def test_schedules_fall_from_data_to_noise(name, num_steps):
    alpha_bar = SCHEDULES[name](num_steps)
    beta = 1 - alpha_bar[1:] / alpha_bar[:-1]
    assert len(alpha_bar) == num_steps + 1 and alpha_bar[0] == 1
    assert (alpha_bar.diff() < 0).all() and ((beta > 0) & (beta < 1)).all()
    assert alpha_bar[-1] < 1e-4


def test_linear_schedule_has_the_ends_of_the_paper():
    alpha_bar = linear_alpha_bar(1000)
    beta = 1 - alpha_bar[1:] / alpha_bar[:-1]
    assert beta[0].item() == pytest.approx(1e-4) and beta[-1].item() == pytest.approx(0.02)
    assert alpha_bar[1000].item() == pytest.approx(
        4.0358e-5, rel=1e-3
    )  # prod(1 - beta), Ho et al.: L_T about 1e-5 bits/dim


def test_cosine_schedule_is_the_formula_where_no_beta_is_clipped():
    f = [math.cos((k / 1000 + 0.008) / 1.008 * math.pi / 2) ** 2 for k in range(1000)]
    expected = torch.tensor(f, dtype=torch.float64) / f[0]
    torch.testing.assert_close(cosine_alpha_bar(1000)[:1000], expected)


def test_too_few_steps_for_the_linear_schedule_are_refused():
    with pytest.raises(ValueError, match="num_steps=10"):
        NoiseSchedule(linear_alpha_bar(10))


@pytest.mark.parametrize("t,s", [(500, 499), (1000, 900), (40, 2)])
def test_posterior_is_bayes_by_hand(t, s):
    """q(x_s | x_t, x_0): precisions add up, on a prior N(a_s x_0, s_s^2) and a likelihood N(x_t; sqrt(alpha) x_s, beta)."""
    alpha_bar = cosine_alpha_bar(1000)
    alpha = (alpha_bar[t] / alpha_bar[s]).item()
    prior_precision, likelihood_precision = 1 / (1 - alpha_bar[s].item()), alpha / (1 - alpha)
    variance = 1 / (prior_precision + likelihood_precision)
    jump = NoiseSchedule(alpha_bar).jump(t, s)
    assert math.exp(jump.log_variance) == pytest.approx(variance)
    assert jump.weight_x_0 == pytest.approx(variance * prior_precision * math.sqrt(alpha_bar[s]))
    assert jump.weight_x_t == pytest.approx(variance * likelihood_precision / math.sqrt(alpha))
    assert math.exp(jump.log_beta) == pytest.approx(1 - alpha)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_parametrisations_agree(prediction):
    schedule, t = NoiseSchedule(cosine_alpha_bar(1000)), torch.tensor([1, 20, 500, 900])
    x_0, eps = torch.randn(4, 1, 3, 3), torch.randn(4, 1, 3, 3)
    x_t = schedule.diffuse(x_0, eps, t)
    recovered = schedule.to_x_0(prediction, schedule.target(prediction, x_0, eps, t), x_t, t)
    torch.testing.assert_close(recovered, x_0, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(schedule.to_eps(recovered, x_t, t), eps, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("nfe", [1, 7, 20, 1000])
def test_respaced_steps_go_from_noise_to_data(nfe):
    steps = respaced(1000, nfe)
    assert steps[0] == 1000 and steps[-1] == 0 and len(steps) == nfe + 1
    gaps = -torch.tensor(steps).diff()
    assert gaps.min() >= 1 and gaps.max() - gaps.min() <= 1


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("sampler,nfe", [("ancestral", 1000), ("ddim", 200), ("dpm_solver", 50)])
def test_samplers_recover_a_gaussian_from_its_denoiser(sampler, nfe, schedule):
    torch.manual_seed(0)
    process, num = NoiseSchedule(SCHEDULES[schedule](1000)), 20_000
    x = SAMPLERS[sampler](gaussian_denoiser(process), torch.randn(num), process, respaced(1000, nfe))
    assert x.mean().item() == pytest.approx(MEAN, abs=4 * SPREAD / math.sqrt(num))
    assert x.std().item() == pytest.approx(SPREAD, abs=0.015)


@pytest.mark.parametrize("sampler,order", [("ddim", 1), ("dpm_solver", 2)])
def test_deterministic_samplers_converge_to_the_flow(sampler, order):
    """The error falls at least like nfe^-order (checked with a margin), towards the exact solution of the ODE."""
    process, x = NoiseSchedule(linear_alpha_bar(1000)), torch.linspace(-2, 2, 9, dtype=torch.float64)
    errors = []
    for nfe in (10, 20, 40):
        out = SAMPLERS[sampler](gaussian_denoiser(process), x, process, respaced(1000, nfe))
        errors.append((out - exact_flow(x, process)).abs().max().item())
    assert errors[1] < errors[0] / 2 ** (order - 0.3) and errors[2] < errors[1] / 2 ** (order - 0.3)


def test_second_order_is_closer_than_first_at_the_same_cost():
    process, x = NoiseSchedule(cosine_alpha_bar(1000)), torch.linspace(-2, 2, 9, dtype=torch.float64)
    error = {
        name: (SAMPLERS[name](gaussian_denoiser(process), x, process, respaced(1000, 20)) - exact_flow(x, process))
        .abs()
        .max()
        for name in ("ddim", "dpm_solver")
    }
    assert error["dpm_solver"] < 0.3 * error["ddim"]


def test_ancestral_noise_follows_the_variance_share():
    """With one jump before the last, Var[x_s | x_t] is between the posterior variance and beta."""
    torch.manual_seed(0)
    process = NoiseSchedule(cosine_alpha_bar(1000))
    jump, drawn = process.jump(600, 300), {}
    for share in (0.0, 0.5, 1.0):
        seen = []

        def denoise(x: Tensor, t: int, share=share, seen=seen) -> Denoised:
            seen.append(x)
            return Denoised(torch.zeros_like(x), torch.full_like(x, share))

        SAMPLERS["ancestral"](denoise, torch.zeros(50_000), process, [600, 300, 0])
        drawn[share] = seen[1].var().log().item()
    expected = {0.0: jump.log_variance, 0.5: 0.5 * (jump.log_variance + jump.log_beta), 1.0: jump.log_beta}
    assert drawn == pytest.approx(expected, abs=0.03)
