"""The bound of the VAE against likelihoods that can be computed: quadrature, and a linear-Gaussian model."""

import itertools
import math
from contextlib import nullcontext

import pytest
import torch
from torch import Tensor, nn

from genarena.models.base import GenerativeModel
from genarena.models.vae.latent_model import Mode
from genarena.models.vae.vae import VAE
from genarena.models.vae.vdvae import VDVAE
from genarena.nets.resnet import ConvDecoder, ConvEncoder, ConvPyramid
from genarena.spec import Batch, DataSpec
from tests.analytic import LinearGaussian

ALL_BINARY_2X2 = torch.tensor(list(itertools.product((0, 1), repeat=4)), dtype=torch.uint8).view(16, 1, 2, 2)


@pytest.fixture(scope="module")
def tiny() -> VAE:
    """Four binary pixels and one latent dimension; weights large enough that q is far from the true posterior."""
    torch.manual_seed(1)
    model = VAE(DataSpec((1, 2, 2), 2), latent_dim=1, channels=4, hidden=8).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.3)
    return model


@torch.no_grad()
def exact_log_prob(model: VAE) -> Tensor:
    """log of the integral of p(x|z) p(z) over z by the trapezoid rule, for all sixteen images."""
    z = torch.linspace(-9.0, 9.0, 3001).unsqueeze(1)
    log_prior = -0.5 * z.squeeze(1) ** 2 - 0.5 * math.log(2.0 * math.pi)
    pixels = model.likelihood_of(z)
    log_joint = [pixels.log_prob(x.expand(len(z), -1, -1, -1)).sum((1, 2, 3)) + log_prior for x in ALL_BINARY_2X2]
    return torch.logsumexp(torch.stack(log_joint), 1) + math.log(18.0 / 3000)


@torch.no_grad()
def test_bounds_are_ordered_and_reach_the_integral(tiny: VAE) -> None:
    exact = exact_log_prob(tiny)
    assert exact.exp().sum().item() == pytest.approx(1.0, abs=1e-5)
    torch.manual_seed(1)
    x = ALL_BINARY_2X2.repeat(2000, 1, 1, 1)
    bounds = [tiny.log_prob(x, num_samples=k).view(2000, 16).mean(0).mean().item() for k in (1, 5, 50)]
    truth = exact.mean().item()
    assert bounds[0] + 0.01 < bounds[1] < bounds[2] - 0.001 < truth  # standard errors are below 0.003
    torch.testing.assert_close(tiny.log_prob(ALL_BINARY_2X2, num_samples=20000), exact, atol=0.02, rtol=0.0)


def test_the_perceptron_is_that_of_the_paper() -> None:
    """app. C.1: one layer of 500 tanh units each way, and no other weights."""
    model = VAE(DataSpec((1, 28, 28), 2), latent_dim=20, perceptron=[500])
    layers = [module for module in model.modules() if isinstance(module, nn.Linear)]
    sizes = [(layer.in_features, layer.out_features) for layer in layers]
    assert sizes == [(784, 500), (500, 40), (20, 500), (500, 784)]
    assert sum(p.numel() for p in model.parameters()) == sum(layer.weight.numel() + len(layer.bias) for layer in layers)
    assert [type(module) for module in model.decoder.layers] == [nn.Linear, nn.Tanh, nn.Linear]


@torch.no_grad()
def test_the_bound_of_a_perceptron_reaches_the_integral() -> None:
    torch.manual_seed(7)
    model = VAE(DataSpec((1, 2, 2), 2), latent_dim=1, perceptron=[8, 4]).eval()
    for parameter in model.parameters():
        parameter.add_(0.3 * torch.randn_like(parameter))
    exact = exact_log_prob(model)
    assert exact.exp().sum().item() == pytest.approx(1.0, abs=1e-5)
    weights = model.log_weights(ALL_BINARY_2X2, num_samples=20000).exp()  # (draws, images), of mean p(x)
    error = weights.std(0) / weights.mean(0) / 20000**0.5
    assert error.max() < 0.02
    assert ((weights.mean(0).log() - exact).abs() < 4.0 * error).all()
    draws = model.log_prob(ALL_BINARY_2X2.repeat(4000, 1, 1, 1)).view(4000, 16)
    assert (draws.mean(0) < exact + 4.0 * draws.std(0) / 4000**0.5).all()


