import itertools
import math

import pytest
import torch
from torch import Tensor, nn

from genarena.models.diffusion.ddpm import DDPM
from genarena.models.diffusion.samplers import DDIM, Ancestral, Denoised, DPMSolver, Heun
from genarena.spec import Batch, DataSpec
from tests.models.tiny import NARROW

PIXEL = (1, 1, 1)


class Oracle(nn.Module):
    """The best v-prediction for data with probabilities `mass` over the levels: v = (a_t x_t - E[x_0 | x_t]) / s_t."""

    def __init__(self, model: DDPM, mass: list[float], bias: float = 0.0) -> None:
        super().__init__()
        self.schedule, self.log_mass, self.bias = model.schedule, torch.tensor(mass).log(), bias
        self.share = -30.0  # a learned share of zero
        self.values, self.fixed = torch.linspace(-1, 1, len(mass)), model.fixed_share is not None

    def forward(self, x_t: Tensor, t: Tensor, context: None) -> Tensor:
        step = (t * self.schedule.num_steps).round().long()
        a, s = self.schedule.at("signal", step, x_t), self.schedule.at("noise", step, x_t)
        logits = self.log_mass - (x_t[..., None] - a[..., None] * self.values).square() / (2 * s[..., None] ** 2)
        x_0 = (logits.softmax(-1) * self.values).sum(-1) + self.bias
        v = (a * x_t - x_0) / s
        return v if self.fixed else torch.cat([v, torch.full_like(v, self.share)], 1)


def oracle_model(mass: list[float], bias: float = 0.0, variance: str = "posterior", **options) -> DDPM:
    torch.manual_seed(0)
    model = DDPM(DataSpec(PIXEL, len(mass)), variance=variance, net=NARROW, **options).eval()
    model.network = Oracle(model, mass, bias)
    return model


def levels(num: int) -> Tensor:
    return torch.arange(num, dtype=torch.uint8).view(-1, 1, 1, 1)


@torch.no_grad()
def mean_bound(model: DDPM, repeats: int, num_samples: int | None) -> Tensor:
    """Average of log_prob over `repeats` independent estimates, per level."""
    x = levels(model.spec.num_levels)
    return model.log_prob(x.repeat_interleave(repeats, 0), num_samples=num_samples).view(len(x), repeats).mean(1)


@torch.no_grad()
def gap(num: int = 1500, **options) -> float:
    """E_data[log p(x) - bound(x)] of the best denoiser (or of one that is off by `bias`), in nats."""
    mass = torch.tensor([0.7, 0.1, 0.2])
    model = oracle_model(mass.tolist(), **options)
    x = torch.multinomial(mass, num, True).view(-1, 1, 1, 1)
    return (mass.log()[x.flatten()] - model.log_prob(x.to(torch.uint8), num_samples=None)).mean().item()


def test_bound_of_the_best_denoiser_closes_from_below_as_steps_are_added():
    """On average over the data no bound is above the exact log-probability; at T = 1000 nothing much is lost."""
    coarse, medium, fine = (gap(num_steps=num_steps, sampler=DDIM(nfe=10)) for num_steps in (10, 100, 1000))
    assert coarse > 3 * medium > 3 * 0.02
    assert -0.009 < fine < 0.02  # standard error 0.003


def test_bound_loosens_with_a_wrong_denoiser():
    assert gap(num_steps=300, bias=0.1) > gap(num_steps=300) + 0.1


