"""Models of p(x | y): densities that integrate to one for every y, and labels that matter."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from genarena.build import build
from genarena.config import available, compose
from genarena.data.digits import Digits
from genarena.errors import UserError
from genarena.likelihood import Likelihood
from genarena.models.autoregressive.image_gpt import ImageGPT
from genarena.models.autoregressive.made import MADE
from genarena.models.autoregressive.pixelcnn import PixelCNN
from genarena.models.base import GenerativeModel
from genarena.models.diffusion.ddpm import DDPM
from genarena.models.diffusion.edm import EDM
from genarena.models.diffusion.flow_matching import FlowMatching
from genarena.models.diffusion.gaussian_diffusion import GaussianDiffusion
from genarena.models.diffusion.samplers import DDIM
from genarena.models.flow.glow import Glow
from genarena.models.flow.realnvp import RealNVP
from genarena.models.gan.sngan import SNGAN
from genarena.models.vae.vae import VAE
from genarena.models.vae.vqvae import VQVAE
from genarena.spec import DataSpec
from tests.first_stages import standing
from tests.homes import class_of, pictured
from tests.models.tiny import NARROW

POINTS = DataSpec((2,), num_classes=3, condition="label")
BINARY = DataSpec((1, 2, 3), 2, 3, condition="label")
DIGITS = DataSpec((1, 8, 8), 17, 10, condition="label")
DIFFUSIONS = [DDPM, FlowMatching, EDM]
SMALL = {  # the smallest sizes that learn which digit is which in seconds
    VAE: {"latent_dim": 8, "channels": 16, "hidden": 64},
    RealNVP: {"num_levels": 1, "hidden_channels": 16},
    Glow: {"num_levels": 1, "num_steps": 4, "hidden_channels": 16},
    PixelCNN: {"hidden_channels": 16, "num_blocks": 2},
    MADE: {"hidden": (64,)},
    VQVAE: {"codebook": "fsq", "levels": (4, 4), "hidden_channels": 16, "num_blocks": 1, "prior": ImageGPT},
}
# The couplings of Glow are those of RealNVP; the masses of images are counted for a PixelCNN below, and in test_vqvae.py.
LONGER = [pytest.param(make, marks=pytest.mark.slow) for make in (Glow, PixelCNN, VQVAE)]


def shaken(model: GenerativeModel, scale: float = 0.3) -> GenerativeModel:
    """With random weights everywhere: maps of the condition start at zero."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(scale * torch.randn(parameter.shape, generator=generator))
    return model.eval()


@torch.no_grad()
@pytest.mark.parametrize("make", [MADE, RealNVP], ids=lambda make: make.__name__)
def test_density_of_points_integrates_to_one_for_every_label(make: type[GenerativeModel]) -> None:
    torch.manual_seed(0)
    options = {"hidden": (16,)} if make is MADE else {"num_couplings": 4, "hidden_features": 16}
    model = shaken(make(POINTS, **options), 0.1)
    axis = torch.linspace(-30.0, 30.0, 1201)
    points = torch.cartesian_prod(axis, axis)
    densities = []
    for label in range(3):
        log_prob = torch.cat([model.log_prob(part, torch.full((len(part),), label)) for part in points.split(200_000)])
        densities.append(log_prob.double())
        assert log_prob.double().exp().sum().item() * 0.05**2 == pytest.approx(1.0, abs=2e-3)
    assert (densities[0].exp() - densities[1].exp()).abs().sum().item() * 0.05**2 > 0.01, "labels make no difference"


@torch.no_grad()
@pytest.mark.parametrize("make", [MADE, PixelCNN], ids=lambda make: make.__name__)
def test_masses_of_all_images_sum_to_one_and_samples_follow_them(make: type[GenerativeModel]) -> None:
    torch.manual_seed(0)
    options = {"hidden": (16,)} if make is MADE else {"hidden_channels": 4, "num_blocks": 2, "first_kernel_size": 3}
    model = shaken(make(BINARY, **options), 0.3)  # more, and one image has nearly all mass
    images = torch.tensor(list(itertools.product((0, 1), repeat=6)), dtype=torch.uint8).view(-1, 1, 2, 3)
    index = 2 ** torch.arange(5, -1, -1)
    masses = []
    for label in range(3):
        mass = model.log_prob(images, torch.full((64,), label)).double().exp()
        assert mass.sum().item() == pytest.approx(1.0, abs=1e-5)
        drawn = model.sample(20_000, torch.full((20_000,), label)).flatten(1).long() @ index
        shares = torch.bincount(drawn, minlength=64).double() / 20_000
        assert (shares - mass).abs().sum() < 0.12, "twice what chance gives"
        masses.append(mass)
    assert (masses[1] - masses[0]).abs().sum() > 0.3


