"""Learning p(x) from rows with holes: without holes nothing changes, hidden entries have no say, and a Gaussian world
is found."""

import math
from types import SimpleNamespace

import pytest
import torch

from genarena.data.batches import Split
from genarena.data.mechanisms import fitted
from genarena.models.autoregressive.made import MADE
from genarena.models.base import GenerativeModel
from genarena.models.baseline.gaussian import Gaussian
from genarena.models.baseline.gmm import GMM
from genarena.models.diffusion.ddpm import DDPM
from genarena.models.diffusion.samplers import Ancestral
from genarena.models.vae.iwae import IWAE
from genarena.models.vae.vae import VAE
from genarena.nets.mlp import TimeMLP
from genarena.spec import Batch, DataSpec
from genarena.statistics import gaussian_em
from tests.tasks.world import World

DIMS = 3
HOLED, PLAIN = DataSpec((DIMS,), missing="mcar"), DataSpec((DIMS,))


def net(*ends: object) -> TimeMLP:
    return TimeMLP(*ends, hidden_channels=64, num_layers=2)


def make(kind: type, spec: DataSpec) -> GenerativeModel:
    torch.manual_seed(0)
    if kind is DDPM:
        return DDPM(spec, num_steps=100, net=net)
    if kind is Gaussian:
        return Gaussian(spec)
    if kind is MADE:
        return MADE(spec, hidden=(64, 64), direct=True, num_mixtures=2)
    return kind(spec, latent_dim=3, hidden=64, **({"warmup": 0.0} if kind is VAE else {}))


def rows(num: int, rate: float = 0.3) -> tuple[torch.Tensor, torch.Tensor]:
    """Of an AR(1) Gaussian: complete, and with holes."""
    x = World((DIMS,), "ar1").draw(num).float()
    return x, x.masked_fill(fitted("mcar", rate, x, (0,)).hidden(x, "train"), torch.nan)


def copied(kind: type) -> tuple[GenerativeModel, GenerativeModel]:
    """A model of complete rows, and one of rows with holes with the same weights, whatever the mask is."""
    plain, holed = make(kind, PLAIN), make(kind, HOLED)
    state = plain.state_dict()
    for name, value in holed.state_dict().items():
        if name.startswith("mask"):  # of MADE, not in its state
            continue
        if value.shape != state[name].shape:
            state[name] = torch.cat([state[name], torch.zeros_like(state[name])], 1)
    holed.load_state_dict(state)
    return plain, holed


@pytest.mark.parametrize("kind", [VAE, IWAE, DDPM, MADE])
def test_without_holes_the_loss_is_that_of_complete_rows(kind: type) -> None:
    x, _ = rows(40)
    found = []
    for model in copied(kind):
        torch.manual_seed(1)
        terms = model.loss(Batch(x))
        terms["loss"].backward()
        torch.manual_seed(2)
        found.append([*terms.values(), model.log_prob(x).mean()])
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(*found, strict=True))


@pytest.mark.parametrize("kind", [VAE, IWAE, DDPM, MADE])
def test_hidden_entries_teach_nothing(kind: type) -> None:
    """The outputs for a column that is hidden everywhere get no gradient; the others do."""
    x, _ = rows(40)
    x[:, 1] = torch.nan
    model = make(kind, HOLED)
    model.loss(Batch(x))["loss"].backward()
    layer = {DDPM: lambda: model.network.head[-1], MADE: lambda: model.out}.get(kind, lambda: model.decoder[-1])()
    gradient = layer.bias.grad.view(-1, DIMS)
    assert gradient.isfinite().all() and gradient[:, 1].abs().max() == 0 and gradient[:, [0, 2]].abs().min() > 0


def test_a_gaussian_without_holes_is_that_of_complete_rows() -> None:
    x, _ = rows(200)
    plain, holed = (make(Gaussian, spec) for spec in (PLAIN, HOLED))
    plain.observe(Batch(x))
    holed.training_data(SimpleNamespace(training_split=Split(x)), "cpu")
    for a, b in zip(plain.moments(), holed.moments(), strict=True):
        assert torch.allclose(a, b, atol=1e-9)
    assert torch.allclose(plain.log_prob(x), holed.log_prob(x))


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
def test_a_gaussian_is_found_by_em(covariance: str) -> None:
    world, (_, x) = World((DIMS,), "ar1"), rows(20_000)
    model = Gaussian(HOLED, covariance=covariance)
    with pytest.raises(ValueError, match="call training_data"):
        model.observe(Batch(x))
    model.training_data(SimpleNamespace(training_split=Split(x)), "cpu")
    model.observe(Batch(x))  # changes nothing
    mean, found = model.moments()
    wanted = world.covariance if covariance == "full" else world.covariance.diagonal()
    assert (mean - world.mean).abs().max() < 0.03 and (found - wanted).abs().max() < 0.04
    dense = found if covariance == "full" else found.diag()
    exact = gaussian_em.conditional(x[:5].double(), mean, dense).log_prob
    assert torch.allclose(model.log_prob(x[:5]).double(), exact, atol=1e-5)


def test_a_bound_of_what_is_observed() -> None:
    """A VAE with a decoder that ignores z is a diagonal Gaussian, whose marginals are known."""
    model = make(VAE, HOLED)
    with torch.no_grad():
        for part in (model.encoder[-1], model.decoder[-1]):
            part.weight.zero_()
            part.bias.zero_()
    _, x = rows(30)
    exact = (-0.5 * (x.square() + math.log(2 * math.pi))).nansum(1)
    assert torch.allclose(model.log_prob(x), exact, atol=1e-5)
    assert torch.allclose(model.log_prob(x, num_samples=5), exact, atol=1e-5)