@pytest.mark.parametrize("num_samples", [1, 4])
def test_drawn_steps_average_to_the_full_sum(num_samples):
    model = oracle_model([0.7, 0.1, 0.2], num_steps=100)
    full, drawn = mean_bound(model, 2000, None), mean_bound(model, 40_000 // num_samples, num_samples)
    torch.testing.assert_close(drawn, full, atol=0.1, rtol=0)


def test_more_drawn_steps_give_less_noise():
    model, x = oracle_model([0.5, 0.5]), levels(2)[:1].expand(4000, -1, -1, -1)
    spread = [model.log_prob(x, num_samples=k).std() for k in (1, 16)]
    assert spread[1] < spread[0] / 3


def test_steps_are_drawn_from_the_stated_proposal():
    torch.manual_seed(0)
    model = oracle_model([0.5, 0.5], num_steps=50)
    drawn = [model.bound.draw_steps(50_000, k, 4) for k in range(4)]
    t, weight = (torch.cat(parts) for parts in zip(*drawn, strict=True))
    assert t.min() == 2 and t.max() == 50
    one_over = torch.zeros(51).index_add(0, t, weight) / len(t)  # E[1{t} / p(t)] = 1 for every step
    torch.testing.assert_close(one_over[2:], torch.ones(49), atol=0.1, rtol=0)


@pytest.mark.parametrize("num_levels", [2, 5, 256])
@pytest.mark.parametrize("log_variance", [-14.0, -6.0, 0.0])
def test_decoder_masses_sum_to_one(num_levels, log_variance):
    model = DDPM(DataSpec(PIXEL, num_levels), net=NARROW)
    mean = torch.tensor([-1.0, -0.31, 0.0, 0.999, 1.0]).view(1, -1, 1, 1)
    x = levels(num_levels).expand(-1, 5, -1, -1)
    mass = model.bound.decoder_log_prob(x, mean, torch.tensor(log_variance)).exp().sum(0)
    torch.testing.assert_close(mass, torch.ones_like(mass), atol=2e-4, rtol=0)


def test_decoder_far_in_the_tail_is_exact_and_finite():
    model = DDPM(DataSpec(PIXEL, 256), net=NARROW)
    mean, log_variance = torch.full(PIXEL, -1.0)[None], torch.full(PIXEL, math.log(0.05**2))[None]
    mean.requires_grad_(), log_variance.requires_grad_()
    value = model.bound.decoder_log_prob(torch.full((1, *PIXEL), 128, dtype=torch.uint8), mean, log_variance)
    assert value.item() == pytest.approx(-203.76, abs=0.6)  # Phi(-20) - Phi(-20.16), about phi(20) / 20 (1 - e^-3.1)
    assert all(torch.isfinite(g).all() for g in torch.autograd.grad(value.sum(), (mean, log_variance)))


def test_kl_terms_are_those_of_torch():
    model = DDPM(DataSpec((1, 2, 2), 17), net=NARROW, num_steps=100)
    x, t = torch.randint(17, (3, 1, 2, 2)).to(torch.uint8), torch.tensor([2, 40, 100])
    x_t = torch.randn(3, 1, 2, 2)
    denoised = model.reverse(x_t, t)
    expected = []
    for i, step in enumerate(t.tolist()):
        jump = model.schedule.jump(step, step - 1)
        x_0 = x[i].double() / 8 - 1
        spread = math.exp(0.5 * jump.log_variance)
        log_variance = jump.log_variance + denoised.share[i].double() * (jump.log_beta - jump.log_variance)
        posterior = torch.distributions.Normal(jump.weight_x_0 * x_0 + jump.weight_x_t * x_t[i], spread)
        mean = jump.weight_x_0 * denoised.x_0[i].double() + jump.weight_x_t * x_t[i]
        reverse = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
        expected.append(torch.distributions.kl_divergence(posterior, reverse).sum())
    actual = model.bound.term(x, x_t, denoised, t).double()
    torch.testing.assert_close(actual, torch.stack(expected), rtol=1e-3, atol=1e-3)


def test_variance_is_learned_from_the_bound_and_the_mean_is_not():
    """Through the bound alone the prediction's half of the head gets no gradient (Nichol & Dhariwal, sec. 3.1)."""
    torch.manual_seed(0)
    model = DDPM(DataSpec((1, 4, 4), 17), net=NARROW)
    terms = model.loss(Batch(torch.randint(17, (8, 1, 4, 4)).to(torch.uint8)))
    bound, simple = (
        torch.autograd.grad(terms[name], model.network.head.weight, retain_graph=True)[0]
        for name in ("bound", "simple")
    )
    assert (bound[0] == 0).all() and (bound[1] != 0).any()
    assert (simple[0] != 0).any() and (simple[1] == 0).all()


@pytest.mark.parametrize(
    "sampler", [Ancestral(nfe=None), DDIM(nfe=50), Heun(nfe=39), DPMSolver(nfe=20), DPMSolver(nfe=20, order=3)], ids=str
)
def test_samples_of_the_best_denoiser_have_the_masses_of_the_data(sampler):
    mass = [0.7, 0.1, 0.2]
    samples = oracle_model(mass, sampler=sampler).sample(8000)
    frequency = samples.flatten().long().bincount(minlength=3) / 8000
    torch.testing.assert_close(frequency, torch.tensor(mass), atol=0.03, rtol=0)


def test_score_is_that_of_the_noised_mixture():
    mass, torch_t = [0.7, 0.1, 0.2], torch.tensor([0.3, 0.8])
    model, x = oracle_model(mass), torch.tensor([0.35, -0.6]).view(2, 1, 1, 1).requires_grad_()
    log_density = 0.0
    for i, t in enumerate((300, 800)):
        a, s = model.schedule.signal[t], model.schedule.noise[t]
        mixture = torch.distributions.MixtureSameFamily(
            torch.distributions.Categorical(torch.tensor(mass)),
            torch.distributions.Normal(a * torch.tensor([-1.0, 0.0, 1.0]), s.expand(3)),
        )
        log_density = log_density + mixture.log_prob(x[i]).sum()
    expected = torch.autograd.grad(log_density, x)[0]
    x = x.detach()
    a, s = (part.view(2, 1, 1, 1) for part in model.marginal(torch_t))
    score = (a * model.denoise(x, torch_t) - x) / s**2  # Tweedie
    torch.testing.assert_close(score, expected, atol=1e-3, rtol=1e-3)


def test_a_prediction_beyond_the_levels_keeps_its_gradient():
    """`denoise` is the posterior mean itself: the clip belongs to the sampler."""
    model = oracle_model([0.2, 0.8], bias=0.5)
    x = torch.full((1, 1, 1, 1), 2.0, requires_grad=True)
    mean = model.denoise(x, torch.tensor([0.4]))
    assert mean.item() > 1.0 and torch.autograd.grad(mean.sum(), x)[0].abs().item() > 0.0


@pytest.mark.parametrize("num_levels", [2, 5, 17])
def test_least_noise_follows_the_bins_and_the_bound_still_closes(num_levels):
    """With a learned variance; within 0.2 nats of the entropy for the best denoiser, whose variance is not optimised."""
    mass = torch.linspace(1.0, 3.0, num_levels)
    mass /= mass.sum()
    model, plain = (oracle_model(mass.tolist(), variance=variance) for variance in ("learned", "posterior"))
    width = 2.0 / (num_levels - 1)
    assert model.schedule.level(1).sigma == pytest.approx(width * (0.3 if num_levels > 2 else 0.1))
    assert plain.schedule.level(1).sigma < 0.01
    model.network.share = 30.0
    x = torch.multinomial(mass, 1000, True).view(-1, 1, 1, 1)
    with torch.no_grad():
        gap = (mass.log()[x.flatten()] - model.log_prob(x.to(torch.uint8), num_samples=None)).mean().item()
    assert -0.05 < gap < 0.2


def test_256_levels_keep_the_schedule_of_the_paper():
    fine, plain = (DDPM(DataSpec(PIXEL, 256), variance=v, net=NARROW) for v in ("learned", "beta"))
    assert fine.schedule.alpha_bar == plain.schedule.alpha_bar


@pytest.mark.parametrize("prediction", ["eps", "v"])
def test_samples_of_vectors_stay_in_the_range_of_the_data(prediction):
    """Predicted noise that is slightly off is an x_0 of tens of thousands at a_T = 5e-5."""
    torch.manual_seed(0)
    model = DDPM(DataSpec((2,)), prediction=prediction).train()
    x = torch.rand(64, 2) * torch.tensor([2.0, 5.0]) - 1.0
    model.observe(Batch(x))
    samples = model.eval().sample(500)
    assert (samples >= x.amin(0)).all() and (samples <= x.amax(0)).all()


def test_draws_of_a_batch_are_stratified():
    """Each example's step has the proposal distribution; together they cover it evenly."""
    torch.manual_seed(0)
    model = oracle_model([0.5, 0.5])
    t, weight = model.bound.draw_steps(1000, 0, 1)
    assert weight.mean().item() == pytest.approx(999.0, rel=0.01)  # independent draws: a standard error of 13
    assert not torch.equal(t, t.sort().values)


def test_training_steps_are_spread_evenly():
    torch.manual_seed(0)
    model = DDPM(DataSpec(PIXEL, 2), net=NARROW)
    t = model.schedule.even_steps(100, torch.device("cpu")).sort().values
    assert t.min() >= 1 and t.max() <= 1000
    assert t.diff().max() <= 11 and t[0] + 1000 - t[-1] <= 11


class GaussianOracle(nn.Module):
    """The best v-prediction for continuous data N(0, 0.5^2)."""

    def __init__(self, model: DDPM) -> None:
        super().__init__()
        self.schedule = model.schedule

    def forward(self, x_t: Tensor, t: Tensor, context: None) -> Tensor:
        step = (t * self.schedule.num_steps).round().long()
        a, s = self.schedule.at("signal", step, x_t), self.schedule.at("noise", step, x_t)
        return (a * x_t - 0.25 * a * x_t / (0.25 * a**2 + s**2)) / s


def test_bound_on_a_density_is_below_it_and_closes_with_the_right_variance():
    """For data near unit variance beta_t is nearly the best reverse variance (Ho et al., sec. 3.2)."""
    exact, gaps = torch.distributions.Normal(0.0, 0.5), {}
    for variance in ("posterior", "beta"):
        torch.manual_seed(0)
        model = DDPM(DataSpec((1,)), variance=variance).eval()
        model.network = GaussianOracle(model)
        x = exact.sample((2000, 1))
        with torch.no_grad():
            gaps[variance] = (exact.log_prob(x).sum(1) - model.log_prob(x, num_samples=None)).mean().item()
    assert gaps["posterior"] > 0.3 and -0.06 < gaps["beta"] < 0.1  # standard error 0.02


@torch.no_grad()
def test_a_learned_variance_makes_a_constant_edge_level_nearly_free():
    """A denoiser that knows the black pixels spends next to nothing on them, decoder included."""
    model = oracle_model([1.0] + [1e-20] * 255, variance="learned")
    assert model.log_prob(levels(1).expand(300, -1, -1, -1)).mean().item() == pytest.approx(0.0, abs=0.01)


@torch.no_grad()
@pytest.mark.parametrize("variance", ["posterior", "beta"])
def test_a_fixed_variance_decodes_with_the_variance_of_step_2(variance):
    """Ho et al.'s fixedsmall and fixedlarge: -log(Phi(above) - Phi(below)) with beta~_2 of the linear schedule."""
    model = DDPM(DataSpec((1, 1, 3), 256), schedule="linear", prediction="eps", variance=variance, net=NARROW)
    beta = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    variance_2 = beta[1] * beta[0] / (1.0 - (1.0 - beta[0]) * (1.0 - beta[1]))
    x, mean = torch.tensor([[[[0, 100, 255]]]], dtype=torch.uint8), torch.tensor([[[[-1.0, -0.2, 0.99]]]])
    decoder = torch.distributions.Normal(mean.double(), variance_2.sqrt())
    middle = x.double() / 127.5 - 1.0
    above, below = decoder.cdf(middle + 1 / 255), decoder.cdf(middle - 1 / 255)
    above[..., 2], below[..., 0] = 1.0, 0.0  # the edge bins are open
    share = model.reverse(torch.randn(1, 1, 1, 3), torch.ones(1, dtype=torch.long)).share
    denoised = Denoised(mean, share)
    found = model.bound.term(x, torch.zeros(1, 1, 1, 3), denoised, torch.ones(1, dtype=torch.long))
    torch.testing.assert_close(found.double(), -(above - below).log().flatten(1).sum(1), rtol=1e-4, atol=0)


@pytest.mark.parametrize(
    "option",
    [
        {"schedule": "sigmoid"},
        {"prediction": "score"},
        {"variance": "fixed"},
    ],
)
def test_unknown_choices_are_refused(option):
    with pytest.raises(ValueError, match=next(iter(option))):
        DDPM(DataSpec((1, 8, 8), 17), **option)


def test_bounds_of_all_images_sum_to_less_than_one():
    torch.manual_seed(0)
    model = DDPM(DataSpec((1, 1, 2), 2), num_steps=30, net=NARROW).eval()
    x = torch.tensor(list(itertools.product(range(2), repeat=2)), dtype=torch.uint8).view(-1, 1, 1, 2)
    with torch.no_grad():
        bound = model.log_prob(x.repeat_interleave(300, 0), num_samples=None).view(4, 300).mean(1)
    assert bound.exp().sum() < 1