@torch.no_grad()
def test_a_batch_of_labels_is_its_rows() -> None:
    """Each row of a mixed batch is drawn and scored under its own label."""
    torch.manual_seed(0)
    for make in (MADE, PixelCNN):
        model = shaken(make(BINARY, **({"hidden": (16,)} if make is MADE else {"hidden_channels": 4, "num_blocks": 1})))
        y, x = torch.tensor([2, 0, 1, 2]), torch.randint(2, (4, 1, 2, 3), dtype=torch.uint8)
        alone = torch.cat([model.log_prob(x[i : i + 1], y[i : i + 1]) for i in range(4)])
        torch.testing.assert_close(model.log_prob(x, y), alone)


def test_vae_bound_is_that_of_its_label() -> None:
    """With many draws the importance-weighted bounds of a small model reach log p(x | y), which integrates to one."""
    torch.manual_seed(0)
    model = shaken(VAE(DataSpec((1,), num_classes=2, condition="label"), latent_dim=1, hidden=8), 0.2)
    for parameter in model.encoder[-1].parameters():
        parameter.data.zero_()  # q(z|x, y) is N(0, I), whatever the prior is
    model.prior_head.weight.data = torch.tensor([[0.4, -0.3], [-0.2, 0.1]])
    axis = torch.linspace(-25.0, 25.0, 501).unsqueeze(1)
    z = torch.linspace(-7.0, 7.0, 1401).unsqueeze(1)
    exact = []
    with torch.no_grad():
        for label in range(2):
            mean, log_var = 2.0**0.5 * model.prior_head.weight[:, label]  # `ContextLinear` has the factor sqrt(2)
            prior = torch.distributions.Normal(mean, (0.5 * log_var).exp()).log_prob(z.squeeze(1)).double()
            given = model.likelihood_of(z, torch.full((len(z),), label))
            log_joint = torch.stack([given.log_prob(x.expand(len(z), 1)).sum(1).double() for x in axis]) + prior
            exact.append(torch.logsumexp(log_joint, 1) + math.log(0.01))
            assert exact[-1].exp().sum().item() * 0.1 == pytest.approx(1.0, abs=5e-3)
            likely = exact[-1] > exact[-1].max() - 2.0
            bound = model.log_prob(axis[likely], torch.full((int(likely.sum()),), label), num_samples=20_000)
            torch.testing.assert_close(bound.double(), exact[-1][likely], atol=0.1, rtol=0.0)
    assert (exact[0].exp() - exact[1].exp()).abs().sum().item() * 0.1 > 0.01


def test_codes_of_a_vae_are_drawn_from_the_prior_of_their_label_and_the_kl_is_to_it() -> None:
    torch.manual_seed(0)
    model = VAE(DataSpec((1,), num_classes=2, condition="label"), latent_dim=3, hidden=8).eval()
    prior = model.prior(torch.tensor([0, 1]), 2)
    assert torch.equal(prior.mean, torch.zeros(2, 3)) and torch.equal(prior.log_var, torch.zeros(2, 3))  # at the start
    torch.nn.init.normal_(model.prior_head.weight, std=0.5)
    codes = []
    model.render = lambda z, y: codes.append(z) or z
    y = torch.tensor([0, 1]).repeat(20_000)
    model.sample(len(y), y)
    prior = model.prior(torch.tensor([0, 1]), 2)
    for label in range(2):
        drawn = codes[0][y == label]
        torch.testing.assert_close(drawn.mean(0), prior.mean[label], atol=0.05, rtol=0.0)
        torch.testing.assert_close(drawn.var(0).log(), prior.log_var[label], atol=0.05, rtol=0.0)
    posterior = model.posterior(torch.zeros(2, 1), y[:2])
    q, p = (torch.distributions.Normal(each.mean, (0.5 * each.log_var).exp()) for each in (posterior, prior))
    torch.testing.assert_close(posterior.kl(prior), torch.distributions.kl_divergence(q, p))


@pytest.mark.parametrize("make", [VAE, RealNVP, MADE, *LONGER], ids=lambda make: make.__name__)
def test_right_labels_are_likelier_than_wrong_ones(make: type[GenerativeModel]) -> None:
    """After a few epochs of digits; no label does better for more than half of the test images."""
    torch.manual_seed(0)
    data = Digits(DIGITS)
    data.setup()
    model = make(DIGITS, **SMALL[make]).train()
    model.progress = 1.0
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for index in (part for _ in range(12) for part in torch.randperm(1257).split(100)[:12]):
        optimizer.zero_grad()
        model.loss(data.train[index].batch(data.spec.condition))["loss"].backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimizer.step()
    x, y = data.test[:100].batch(data.spec.condition)
    with torch.no_grad():
        right = log_probs(model.eval(), x, y)
        wrong = torch.stack([log_probs(model, x, (y + shift) % 10) for shift in range(1, 10)])
    assert (right - wrong).mean() > 1.0, "nats"
    assert (right > wrong).double().mean() > 0.7
    uniform = torch.softmax(torch.cat([right[None], wrong]), 0)[0].mean()
    assert uniform > 0.3, "p(y | x) by Bayes, ten labels"