@torch.no_grad()
def test_elbo_is_below_the_integral_for_every_image(tiny: VAE) -> None:
    torch.manual_seed(2)
    draws = tiny.log_prob(ALL_BINARY_2X2.repeat(4000, 1, 1, 1)).view(4000, 16)
    assert (draws.mean(0) < exact_log_prob(tiny) + 4.0 * draws.std(0) / 4000**0.5).all()


@torch.no_grad()
def test_samples_follow_the_integral_and_modes_do_not(tiny: VAE) -> None:
    torch.manual_seed(3)
    place = torch.tensor([8, 4, 2, 1])
    counts = torch.bincount((tiny.sample(40000).flatten(1) * place).sum(1), minlength=16)
    exact = exact_log_prob(tiny).exp()
    assert (counts / 40000 - exact).abs().sum() < 0.03  # about 0.02 standard deviations in total
    tiny.use(Mode())
    modes = tiny.sample(200)
    z = torch.linspace(-6.0, 6.0, 4001).unsqueeze(1)
    reachable = {tuple(image.tolist()) for image in tiny.decode(z).flatten(1)}
    assert {tuple(image.tolist()) for image in modes.flatten(1)} <= reachable


@torch.no_grad()
def test_bound_is_the_likelihood_of_a_linear_gaussian_model_at_its_true_posterior() -> None:
    """x = W z + b + s eps with orthogonal columns: q can be exact, then every importance weight is p(x)."""
    torch.manual_seed(4)
    world, model = LinearGaussian(), VAE(DataSpec((4,)), latent_dim=2, hidden=4)
    model.decoder, model.encoder = world.decoder(), world.encoder()
    x = 2.0 * torch.randn(6, 4)
    exact = world.log_prob(x)
    torch.testing.assert_close(model.log_prob(x, num_samples=3), exact, atol=1e-4, rtol=1e-4)
    elbo = model.log_prob(x.repeat(20000, 1)).view(20000, 6).mean(0)
    torch.testing.assert_close(elbo, exact, atol=0.05, rtol=0.0)
    model.encoder.log_var = (4.0 * world.variance).log()
    worse = model.log_prob(x.repeat(20000, 1)).view(20000, 6).mean(0)
    torch.testing.assert_close(exact - worse, torch.full((6,), 2 * 0.5 * (3.0 - math.log(4.0))), atol=0.1, rtol=0.0)


@torch.no_grad()
def test_chunks_change_neither_the_bound_nor_exceed_their_size() -> None:
    torch.manual_seed(5)
    model = VAE(DataSpec((3, 9, 12), 17), latent_dim=3, channels=4, hidden=8).eval()
    x = torch.randint(0, 17, (5, 3, 9, 12), dtype=torch.uint8)
    rows: list[int] = []
    model.decoder.register_forward_hook(lambda module, inputs, output: rows.append(len(output)))
    bounds = []
    for model.max_rows in (1000, 11, 5):
        torch.manual_seed(6)
        bounds.append(model.log_prob(x, num_samples=9))
    assert rows == [45] + [10, 10, 10, 10, 5] + [5] * 9
    torch.testing.assert_close(bounds[0], bounds[1])
    torch.testing.assert_close(bounds[0], bounds[2])
    model.max_rows = 2
    rows.clear()
    assert model.log_prob(x, num_samples=4).shape == (5,) and max(rows) == 2 and sum(rows) == 20


@torch.no_grad()
@pytest.mark.parametrize("num", [1, 7])  # a normal generator treats fewer than 16 numbers in another way
def test_many_draws_are_those_one_after_the_other(num: int) -> None:
    model = VAE(DataSpec((2,)), latent_dim=5, hidden=4)
    posterior = model.posterior(torch.randn(num, 2))
    torch.manual_seed(7)
    z, log_q = map(torch.cat, zip(*(posterior.draws(1) for _ in range(3)), strict=True))
    torch.manual_seed(7)
    for ours, wanted in zip(posterior.draws(3), (z, log_q), strict=True):
        torch.testing.assert_close(ours, wanted)
    standard = (posterior.draws(20_000)[0] - posterior.mean) / posterior.log_var.mul(0.5).exp()
    torch.testing.assert_close(standard.mean(0), torch.zeros(num, 5), rtol=0.0, atol=0.04)
    torch.testing.assert_close(standard.var(0), torch.ones(num, 5), rtol=0.0, atol=0.06)
    torch.testing.assert_close(
        log_q, posterior.log_prob_of_each(z.flatten(0, 1)).view(3, num, num).diagonal(dim1=1, dim2=2)
    )


