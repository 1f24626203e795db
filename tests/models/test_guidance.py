"""Guidance in every family that has it: s = 0 is unconditional, s = 1 conditional; and worlds with known answers."""

import itertools
import math
from dataclasses import replace

import pytest
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from genarena.models.autoregressive.image_gpt import ImageGPT
from genarena.models.autoregressive.made import MADE
from genarena.models.autoregressive.pixelcnn import PixelCNN
from genarena.models.base import GenerativeModel
from genarena.models.diffusion import paths
from genarena.models.diffusion.samplers import DPMSolver, guided
from genarena.models.flow.density import NormalisingFlow
from genarena.models.flow.maf import MAF
from genarena.models.flow.nsf import NSF
from genarena.models.flow.realnvp import RealNVP
from genarena.models.sampler import Temperature
from genarena.spec import DataSpec
from tests.analytic import Normal
from tests.models.test_captions import CAPTIONS, GUIDING, drawn, made
from tests.models.test_conditional import shaken
from tests.models.test_contract import CAPTIONED, CLASSES, CONDITIONAL

GUIDED = [name for name in CONDITIONAL if CLASSES[name].guides]
OTHERS = [name for name in CAPTIONED if not CLASSES[name].guides and CLASSES[name].samplers is not None]
PAIRS = DataSpec((1, 1, 2), 3, 2, condition="label")  # two pixels of three levels
POINTS = DataSpec((2,), num_classes=2, condition="label")


@torch.no_grad()
@pytest.mark.parametrize("name", GUIDED)
def test_strength_0_is_unconditional_and_1_conditional_bit_by_bit(name: str) -> None:
    model = made(name, **GUIDING)
    model.use(
        replace(
            model.sampler,
            **({"nfe": max(4, getattr(model.sampler, "stages", 1))} if hasattr(model.sampler, "nfe") else {}),
        )
    )
    conditional, unconditional = drawn(model, CAPTIONS), drawn(model, None)
    nulls = model.spec.condition.nulls(4)
    assert torch.equal(drawn(model, nulls), unconditional)
    for s, wanted in ((0.0, unconditional), (1.0, conditional)):
        model.use(replace(model.sampler, guidance=s))
        assert torch.equal(drawn(model, CAPTIONS), wanted)
    passes = model.nfe
    model.use(replace(model.sampler, guidance=40.0))
    assert not torch.equal(drawn(model, CAPTIONS), conditional)
    assert model.nfe == 2 * passes, "guidance needs two predictions at each place"


@pytest.mark.parametrize("name", OTHERS)
def test_models_without_guidance_refuse_it_in_one_line(name: str) -> None:
    model = made(name)
    with pytest.raises(ValueError, match=r"sampler.guidance=2.0: \w+ has no guidance; expected 1") as error:
        model.use(replace(model.sampler, guidance=2.0))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", GUIDED)
def test_guidance_without_dropout_of_conditions_is_refused(name: str) -> None:
    model = made(name, condition_dropout=0.0)
    model.conditioning.dropout = 0.0  # of a prior on codes, whose options are not the model's
    with pytest.raises(ValueError, match="guidance=2.0: the model was trained without conditions that are dropped"):
        model.use(replace(model.sampler, guidance=2.0))


def exact_masses(model: GenerativeModel, y: Tensor | None) -> Tensor:
    """(3, 3): of all pairs of levels, float64."""
    pairs = torch.tensor(list(itertools.product(range(3), repeat=2)), dtype=torch.uint8).view(-1, 1, 1, 2)
    return model.log_prob(pairs, None if y is None else y.expand(9)).double().exp().view(3, 3)


@torch.no_grad()
@pytest.mark.parametrize("make", [MADE, PixelCNN, ImageGPT], ids=lambda make: make.__name__)
def test_guided_levels_have_the_probabilities_of_guided_logits(make: type[GenerativeModel]) -> None:
    """Level by level p_u (p_c / p_u)^s / Z, from the exact conditionals of a model of two pixels."""
    torch.manual_seed(0)
    model = shaken(make(PAIRS, condition_dropout=0.1), 0.3)
    model.use(Temperature(guidance=2.5))
    label, num = torch.tensor([1]), 6_000
    given, without = exact_masses(model, label), exact_masses(model, None)
    first = [mass.sum(1) for mass in (given, without)]
    second = [mass / mass.sum(1, keepdim=True) for mass in (given, without)]
    mixed = [(u.log() + 2.5 * (c.log() - u.log())).softmax(-1) for c, u in (first, second)]
    wanted = mixed[0][:, None] * mixed[1]
    x = model.sample(num, label.expand(num)).flatten(1).long()
    shares = torch.bincount(3 * x[:, 0] + x[:, 1], minlength=9).view(3, 3) / num
    assert ((shares - wanted).abs() < 4.0 * (wanted * (1.0 - wanted) / num).sqrt() + 1e-4).all()
    assert (wanted - given).abs().sum() > 0.1, "guidance changes what is drawn"