def test_terms_of_made_see_what_was_observed_before_them() -> None:
    """What is hidden, and what comes later, changes no term; that an earlier entry is hidden, and its value, do."""
    model, (x, _) = make(MADE, HOLED), rows(20)
    assert model.order().tolist() == [0, 1, 2]

    def terms(values: torch.Tensor) -> torch.Tensor:
        """log p(x_d | observed of x_<d), as differences of the sums over what is observed."""
        sums = []
        for d in range(DIMS + 1):
            first = values.clone()
            first[:, d:] = torch.nan
            sums.append(model.log_prob(first))
        return torch.stack(sums, 1).diff(dim=1)

    assert torch.allclose(terms(x).sum(1), model.log_prob(x), atol=1e-5)
    hidden = x.clone()
    hidden[:, 1] = torch.nan
    assert torch.equal(terms(hidden)[:, 0], terms(x)[:, 0]) and terms(hidden)[:, 1].abs().max() == 0
    assert (terms(hidden)[:, 2] - terms(x)[:, 2]).abs().min() > 1e-6
    zero = x.clone()
    zero[:, 1] = 0.0
    assert (terms(hidden)[:, 2] - terms(zero)[:, 2]).abs().min() > 1e-6  # a hole is no zero


def test_made_draws_what_its_density_says() -> None:
    """The mean log-density of draws is that of importance weights, so that the mask is the same in both."""
    torch.manual_seed(0)
    model = make(MADE, HOLED).eval()
    drawn = model.sample(20_000)
    wide = 3.0 * torch.randn(200_000, DIMS)
    log_prob = model.log_prob(wide)
    log_q = -0.5 * (wide / 3.0).square().sum(1) - DIMS * math.log(3.0 * math.sqrt(2.0 * math.pi))
    weights = (log_prob - log_q).exp()
    assert weights.mean().item() == pytest.approx(1.0, abs=0.03)
    for power in (1, 2):
        expected = (weights[:, None] * wide**power).mean(0)
        assert (drawn.double().pow(power).mean(0) - expected).abs().max() < 0.05


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
def test_a_mixture_of_one_gaussian_is_that_of_em(covariance: str) -> None:
    _, x = rows(500, rate=0.4)
    options = {"num_components": 1, "shrinkage": 0.0, "pooling": 0.0, "forgetting": 0.0, "covariance": covariance}
    model = GMM(HOLED, **options)
    for _ in range(100):
        model.observe(Batch(x))
    if covariance == "full":
        mean, wanted, _ = gaussian_em.fit(x, tolerance=1e-9, most=5000)
    else:
        mean, wanted = x.double().nanmean(0), (x.double() - x.double().nanmean(0)).square().nanmean(0)
    assert torch.allclose(model.mean[0], mean, atol=1e-3)
    assert torch.allclose(model.covariances()[0], wanted, atol=1e-3)


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
def test_em_with_holes_raises_the_likelihood_of_what_is_observed(covariance: str) -> None:
    torch.manual_seed(0)
    x = torch.cat([rows(300)[0], rows(200)[0] * torch.tensor([0.3, -1.0, 2.0]) + 3.0])
    x = x.masked_fill(torch.rand_like(x) < 0.3, torch.nan)
    x = x[~x.isnan().all(1)]
    model = GMM(HOLED, num_components=3, shrinkage=0.0, pooling=0.0, forgetting=0.0, covariance=covariance)
    model.observe(Batch(x))
    values = []
    for _ in range(60):
        values.append(model.log_prob(x).double().mean())
        model.observe(Batch(x))
    steps = torch.stack(values).diff()
    assert (steps > -1e-6).all() and steps.sum() > 1e-2
    dense = model.covariances() if covariance == "full" else model.covariances().diag_embed()
    row = torch.tensor([[0.5, torch.nan, 1.0]])
    parts = torch.distributions.MultivariateNormal(model.mean[:, [0, 2]], dense[:, [0, 2]][:, :, [0, 2]])
    exact = (parts.log_prob(row[:, [0, 2]].double()) + model.weight.log()).logsumexp(0)
    assert model.log_prob(row).item() == pytest.approx(exact.item(), abs=1e-5)


def test_a_mixture_starts_with_a_column_that_its_first_batch_hides() -> None:
    _, x = rows(100)
    x[:50, 1] = torch.nan
    for covariance in ("full", "diagonal"):
        model = GMM(HOLED, num_components=2, covariance=covariance)
        for part in x.split(50):
            model.observe(Batch(part))
        assert model.log_prob(x).isfinite().all()


@pytest.mark.slow
@pytest.mark.parametrize("kind", [VAE, DDPM, MADE])
def test_a_gaussian_world_is_learned_from_holes(kind: type) -> None:
    world, (_, x) = World((DIMS,), "ar1"), rows(20_000)
    model = make(kind, HOLED)
    if kind is DDPM:
        model.use(Ancestral(50))
    optimiser = torch.optim.Adam(model.parameters(), 2e-3)
    num, generator = 1500, torch.Generator().manual_seed(0)
    for step in range(num):
        batch = Batch(x[torch.randint(len(x), (256,), generator=generator)])
        model.observe(batch) if kind is DDPM else None
        optimiser.param_groups[0]["lr"] = 2e-3 * (1 - step / num)
        optimiser.zero_grad()
        model.loss(batch)["loss"].backward()
        optimiser.step()
    drawn = model.eval().sample(20_000).double()
    assert (drawn.mean(0) - world.mean).abs().max() < 0.06
    assert (torch.cov(drawn.T) - world.covariance).abs().max() < 0.1
