"""Distributions over levels: masses sum to one, samples have the frequencies that the masses say."""

import math

import pytest
import torch
import torch.nn.functional as F

from genarena.distributions import PixelHead, bernoulli, discretised_logistic_log_prob
from genarena.likelihood import to_unit
from genarena.spec import DataSpec

CASES = [
    ("bernoulli", 2),
    ("categorical", 2),
    ("categorical", 17),
    ("logistic", 2),
    ("logistic", 17),
    ("logistic", 256),
    ("logistic_mixture", 17),
    ("logistic_mixture", 256),
]


@pytest.mark.parametrize(("kind", "levels"), CASES)
@pytest.mark.parametrize("scale", [1.0, 5.0])
def test_masses_sum_to_one(kind: str, levels: int, scale: float) -> None:
    head = PixelHead(kind, DataSpec((2, 1, 1), levels))
    torch.manual_seed(0)
    outputs = scale * torch.randn(1, head.out_channels, 1, 1)
    x = torch.arange(levels).view(-1, 1, 1, 1).expand(-1, 2, -1, -1)
    masses = head(outputs.expand(levels, -1, -1, -1)).log_prob(x).exp().sum(0)
    torch.testing.assert_close(masses, torch.ones_like(masses))


@pytest.mark.parametrize(("kind", "levels"), CASES)
def test_samples_follow_the_masses(kind: str, levels: int) -> None:
    head = PixelHead(kind, DataSpec((1, 1, 1), levels), num_mixtures=3)
    torch.manual_seed(1)
    outputs = torch.randn(1, head.out_channels, 1, 1)
    num = 200_000
    drawn = torch.bincount(head(outputs.expand(num, -1, -1, -1)).sample().flatten().long(), minlength=levels) / num
    masses = head(outputs.expand(levels, -1, -1, -1)).log_prob(torch.arange(levels).view(-1, 1, 1, 1)).exp().flatten()
    deviation = (masses * (1 - masses) / num).sqrt()
    assert ((drawn - masses).abs() < 5 * deviation + 1e-6).all()


def test_discretised_logistic_is_a_difference_of_sigmoids() -> None:
    x, mean, log_scale = (
        to_unit(torch.arange(1, 255), 256).double(),
        torch.tensor(0.1).double(),
        torch.tensor(-2.0).double(),
    )
    direct = torch.sigmoid((x + 1 / 255 - mean) / log_scale.exp()) - torch.sigmoid(
        (x - 1 / 255 - mean) / log_scale.exp()
    )
    torch.testing.assert_close(discretised_logistic_log_prob(x, mean, log_scale, 256).exp(), direct)


def test_gradients_are_finite_far_in_the_tails() -> None:
    head = PixelHead("logistic", DataSpec((1, 1, 1), 256))
    outputs = torch.tensor([[-1.0, -30.0], [1.0, -30.0], [50.0, 3.0]]).view(3, 2, 1, 1).requires_grad_()
    head(outputs).log_prob(torch.tensor([255, 0, 0]).view(3, 1, 1, 1)).sum().backward()
    assert torch.isfinite(outputs.grad).all()


def test_categorical_log_prob_is_log_softmax() -> None:
    head = PixelHead("categorical", DataSpec((3, 4, 5), 7))
    outputs = torch.randn(2, head.out_channels, 4, 5).to(memory_format=torch.channels_last)
    x = torch.randint(7, (2, 3, 4, 5))
    expected = F.log_softmax(outputs.view(2, 7, 3, 4, 5), 1).gather(1, x[:, None]).squeeze(1)
    torch.testing.assert_close(head(outputs).log_prob(x), expected)


def test_impossible_pixels_are_refused() -> None:
    with pytest.raises(ValueError, match="expected one of auto, bernoulli"):
        PixelHead("gauss", DataSpec((1, 2, 2), 2))
    with pytest.raises(ValueError, match="num_levels=2"):
        PixelHead("bernoulli", DataSpec((1, 2, 2), 3))


@pytest.mark.parametrize(("kind", "levels"), CASES)
def test_probs_are_the_masses_of_all_levels(kind: str, levels: int) -> None:
    head = PixelHead(kind, DataSpec((2, 3, 1), levels))
    torch.manual_seed(2)
    distribution = head(3.0 * torch.randn(4, head.out_channels, 3, 1))
    probs = distribution.probs()
    assert probs.shape == (4, levels, 2, 3, 1)
    assert probs.dtype == torch.float64
    torch.testing.assert_close(probs.sum(1), torch.ones(4, 2, 3, 1, dtype=torch.float64), rtol=0, atol=1e-12)
    masses = torch.stack([distribution.log_prob(torch.full((4, 2, 3, 1), level)).exp() for level in range(levels)], 1)
    torch.testing.assert_close(probs.float(), masses, rtol=2e-4, atol=1e-7)


@pytest.mark.parametrize(("kind", "levels"), CASES)
@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_one_parameter_that_is_not_finite_marks_its_dimension(kind: str, levels: int, broken: float) -> None:
    head = PixelHead(kind, DataSpec((1, 2, 1), levels), num_mixtures=3)
    torch.manual_seed(3)
    sound = torch.randn(2, head.out_channels, 2, 1)
    scales = {"logistic": 1, "logistic_mixture": 3}.get(kind, 0) if broken == math.inf else 0  # they come last
    for parameter in range(head.out_channels - scales):  # the head clamps scales: an infinite one is only a wide one
        outputs = sound.clone()
        outputs[1, parameter, 0] = broken
        distribution = head(outputs)
        for found in (distribution.sample(), distribution.mode()):
            assert found.isnan().flatten().tolist() == [False, False, True, False]
    assert head(sound).sample().dtype == head(sound).mode().dtype == torch.uint8


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_ones_and_zeros_are_those_of_torch(dtype: torch.dtype) -> None:
    p = torch.rand(5, 3, 7, 11, dtype=dtype)
    p[0, 0, 0, :2] = torch.tensor([0.0, 1.0])
    for laid in (p, p.contiguous(memory_format=torch.channels_last), p[:1].expand(4, -1, -1, -1), p.transpose(0, 1)):
        ours, theirs = (torch.Generator().manual_seed(3) for _ in range(2))
        assert torch.equal(bernoulli(laid, ours), torch.bernoulli(laid, generator=theirs))
        assert torch.equal(ours.get_state(), theirs.get_state())


def test_no_level_is_drawn_where_a_parameter_is_not_finite() -> None:
    p = torch.tensor([math.nan, 1.0, 0.0])
    assert bernoulli(p).tolist()[1:] == [1.0, 0.0] and bernoulli(p)[0].isnan()
    logits = torch.tensor([math.nan, math.inf, -math.inf, 200.0]).view(1, 1, 2, 2)
    assert PixelHead("bernoulli", DataSpec((1, 2, 2), 2))(logits).draw().flatten().isnan().tolist() == [True] * 3 + [
        False
    ]


def test_ones_of_half_precision_have_their_probability() -> None:
    torch.manual_seed(0)
    p = torch.full((400_000,), 0.001, dtype=torch.bfloat16)
    drawn, wanted = bernoulli(p), p[0].item() * len(p)
    assert drawn.dtype == torch.bfloat16 and abs(drawn.float().sum().item() - wanted) < 5.0 * wanted**0.5
