"""An autoregressive prior on the codes of a VQ-VAE, against all images and codes enumerated."""

import itertools
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from genarena.errors import UserError
from genarena.likelihood import Likelihood
from genarena.models.autoregressive.image_gpt import ImageGPT
from genarena.models.baseline.uniform import Uniform
from genarena.models.first_stage import FirstStage
from genarena.models.vae.latent_ar import LatentAR
from genarena.models.vae.vae import VAE
from genarena.models.vae.vqvae import VQVAE
from genarena.spec import Batch, DataSpec

SPEC = DataSpec((1, 2, 4), 2)
IMAGES = torch.tensor(list(itertools.product((0, 1), repeat=8)), dtype=torch.uint8).view(256, *SPEC.shape)
CODES = torch.tensor(list(itertools.product(range(3), repeat=2))).view(9, 1, 2)  # two places, three codes


def transformer(spec: DataSpec) -> ImageGPT:
    return ImageGPT(spec, block=1, hidden_channels=8, num_blocks=1, num_heads=2)


def first_stage() -> VQVAE:
    torch.manual_seed(1)
    model = VQVAE(SPEC, num_codes=3, dim=2, hidden_channels=4, num_blocks=1).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2.0)
        model.codebook.start(model.encode(IMAGES).movedim(1, -1).flatten(0, -2))
    return model


def pair(prior: object = transformer) -> LatentAR:
    model = LatentAR(SPEC, prior, FirstStage(first_stage(), "vqvae")).eval()
    with torch.no_grad():
        for parameter in model.prior.parameters():
            parameter.mul_(3.0)
    return model


def joint(model: LatentAR) -> Tensor:
    """log p(x|e) + log p(e), (256, 9)."""
    prior = model.prior.log_prob(CODES[:, None].to(model.prior.spec.dtype))
    columns = [model.first_stage.model.likelihood_of_codes(code.expand(256, 1, 2)).log_prob(IMAGES) for code in CODES]
    return torch.stack([column.flatten(1).sum(1) for column in columns], 1) + prior


@torch.no_grad()
def test_bound_is_below_the_sum_over_codes_and_the_gap_is_the_posterior_of_the_codes() -> None:
    model = pair()
    assert model.likelihood is Likelihood.LOWER_BOUND
    assert model.prior.spec.shape == (1, 1, 2) and model.prior.spec.num_levels == 3
    table = joint(model)
    exact = table.logsumexp(1)
    assert exact.exp().sum().item() == pytest.approx(1.0, abs=1e-5)
    index = (model.codes(IMAGES).flatten(1).long() * torch.tensor([3, 1])).sum(1)
    assert index.unique().numel() > 1
    bound = model.log_prob(IMAGES)
    posterior = (table - exact[:, None]).gather(1, index[:, None]).squeeze(1)  # log p(e(x)|x)
    torch.testing.assert_close(bound - exact, posterior, atol=1e-5, rtol=1e-5)
    assert (posterior < -1e-3).all()


@torch.no_grad()
def test_samples_follow_the_sum_over_codes() -> None:
    model = pair()
    torch.manual_seed(3)
    place = 2 ** torch.arange(7, -1, -1)
    counts = torch.bincount((model.sample(40_000).flatten(1) * place).sum(1), minlength=256)
    exact = joint(model).logsumexp(1).exp()
    statistic = ((counts - 40_000 * exact).square() / (40_000 * exact)).sum()  # chi-squared, 255 degrees of freedom
    assert abs(statistic - 255) < 5.0 * (2 * 255) ** 0.5


@torch.no_grad()
def test_a_uniform_prior_gives_the_bound_of_the_first_stage() -> None:
    model = pair(Uniform)
    torch.testing.assert_close(model.log_prob(IMAGES), model.first_stage.model.log_prob(IMAGES))


def test_the_loss_is_that_of_the_prior_on_the_codes() -> None:
    model = pair()
    codes = model.first_stage.model.codes(IMAGES)[:, None].to(torch.uint8)
    terms, expected = model.loss(Batch(IMAGES)), model.prior.loss(Batch(codes))
    assert torch.equal(terms["loss"], expected["loss"])
    assert not any(parameter.requires_grad for parameter in model.first_stage.parameters())


def test_refuses_what_has_no_discrete_codes() -> None:
    first = FirstStage(VAE(SPEC, latent_dim=2, hidden=4, channels=4), "vae")
    with pytest.raises(ValueError, match=r"model\.first_stage: vae cannot be one here, .* a model that Quantises"):
        LatentAR(SPEC, transformer, first)
    with pytest.raises(ValueError, match=r"model\.first_stage: vqvae models shape \(1, 2, 4\)"):
        LatentAR(DataSpec((1, 4, 4), 2), transformer, FirstStage(first_stage(), "vqvae"))


@torch.no_grad()
def test_the_parts_of_the_bound_and_what_codes_say_by_counting() -> None:
    model = pair()
    parts = model.parts(IMAGES)
    torch.testing.assert_close(-parts.distortion - parts.rate.sum(1), model.log_prob(IMAGES))
    codes = model.codes(IMAGES)
    torch.testing.assert_close(parts.rate.flatten(), -model.prior.log_prob(codes))
    kinds = [tuple(code.flatten().tolist()) for code in codes]
    shares = torch.tensor([kinds.count(kind) / 256 for kind in kinds])
    torch.testing.assert_close(model.information(IMAGES), -shares.log())
    assert parts.shift.shape == (256, 0)


def test_refuses_to_learn_a_prior_of_a_codebook_that_has_collapsed() -> None:
    model = pair()
    data = SimpleNamespace(train=_Examples())
    assert model.training_data(data, torch.device("cpu")) is data
    model.first_stage.model.num_codes = 61  # three of them are used, 4.9%
    with pytest.raises(UserError, match=r"vqvae uses 4.9% of its 61 codes on 256 training examples"):
        model.training_data(data, torch.device("cpu"))


class _Examples:
    def __getitem__(self, rows: slice) -> Batch:
        return Batch(IMAGES[rows])
