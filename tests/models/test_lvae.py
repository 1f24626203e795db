"""The ladder: with one layer it is `vae`, its merge and its bound by hand, and what passes between layers."""

import itertools

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from genarena.models.vae.diagonal_normal import GaussianHead
from genarena.models.vae.lvae import LVAE
from genarena.models.vae.vae import VAE
from genarena.spec import Batch, DataSpec

BINARY = DataSpec((1, 8, 8), 2)
SIZES = {"channels": 4, "hidden": 8, "patch": 2}


def images(num: int = 6) -> torch.Tensor:
    return torch.randint(0, 2, (num, 1, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def stirred(model: LVAE, size: float = 0.3) -> LVAE:
    generator = torch.Generator().manual_seed(2)
    for parameter in model.parameters():
        parameter.data.add_(size * torch.randn(parameter.shape, generator=generator))
    return model.eval()


@pytest.mark.parametrize("spec", [BINARY, DataSpec((3,))], ids=["images", "vectors"])
def test_one_layer_is_the_vae_of_the_same_weights(spec: DataSpec) -> None:
    vae = VAE(spec, latent_dim=5, warmup=0.5, **SIZES)
    ladder = LVAE(spec, latent_dims=[5], warmup=0.5, **SIZES)
    ladder.load_state_dict(vae.state_dict())  # also says that no other weight is there
    batch = Batch(images() if spec is BINARY else torch.randn(6, 3))
    for vae.progress in (0.2, 1.0):
        ladder.progress = vae.progress
        found = []
        for model in (vae, ladder):
            torch.manual_seed(1)
            terms = model.loss(batch)
            found.append([terms[name] for name in ("loss", "reconstruction", "kl")])
        torch.testing.assert_close(found[0], found[1])
    torch.manual_seed(1)
    expected = vae.log_weights(batch.x, num_samples=3), vae.encode(batch.x), vae.sample(4)
    torch.manual_seed(1)
    torch.testing.assert_close(
        expected, (ladder.log_weights(batch.x, num_samples=3), ladder.encode(batch.x), ladder.sample(4))
    )


@torch.no_grad()
@pytest.mark.parametrize("max_rows", [12, 1024])
def test_passes_made_at_once_are_those_of_one_after_the_other(max_rows: int) -> None:
    model, x = LVAE(BINARY, latent_dims=[5, 3], **SIZES), images()
    model.max_rows = max_rows
    torch.manual_seed(1)
    at_once = model.log_weights(x, num_samples=3)
    torch.manual_seed(1)
    torch.testing.assert_close(at_once, torch.cat([model.log_weights(x, num_samples=1) for _ in range(3)]))


@torch.no_grad()
def test_the_bound_and_the_merge_by_hand() -> None:
    torch.manual_seed(0)
    model, x = stirred(LVAE(BINARY, latent_dims=[3, 2], width=8, **SIZES)), images()
    torch.manual_seed(5)
    found = model.log_prob(x)
    torch.manual_seed(5)
    low, high = model.bottom_up(x, None)[::-1]
    q_1 = GaussianHead()(high)
    z_1 = q_1.sample()
    prior, seen = GaussianHead()(model.downward[0](z_1)), GaussianHead()(low)
    precision = [1.0 / part.log_var.double().exp() for part in (prior, seen)]
    variance = 1.0 / sum(precision)
    mean = variance * (precision[0] * prior.mean + precision[1] * seen.mean)
    z_2 = (mean + variance.sqrt() * torch.randn(6, 3)).float()
    kl_1 = kl_divergence(Normal(q_1.mean, q_1.log_var.mul(0.5).exp()), Normal(0.0, 1.0)).sum(1)
    kl_2 = kl_divergence(Normal(mean, variance.sqrt()), Normal(prior.mean, prior.log_var.mul(0.5).exp())).sum(1)
    reconstruction = model.head(model.decoder(z_2, None)).log_prob(x).flatten(1).sum(1)
    torch.testing.assert_close(found, reconstruction - kl_1 - kl_2.float(), rtol=1e-4, atol=1e-3)
    assert kl_1.min() > 0.1 and kl_2.min() > 0.1


@torch.no_grad()
def test_the_bound_is_below_the_integral() -> None:
    """Four binary pixels and two layers of one dimension each: p(x) by quadrature over both."""
    torch.manual_seed(0)
    model = stirred(LVAE(DataSpec((1, 2, 2), 2), latent_dims=[1, 1], width=4, channels=4, hidden=4, patch=2), 0.2)
    every = torch.tensor(list(itertools.product((0, 1), repeat=4)), dtype=torch.uint8).view(16, 1, 2, 2)
    grid = torch.linspace(-7.0, 7.0, 281)
    step = 14.0 / 280
    upper = Normal(0.0, 1.0).log_prob(grid).exp() * step
    lower = GaussianHead()(model.downward[0](grid[:, None]))
    wide = torch.linspace(-30.0, 30.0, 12_001)
    density = upper @ Normal(lower.mean, lower.log_var.mul(0.5).exp()).log_prob(wide).exp()  # of z_2
    pixels = model.head(model.decoder(wide[:, None], None))
    exact = [
        (density @ pixels.log_prob(x.expand(12_001, -1, -1, -1)).sum((1, 2, 3)).exp()) * 60.0 / 12_000 for x in every
    ]
    exact = torch.stack(exact)
    assert exact.sum().item() == pytest.approx(1.0, abs=1e-3)
    torch.manual_seed(0)  # weights have heavy tails: of some seeds a few images have no useful error
    weights = model.log_weights(every.repeat(4000, 1, 1, 1), num_samples=1).exp().view(4000, 16)
    error = weights.std(0) / 4000**0.5
    assert (error < 0.2 * exact).all()
    assert ((weights.mean(0) - exact).abs() < 5.0 * error + 1e-4).all()
    draws = model.log_prob(every.repeat(500, 1, 1, 1)).view(500, 16)
    assert (draws.mean(0) < exact.log() + 4.0 * draws.std(0) / 500**0.5).all()


def test_every_layer_is_logged_and_free_bits_are_of_layers() -> None:
    torch.manual_seed(0)
    model = LVAE(BINARY, latent_dims=[4, 3, 2], width=8, free_bits=50.0, warmup=0.0, **SIZES)
    terms = model.loss(Batch(images()))
    kls = [terms[f"kl_{number}"].item() for number in (1, 2, 3)]
    assert terms["kl"].item() == pytest.approx(sum(kls)) and min(kls) > 0.0 and "kl_4" not in terms
    assert (terms["loss"] - terms["reconstruction"]).item() == pytest.approx(150.0, rel=1e-5)
    assert not model.bound_is_loss and "objective" in model.eval().validate(Batch(images()))


@torch.no_grad()
def test_codes_are_all_layers_and_decode_reads_the_lowest() -> None:
    torch.manual_seed(0)
    model, x = stirred(LVAE(BINARY, latent_dims=[3, 2], width=8, **SIZES)), images()
    codes = model.encode(x)
    assert codes.shape == (6, 5) == (6, model.latent_dim)
    assert torch.equal(model.decode(codes), model.head(model.decoder(codes[:, 2:], None)).mode())


@pytest.mark.parametrize("dims", [[], [4, 0]])
def test_refuses_layers_without_dimensions(dims: list[int]) -> None:
    with pytest.raises(ValueError, match=r"latent_dims=\["):
        LVAE(BINARY, latent_dims=dims)