def test_free_bits_and_warm_up_by_hand() -> None:
    """Batch KLs (0.5, 4.5) and (0, 0): their means 2.5 and 0 become 2.5 and 0.25; half the warm-up halves beta=2."""
    model = VAE(DataSpec((2,)), latent_dim=2, hidden=4, beta=2.0, warmup=0.4, free_bits=0.25)
    means = nn.Parameter(torch.tensor([[1.0, 0.0], [3.0, 0.0]]))
    model.encoder.forward = lambda x, context: torch.cat([means, torch.zeros(2, 2)], 1)
    for parameter in model.decoder.parameters():
        parameter.data.zero_()  # p(x|z) = N(0, I): the reconstruction is constant
    model.progress = 0.2
    terms = model.loss(Batch(torch.tensor([[0.0, 0.0], [1.0, 2.0]])))
    assert terms["kl"].item() == pytest.approx(2.5)
    assert terms["reconstruction"].item() == pytest.approx(math.log(2.0 * math.pi) + 5.0 / 4.0)
    assert (terms["loss"] - terms["reconstruction"]).item() == pytest.approx(1.0 * (2.5 + 0.25))
    terms["loss"].backward()
    torch.testing.assert_close(means.grad, torch.tensor([[0.5, 0.0], [1.5, 0.0]]))  # none for the free dimension


@torch.no_grad()
def test_validation_has_the_full_beta_from_the_start() -> None:
    model = VAE(DataSpec((2,)), latent_dim=2, hidden=4, beta=4.0, warmup=0.1)
    model.progress = 0.02
    batch = Batch(torch.randn(8, 2))
    for context, weight in ((nullcontext(), 0.8), (model.final_objective(), 4.0)):
        with context:
            terms = model.validate(batch)
        assert (terms["loss"] - terms["reconstruction"]).item() == pytest.approx(weight * terms["kl"].item(), rel=1e-4)
    assert (model.progress, model.ramp) == (0.02, 0.1)


@torch.no_grad()
@pytest.mark.parametrize(("options", "chooses"), [({}, False), ({"beta": 4.0}, True), ({"free_bits": 0.1}, True)])
def test_the_loss_chooses_the_weights_only_where_it_is_no_bound(options: dict, chooses: bool) -> None:
    terms = VAE(DataSpec((2,)), latent_dim=2, hidden=4, **options).validate(Batch(torch.randn(8, 2)))
    assert ("objective" in terms) is chooses and "bits_per_dim" in terms
    assert not chooses or terms["objective"] == terms["loss"]


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (2, 13, 9), (3, 64, 64)])
@pytest.mark.parametrize("patch", [1, 2, 3, 4])
def test_every_pixel_is_seen_and_drawn(shape: tuple[int, int, int], patch: int) -> None:
    torch.manual_seed(7)
    plan = ConvPyramid(*shape[1:], channels=4, blocks=(1, 0), patch=patch)
    x = torch.randn(1, *shape, requires_grad=True)
    code = ConvEncoder(shape[0], 3, plan, hidden=16)(x)
    (seen,) = torch.autograd.grad(code.square().sum(), x)
    decoder = ConvDecoder(3, shape[0], plan, hidden=16)
    drawn = decoder(torch.randn(50, 3))
    assert (seen != 0).all()
    assert drawn.shape == (50, *shape) and (drawn.std(0) > 1e-5).all()


def test_refuses_what_it_cannot_model() -> None:
    with pytest.raises(ValueError, match="images or continuous vectors"):
        VAE(DataSpec((4,), 17))
    with pytest.raises(ValueError, match="models images of integer levels"):
        VAE(DataSpec((1, 8, 8)))
    with pytest.raises(ValueError, match="warmup=2.0"):
        VAE(DataSpec((1, 8, 8), 2), warmup=2.0)


def test_binary_images_are_seen_in_larger_patches() -> None:
    assert VAE(DataSpec((1, 28, 28), 2)).encoder[0].stride == (4, 4)
    assert VAE(DataSpec((1, 28, 28), 256)).encoder[0].stride == (2, 2)
    assert VAE(DataSpec((1, 28, 28), 256), patch=3).encoder[0].stride == (3, 3)


@pytest.mark.parametrize("make", [VAE, VDVAE], ids=lambda make: make.__name__)
def test_a_patch_larger_than_the_image_is_refused_by_its_name(make: type[GenerativeModel]) -> None:
    with pytest.raises(ValueError, match=r"^patch=16: expected 1 to 8 for images of 8x8$"):
        make(DataSpec((1, 8, 8), 17), patch=16)
