import itertools
import math

import pytest
import torch
from torch import Tensor

from genarena.models.diffusion.paths import DATA, PATHS, Level, jump, levels
from genarena.models.diffusion.predictor_corrector import PredictorCorrector
from genarena.models.diffusion.samplers import DDIM, Ancestral, Denoised, DPMSolver, Heun, clipped, guided
from genarena.models.diffusion.schedules import (
    PREDICTIONS,
    SCHEDULES,
    NoiseSchedule,
    cosine_alpha_bar,
    linear_alpha_bar,
    respaced,
    with_least_noise,
)
from genarena.models.diffusion.unipc import UniPC
from tests.analytic import Mixture, Normal

NORMAL = Normal()


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("num_steps", [50, 1000])
def test_schedules_fall_from_data_to_noise(name, num_steps):
    alpha_bar = SCHEDULES[name](num_steps)
    beta = 1 - alpha_bar[1:] / alpha_bar[:-1]
    assert len(alpha_bar) == num_steps + 1 and alpha_bar[0] == 1
    assert (alpha_bar.diff() < 0).all() and ((beta > 0) & (beta < 1)).all()
    left = (
        0.2797 if (name, num_steps) == ("sound", 50) else 0.0
    )  # DiffWave stops where noise covers sound of deviation 0.1
    assert alpha_bar[-1].item() == pytest.approx(left, abs=1e-4)


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


@pytest.mark.parametrize("nfe", [1, 7, 20, 1000])
def test_respaced_steps_go_from_noise_to_data(nfe):
    steps = respaced(1000, nfe)
    assert steps[0] == 1000 and steps[-1] == 0 and len(steps) == nfe + 1
    gaps = -torch.tensor(steps).diff()
    assert gaps.min() >= 1 and gaps.max() - gaps.min() <= 1


def test_steps_and_levels_belong_together():
    """A level of another path with the same s / a is the same step."""
    schedule = NoiseSchedule(cosine_alpha_bar(1000))
    for step in (1000, 617, 1):
        level = schedule.level(step)
        assert level.a == pytest.approx(math.sqrt(schedule.alpha_bar[step]), abs=1e-12)
        for scale in (1.0, 0.1, 7.0):
            assert schedule.step_of(Level(scale * level.a, scale * level.s)) == pytest.approx(step, abs=1e-6)
    assert schedule.level(0) == DATA and schedule.step_of(Level(0.0, 1.0)) == 1000
    a, s = schedule.marginal(torch.tensor([0.0, 0.5, 617.25, 1000.0], dtype=torch.float64))
    expected = [schedule.level(step) for step in (0.0, 0.5, 617.25, 1000.0)]
    torch.testing.assert_close(torch.stack([a, s], 1), torch.tensor(expected, dtype=torch.float64))


def test_least_noise_squeezes_the_angles():
    plain = cosine_alpha_bar(1000)
    coarse = with_least_noise(plain, 0.0375)
    assert torch.equal(with_least_noise(plain, 0.001), plain)
    assert (1 / coarse[1] - 1).sqrt().item() == pytest.approx(0.0375) and coarse[-1].item() == pytest.approx(
        plain[-1].item()
    )
    ratio = coarse[1:].sqrt().acos().diff() / plain[1:].sqrt().acos().diff()
    torch.testing.assert_close(ratio, torch.full_like(ratio, ratio[0].item()), rtol=1e-6, atol=0)


# -- paths ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PATHS)
def test_noise_grows_along_a_path_and_ends_at_the_data(name):
    found = levels(PATHS[name], 12)
    assert len(found) == 13 and found[-1] == DATA
    assert all(here.sigma > there.sigma for here, there in itertools.pairwise(found))


def test_continuous_schedules_are_the_limits_of_the_discrete_ones():
    for name in PATHS.keys() & SCHEDULES.keys():  # that of sound has the betas of the paper at any number of steps
        discrete = SCHEDULES[name](20_000)
        for t in (0.1, 0.5, 0.9):
            assert PATHS[name](t).a == pytest.approx(math.sqrt(discrete[int(20_000 * t)]), abs=2e-3)