def log_probs(model: GenerativeModel, x: Tensor, y: Tensor) -> Tensor:
    torch.manual_seed(0)  # the same noise for every label
    return model.log_prob(x, y, num_samples=5)


def test_projection_is_an_inner_product_with_the_features() -> None:
    """D(x, c) - D(x, c') is (V c - V c')^T h(x): eq. 3 of the paper."""
    torch.manual_seed(0)
    model = SNGAN(DIGITS, generator_channels=4, discriminator_channels=4).eval()
    x, net = torch.rand(5, 1, 8, 8), model.discriminator
    one, two = (model.context(torch.full((5,), label), 5) for label in (3, 7))
    features = torch.relu(net.blocks(x)).sum((2, 3))
    expected = ((net.projection.weight[:, 3] - net.projection.weight[:, 7]) * features).sum(1)
    torch.testing.assert_close(net(x, one) - net(x, two), expected)


@pytest.mark.parametrize("name", [name for name in available("model") if not name.endswith("_paper")])
def test_data_condition_is_used_or_refused_in_one_line(name: str) -> None:
    node = standing(compose([f"model={name}", "data=digits", "data.condition=label"]))
    if not pictured(name):
        node.spec = {
            "_target_": "genarena.spec.DataSpec",
            "shape": [1, 512],
            "num_levels": 9,
            "num_classes": 10,
            "condition": "label",
        }
    if class_of(name).takes_mels:
        node.spec.update({"shape": [80, 64], "num_levels": None, "sample_rate": 22_050})
    try:
        model = build(node, "model")
    except UserError as error:
        assert "data.condition=label" in str(error) and "\n" not in str(error)
        return
    assert model.conditional and model.spec.condition.size == 10
    if not model.conditioning.dropout and name != "jem":  # which is a model of p(x) too
        with pytest.raises(ValueError, match="y is needed"):
            model.sample(2)
    for others in (1, 3):
        with pytest.raises(ValueError, match=r"expected label torch.int64 \(2, \)"):
            model.sample(2, torch.zeros(others, dtype=torch.long))
    if model.likelihood is not Likelihood.NONE:
        x = torch.randint(17, (2, 1, 8, 8), dtype=torch.uint8)
        with pytest.raises(ValueError, match="expected label"):
            model.log_prob(x, torch.zeros(3, dtype=torch.long))


@torch.no_grad()
@pytest.mark.parametrize("make", DIFFUSIONS, ids=lambda make: make.__name__)
def test_guidance_interpolates_between_no_condition_and_the_condition(make: type[GaussianDiffusion]) -> None:
    """s = 0: the samples without a condition, s = 1: those with it, whatever y the others have; s = 2 is beyond."""
    torch.manual_seed(0)
    model, y = shaken(make(DIGITS, net=NARROW, sampler=DDIM(nfe=5)), 0.1), torch.arange(4)
    x, level = torch.randn(4, 1, 8, 8), model.levels(10)[5]

    def predicted(guidance: float, y: Tensor | None) -> Tensor:
        model.use(DDIM(nfe=5, guidance=guidance))
        return model.guided_denoiser(y, 4)(x, level).x_0

    without, with_y = predicted(1.0, None), predicted(1.0, y)
    assert (with_y - without).abs().max() > 1e-3
    torch.testing.assert_close(predicted(0.0, y), without)
    torch.testing.assert_close(predicted(2.0, y), 2.0 * with_y - without)


@pytest.mark.parametrize("make", DIFFUSIONS, ids=lambda make: make.__name__)
def test_guidance_without_dropout_is_refused_in_one_line(make: type[GaussianDiffusion]) -> None:
    for spec, dropout in ((DIGITS, 0.0), (DataSpec((1, 8, 8), 17), 0.1)):
        with pytest.raises(ValueError, match="guidance=2.0: the model was trained without conditions that are dropped"):
            make(spec, net=NARROW, sampler=DDIM(guidance=2.0), condition_dropout=dropout)


def test_no_condition_has_a_likelihood_where_it_was_learned() -> None:
    torch.manual_seed(0)
    model = shaken(DDPM(DIGITS, net=NARROW, num_steps=5, sampler=DDIM(nfe=5)), 0.1)
    x, y = torch.randint(17, (3, 1, 8, 8), dtype=torch.uint8), torch.tensor([1, 2, 10])  # 10: no condition
    values = []
    for given in (None, y):
        torch.manual_seed(1)
        with torch.no_grad():
            values.append(model.log_prob(x, given))
    assert values[0][2] == pytest.approx(values[1][2].item(), rel=1e-5)
    assert (values[0] - values[1])[:2].abs().min() > 1e-3


def test_conditions_of_other_examples_are_not_cut_where_a_bound_is_taken_in_parts() -> None:
    model = VAE(POINTS, latent_dim=1, hidden=4).eval()
    model.max_rows = 2
    with pytest.raises(ValueError, match="expected label"):
        model.log_prob(torch.zeros(2, 2), torch.zeros(4, dtype=torch.long))
