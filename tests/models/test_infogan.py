"""What InfoGAN draws as codes, and its bound on the information that images have about them."""

import math

import pytest
import torch
from torch import Tensor, nn

from genarena.models.gan.infogan import InfoGAN
from genarena.models.gan.latent_codes import LatentCodes
from genarena.spec import Batch, DataSpec

SPEC = DataSpec((1, 8, 8), 2)


def model(**options: object) -> InfoGAN:
    torch.manual_seed(0)
    return InfoGAN(SPEC, hidden=16, **{"categories": [4], "num_continuous": 2, "num_noise": 3} | options)


class Perfect(nn.Module):
    """Reads a code of four values from the pixel that `Drawer` lit: a logit of `certainty` for it, 0 for the others."""

    def __init__(self, certainty: float) -> None:
        super().__init__()
        self.certainty = certainty

    def forward(self, trunk: Tensor) -> Tensor:
        return self.certainty * trunk[:, :4]


class Drawer(nn.Module):
    """Invertible in the code: one of the first four pixels is 1, all others -1."""

    def __init__(self, known: int = 4) -> None:
        super().__init__()
        self.known = known

    def forward(self, inputs: Tensor) -> Tensor:
        codes = inputs[:, :4].clone()
        codes[:, self.known :] = 0.0
        return 20.0 * torch.cat([2.0 * codes - 1.0, -torch.ones(len(codes), 60)], 1).view(-1, 1, 8, 8)


def bound(certainty: float, known: int = 4, num: int = 20_000) -> float:
    gan = model(num_continuous=0)
    gan.generator, gan.recogniser = Drawer(known), Perfect(certainty)
    torch.manual_seed(1)
    z, fake = gan.drawn(num)
    return gan.information(z, 0.5 * (fake.flatten(1) + 1.0)).item()


def test_codes_are_uniform_and_noise_is_normal() -> None:
    codes = LatentCodes([3, 5], 2, 4)
    assert (codes.size, codes.latent_dim, codes.num_outputs) == (10, 14, 12)
    torch.manual_seed(0)
    inputs = codes.inputs(torch.randn(40_000, 14))
    for part in (inputs[:, :3], inputs[:, 3:8]):
        assert torch.equal(part.sum(1), torch.ones(40_000)) and set(part.unique().tolist()) == {0.0, 1.0}
        share = 1.0 / part.shape[1]
        assert (part.mean(0) - share).abs().max() < 4.0 * (share * (1.0 - share) / 40_000) ** 0.5
    uniform = inputs[:, 8:10]
    for level in (-0.9, -0.5, 0.0, 0.3):
        assert ((uniform < level).float().mean(0) - 0.5 * (level + 1.0)).abs().max() < 4.0 * 0.5 / 200.0
    torch.testing.assert_close(inputs[:, 10:].std(0), torch.ones(4), rtol=0.0, atol=0.02)


def test_the_bound_is_the_entropy_if_the_generator_is_invertible_and_never_more() -> None:
    assert bound(100.0) == pytest.approx(math.log(4.0), abs=1e-6)
    values = [bound(certainty) for certainty in (0.0, 1.0, 3.0, 10.0)]
    assert values[0] == pytest.approx(0.0, abs=1e-6)
    assert values == sorted(values) and values[-1] < math.log(4.0)
    assert values[1] == pytest.approx(math.log(4.0) + math.log(math.e / (math.e + 3.0)), abs=1e-5)


def test_a_generator_that_hides_a_code_keeps_the_bound_below_what_is_left() -> None:
    """Two of four values look the same: I(c; x) = log 4 - log(2) / 2. Q is right on two, and ignorant of the others."""
    found = bound(30.0, known=2)
    exact = math.log(4.0) - 0.5 * math.log(2.0)
    assert found < exact + 1e-3
    assert found == pytest.approx(
        math.log(4.0) - 0.5 * math.log(4.0), abs=0.02
    )  # Q's posterior is 1/4, the best is 1/2


def test_log_q_of_continuous_codes_is_a_normal_density() -> None:
    codes = LatentCodes([], 2, 1)
    z, outputs = torch.randn(6, 3), torch.randn(6, 4)
    values = 2.0 * torch.distributions.Normal(0.0, 1.0).cdf(z[:, :2]) - 1.0
    normal = torch.distributions.Normal(outputs[:, :2], (0.5 * outputs[:, 2:]).exp())
    torch.testing.assert_close(codes.log_q(z, outputs), normal.log_prob(values).sum(1), rtol=1e-5, atol=1e-5)
    assert codes.entropy == pytest.approx(2.0 * math.log(2.0))


def test_entries_of_a_sure_recogniser_give_the_codes_back() -> None:
    codes = LatentCodes([3], 2, 2)
    z = torch.randn(50, 7)
    inputs = codes.inputs(z)
    sure = torch.cat([40.0 * inputs[:, :3], inputs[:, 3:5], torch.zeros(50, 2)], 1)
    entries = codes.entries(sure)
    again = codes.inputs(torch.nn.functional.pad(entries, (0, 2)))
    torch.testing.assert_close(again[:, :5], inputs[:, :5].clamp(-0.999, 1.0), rtol=0.0, atol=2e-3)


@torch.no_grad()
def test_codes_alone_are_emitted_with_noise_zero() -> None:
    gan = model().eval()
    z = torch.randn(4, gan.latent_dim)
    z[:, gan.codes.size :] = 0.0
    assert torch.equal(gan.emit(z[:, : gan.codes.size]), gan.emit(z))
    x = torch.randint(2, (4, 1, 8, 8), dtype=torch.uint8)
    code = gan.encode(x)
    assert code.shape == (4, gan.codes.size) and gan.decode(code).shape == x.shape
    torch.testing.assert_close(code[:, :4].sum(1), torch.ones(4))


def test_the_recogniser_learns_with_the_discriminator_and_the_generator_is_told_too() -> None:
    gan = model(information_weight=3.0)
    batch = Batch(torch.randint(2, (6, 1, 8, 8), dtype=torch.uint8))
    judge, maker = gan.players()
    assert {id(p) for p in gan.recogniser.parameters()} <= {id(p) for p in judge.owned}
    assert {id(p) for p in maker.owned} == {id(p) for p in gan.generator.parameters()}
    judge.loss(batch)["loss"].backward()
    assert all(p.grad is None for p in maker.owned) and all(p.grad is not None for p in judge.owned)
    gan.eval()
    torch.manual_seed(2)
    terms = gan.generator_loss(batch)
    torch.manual_seed(2)
    _, fake = gan.drawn(6)
    game = nn.functional.softplus(-gan.discriminator(fake)).mean()
    torch.testing.assert_close(terms["loss"], game - 3.0 * terms["information"])


def test_codes_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match=r"categories=\[1\]: a code has at least 2 values"):
        model(categories=[1])
    with pytest.raises(ValueError, match=r"expected at least one code"):
        model(categories=[], num_continuous=0)