@pytest.mark.parametrize("name", PATHS)
def test_jump_is_bayes_on_every_path(name):
    """Of the joint Gaussian of x_s and x_t given x_0 = 1."""
    start, end = PATHS[name](0.7), PATHS[name](0.4)
    kept = start.a / end.a
    gain = kept * end.s**2 / start.s**2  # Cov[x_s, x_t] / Var[x_t]
    step = jump(start, end)
    assert step.weight_x_t == pytest.approx(gain)
    assert step.weight_x_0 == pytest.approx(end.a - gain * start.a)
    assert math.exp(step.log_variance) == pytest.approx(end.s**2 - gain * kept * end.s**2)


# -- samplers -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["linear", "cosine", "straight", "exploding"])
@pytest.mark.parametrize(
    "sampler,num",
    [
        (Ancestral(), 500),
        (DDIM(), 200),
        (Heun(), 50),
        (DPMSolver(), 50),
        (DPMSolver(order=3), 50),
        (UniPC(), 50),
        (PredictorCorrector(snr=0.05), 300),
        (PredictorCorrector(predictor="ddim", snr=0.05), 200),
    ],
    ids=str,
)
def test_samplers_recover_a_gaussian_from_its_denoiser(name, sampler, num):
    torch.manual_seed(0)
    path, count = levels(PATHS[name], num), 20_000
    x = sampler(NORMAL.denoise, path[0].s * torch.randn(count), path)
    assert x.mean().item() == pytest.approx(NORMAL.mean, abs=5 * NORMAL.spread / math.sqrt(count))
    assert x.std().item() == pytest.approx(NORMAL.spread, abs=0.02)


def test_ancestral_recovers_a_mixture():
    torch.manual_seed(0)
    world, path = Mixture(), levels(PATHS["cosine"], 500)
    x = Ancestral()(world.denoise, torch.randn(20_000), path)
    assert (x > -0.25).float().mean().item() == pytest.approx(0.7, abs=0.015)
    assert x[x > -0.25].std().item() == pytest.approx(0.2, abs=0.01)


def slope(sampler, world, name: str, ends: tuple[float, float], counts: tuple[int, int]) -> float:
    """Of log error over log number of steps, between two levels that stay."""
    error = []
    for num in counts:
        path = [PATHS[name](ends[0] + (ends[1] - ends[0]) * k / num) for k in range(num + 1)]
        x = path[0].s * torch.linspace(-2, 2, 9, dtype=torch.float64)
        error.append((sampler(world.denoise, x, path) - world.flow(x, path[0], path[-1])).abs().max().item())
    return math.log(error[0] / error[1]) / math.log(counts[1] / counts[0])


@pytest.mark.parametrize("world", [Normal(), Mixture()], ids=["normal", "mixture"])
@pytest.mark.parametrize("name", ["exploding", "linear"])
@pytest.mark.parametrize(
    "sampler,order",
    [
        (DDIM(), 1),
        (Heun(), 2),
        (DPMSolver(), 2),
        (DPMSolver(order=3), 3),
        (UniPC(order=1), 2),
        (UniPC(order=2), 3),
        (UniPC(), 4),
    ],
    ids=str,
)
def test_order_of_convergence(sampler, order, world, name):
    """Even in log sigma ("exploding"), and in the time of the linear schedule, where the first steps are long."""
    ends = (0.9, 0.3) if name == "exploding" else (0.8, 0.1)
    found = slope(sampler, world, name, ends, (80, 160) if order == 4 else (320, 640))  # of order 4 before it is exact
    assert order - 0.25 < found
    assert found < order + 0.9 or order >= 3  # its error may change sign between the two