def test_the_guided_score_of_gaussians_ends_where_the_scalar_ode_does() -> None:
    """dx / dt = (x - D) / t with D = D_u + s (D_c - D_u), on the straight path, integrated by another solver.

    The end is not distributed as p_u^(1 - s) p_c^s: guidance of a diffusion tilts each noise level, not the data.
    """
    given, without, s = Normal(1.0, 0.5), Normal(-0.2, 1.1), 3.0
    denoise = guided(given.denoise, without.denoise, s)

    def slope(t: float, x: list[float]) -> list[float]:
        point = torch.tensor(x, dtype=torch.float64)
        return ((point - denoise(point, paths.straight(t)).x_0) / t).tolist()

    starts = [-1.0, 0.0, 2.0]
    exact = solve_ivp(slope, (1.0, 0.01), starts, method="DOP853", rtol=1e-11, atol=1e-12).y[:, -1]
    levels = [paths.straight(1.0 - 0.99 * k / 800) for k in range(801)]
    ends = DPMSolver(order=3)(denoise, torch.tensor(starts, dtype=torch.float64), levels)
    torch.testing.assert_close(ends, torch.from_numpy(exact), rtol=0.0, atol=1e-6)
    precision = s / given.spread**2 + (1.0 - s) / without.spread**2
    spread = (ends[2] - ends[0]).item() / 3.0  # the end is linear in the start
    assert abs(spread - precision**-0.5) > 0.05


def gaussian(make: type[NormalisingFlow], means: Tensor, deviations: Tensor) -> NormalisingFlow:
    """A flow of p(x | y) = N(means[y], deviations[y]^2), whose layers are the identity before training."""
    options = {"num_couplings": 2} if make is RealNVP else {"num_layers": 2}
    model = make(POINTS, **options).eval().to(means.dtype)
    model.context = lambda y, num: make.context(model, y, num).to(means.dtype)
    prior = model.flow.bijections[1]
    with torch.no_grad():  # `ContextLinear` has the factor sqrt(2)
        prior.context.weight.copy_(torch.cat([means, deviations.log()], 1).T / 2.0**0.5)
    return model


@torch.no_grad()
@pytest.mark.parametrize("make", [MAF, NSF, RealNVP], ids=lambda make: make.__name__)
def test_a_mixture_of_two_labelled_gaussians(make: type[NormalisingFlow]) -> None:
    """Each label has its component, p(y | x) is Bayes' rule, log p(x) the log of the sum over labels."""
    torch.manual_seed(0)
    means, deviations = (
        torch.tensor([[-1.0, 0.5], [1.5, 0.0]]).double(),
        torch.tensor([[0.5, 1.0], [1.2, 0.3]]).double(),
    )
    model = gaussian(make, means, deviations)
    world = [torch.distributions.Normal(*pair) for pair in zip(means, deviations, strict=True)]
    x = 2.0 * torch.randn(200, 2, dtype=torch.float64)
    own = torch.stack([model.log_prob(x, torch.full((200,), label)) for label in range(2)])
    exact = torch.stack([component.log_prob(x).sum(1) for component in world])
    torch.testing.assert_close(own, exact, rtol=0.0, atol=1e-6)
    assert (own.softmax(0) - exact.softmax(0)).abs().max() < 1e-6
    prior = math.log(0.5)
    torch.testing.assert_close((own + prior).logsumexp(0), (exact + prior).logsumexp(0), rtol=0.0, atol=1e-6)
    y, num = torch.tensor([0, 1]).repeat(4_000), 4_000
    drawn = model.sample(len(y), y)
    for label in range(2):
        error = (drawn[y == label].mean(0) - means[label]).abs() / (deviations[label] / num**0.5)
        spread = (drawn[y == label].std(0) / deviations[label] - 1.0).abs() * (2 * num) ** 0.5
        assert error.max() < 4.0 and spread.max() < 4.0