def test_euler_does_not_depend_on_the_path():
    """On the straight line, in sigma, and DDIM on the sphere, where the lists of s / a agree."""
    sphere = levels(PATHS["cosine"], 12)[1:]
    x, sigmas = torch.linspace(-2, 2, 9, dtype=torch.float64), [level.sigma for level in sphere]
    for other in ([Level(1.0, s) for s in sigmas], [Level(1.0 / (1.0 + s), s / (1.0 + s)) for s in sigmas]):
        for sampler in (DDIM(), Heun(), DPMSolver(), DPMSolver(order=3), UniPC()):
            start = x * (other[0].s / sphere[0].s)
            expected = sampler(Mixture().denoise, x, sphere)
            torch.testing.assert_close(sampler(Mixture().denoise, start, other), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    "sampler",
    [
        DDIM(nfe=7),
        Ancestral(nfe=7),
        DPMSolver(nfe=7),
        Heun(nfe=7),
        UniPC(nfe=7),
        PredictorCorrector(nfe=7),
        PredictorCorrector(nfe=8, corrections=3),
        PredictorCorrector(nfe=9, predictor="none", corrections=4),
        DDIM(nfe=6, guidance=2.0),
    ],
)
def test_evaluations_are_those_made(sampler):
    calls = []

    def counted(x: Tensor, level: Level) -> Denoised:
        calls.append(level)
        return NORMAL.denoise(x, level)

    path = levels(PATHS["linear"], sampler.num_steps(100))
    sampler.draw(guided(counted, counted, sampler.guidance), torch.randn(3), path, (-9.0, 9.0))
    assert len(calls) == sampler.evaluations(100)


def test_more_evaluations_than_steps_are_refused():
    with pytest.raises(ValueError, match="sampler.nfe=101: expected at most 100"):
        DDIM(nfe=101).num_steps(100)
    assert DDIM(nfe=None).num_steps(100) == 100 and Heun(nfe=199).num_steps(100) == 100


def test_clip_is_of_the_sampler():
    path, wild = levels(PATHS["cosine"], 5), lambda x, level: Denoised(torch.full_like(x, 3.0))
    drawn = [DDIM(clip=clip).draw(wild, torch.randn(4), path, (-1.0, 1.0)) for clip in (True, False)]
    assert drawn[0].unique().item() == pytest.approx(1.0) and drawn[1].unique().item() == pytest.approx(3.0)
    assert clipped(wild, -1.0, 2.0)(torch.zeros(1), path[0]).x_0.item() == 2.0


def test_guidance_of_gaussians_moves_the_mean():
    """p(x) = N(0, 1), p(x|y) = N(m, 1): the guided denoiser is that of N(s m, 1)."""
    for scale in (0.0, 1.0, 2.5):
        mixed = guided(Normal(0.6, 1.0).denoise, Normal(0.0, 1.0).denoise, scale)
        x, level = torch.randn(5, dtype=torch.float64), Level(0.6, 0.8)
        torch.testing.assert_close(mixed(x, level).x_0, Normal(0.6 * scale, 1.0).denoise(x, level).x_0)


def test_ancestral_noise_follows_the_variance_share():
    """With one jump before the last, Var[x_s | x_t] is between the posterior variance and beta."""
    torch.manual_seed(0)
    process = NoiseSchedule(cosine_alpha_bar(1000))
    step, drawn = process.jump(600, 300), {}
    for share in (0.0, 0.5, 1.0):
        seen = []

        def denoise(x: Tensor, level: Level, share=share, seen=seen) -> Denoised:
            seen.append(x)
            return Denoised(torch.zeros_like(x), torch.full_like(x, share))

        Ancestral()(denoise, torch.zeros(50_000), [process.level(t) for t in (600, 300, 0)])
        drawn[share] = seen[1].var().log().item()
    expected = {0.0: step.log_variance, 0.5: 0.5 * (step.log_variance + step.log_beta), 1.0: step.log_beta}
    assert drawn == pytest.approx(expected, abs=0.03)
