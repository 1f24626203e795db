"""WaveNet: masses that sum to one, causality, the cache against whole passes, and a process whose density is known."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from genarena.distributions import DiscretisedLogisticMixture
from genarena.likelihood import from_space, to_unit
from genarena.models.autoregressive.wavenet import WaveNet, quantile
from genarena.models.baseline.gaussian_mel import GaussianMel
from genarena.models.sampler import Temperature
from genarena.models.vocoding import in_chunks
from genarena.spec import Batch, DataSpec
from genarena.statistics import autoregression

SOUND = DataSpec((1, 512), 65536, sample_rate=22050)
GIVEN = DataSpec((1, 512), 65536, condition="mel", sample_rate=22050)
FEW = DataSpec((1, 3), 4)
SMALL = {
    "hidden_channels": 6,
    "skip_channels": 8,
    "num_layers": 5,
    "dilation_cycle": 3,
    "context_channels": 4,
    "num_mixtures": 3,
    "linear_order": 4,
}


def random_model(spec: DataSpec, **options: object) -> WaveNet:
    """With random weights everywhere: the last layer starts at zero."""
    torch.manual_seed(0)
    model = WaveNet(spec, **SMALL | options).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model


def mel(num: int) -> Tensor:
    return 2.0 * torch.randn(num, 80, 3, generator=torch.Generator().manual_seed(1)) - 5.5


@torch.no_grad()
def test_masses_of_all_sounds_sum_to_one_and_samples_follow_them() -> None:
    model = random_model(FEW)
    sounds = torch.tensor(list(itertools.product(range(4), repeat=3)), dtype=torch.uint8)[:, None]
    mass = model.log_prob(sounds).double().exp()
    assert mass.sum().item() == pytest.approx(1.0, abs=1e-5)
    drawn = model.sample(10_000).flatten(1).long() @ torch.tensor([16, 4, 1])
    shares = drawn.bincount(minlength=64).double() / 10_000
    assert (shares - mass).abs().sum() < 2.0 * (mass * 2 / (math.pi * 10_000)).sqrt().sum(), "twice what chance gives"
    assert mass.max() > 2.0 * mass.min()


@torch.no_grad()
@pytest.mark.parametrize("whitening", [0, 8])
def test_masses_of_all_levels_of_a_sample_sum_to_one(whitening: int) -> None:
    model = random_model(GIVEN, whitening=whitening)
    x = torch.randint(30_000, 35_000, (1, 1, 512), dtype=torch.int32)
    levels = torch.arange(65_536, dtype=torch.int32).view(-1, 1, 1, 1)
    for place in (0, 400):
        parameters = model.parameters_of(to_unit(x, 65_536), mel(1))[..., place : place + 1]
        mass = model.distribution(parameters).log_prob(levels).double().exp()
        assert mass.sum().item() == pytest.approx(1.0, abs=1e-4)
        narrow = DiscretisedLogisticMixture(parameters[:, 0, :, None, None], *[torch.zeros(1, 3, 1, 1, 1)] * 2, 65_536)
        narrow.log_scale = narrow.log_scale - 12.0  # below half a level
        assert narrow.log_prob(levels).double().exp().sum().item() == pytest.approx(1.0, abs=1e-4)


def test_a_sample_depends_on_all_within_reach_before_it_and_on_nothing_else() -> None:
    model = random_model(SOUND).double()
    x = (0.1 * torch.randn(1, 1, 512, dtype=torch.float64)).requires_grad_()
    (gradient,) = torch.autograd.grad(model.parameters_of(x)[0, :, :, 100].sum(), x)
    reach = 1 + (1 + 2 + 4) + (1 + 2)
    assert gradient[0, 0].nonzero().squeeze(1).tolist() == list(range(100 - reach, 100))
    assert model.stack.reach == (reach - 1, 0)


@torch.no_grad()
def test_a_frame_is_heard_where_it_lies_and_then_as_long_as_the_network_remembers() -> None:
    model, reach = random_model(DataSpec((1, 3072), 65536, condition="mel", sample_rate=22050)), 10
    y = torch.randn(1, 80, 13) - 5.5
    other, x = y.clone(), torch.zeros(1, 1, 3072)
    other[:, :, 6] += 3.0
    changed = (model.parameters_of(x, y) != model.parameters_of(x, other)).any(1).any(1)[0].nonzero().squeeze(1)
    assert 6 * 256 - 512 <= changed.min() < 6 * 256 - 500
    assert 6 * 256 + 511 < changed.max() <= 6 * 256 + 511 + reach


@torch.no_grad()
@pytest.mark.parametrize(("spec", "order", "whitening"), [(SOUND, 4, 8), (GIVEN, 4, 0), (GIVEN, 0, 0), (GIVEN, 4, 8)])
def test_the_cache_gives_what_a_whole_pass_gives(spec: DataSpec, order: int, whitening: int) -> None:
    model = random_model(spec, linear_order=order, whitening=whitening, kernel_size=3 if order else 2)
    y, seen = mel(2) if spec.condition else None, []
    x = torch.randint(30_000, 35_000, (2, 1, 512), dtype=torch.int32)

    def choose(distribution: DiscretisedLogisticMixture, *, channel: int, row: int, column: int) -> Tensor:
        seen.append(torch.stack([distribution.logits, distribution.mean, distribution.log_scale], 1))
        return x[:, channel, column].float()

    assert torch.equal(model.unroll(2, choose, y).int(), x)
    whole = model.parameters_of(to_unit(x, 65_536), y)
    torch.testing.assert_close(torch.cat(seen, -1)[:, :, :, 0, 0], whole, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_samples_are_those_of_whole_passes() -> None:
    """Drawn with the same random numbers, one full pass for each sample."""
    spec = DataSpec((1, 256), 65536, condition="mel", sample_rate=22050)
    model, y = random_model(spec), mel(2)[:, :, :2]
    torch.manual_seed(3)
    x = model.sample(2, y)
    torch.manual_seed(3)
    slow = torch.zeros(2, 1, 256)
    for place in range(256):
        parameters = model.parameters_of(to_unit(slow, 65_536), y)[..., place : place + 1]
        slow[:, 0, place] = model.distribution(parameters).draw().flatten()
    assert x.dtype == torch.int32 and x.unique().numel() > 200
    assert (slow - x).abs().max() <= 2.0, "levels, of 65,536: sums in another order"


@torch.no_grad()
def test_before_training_it_predicts_a_linear_process_nearly_as_well_as_the_truth() -> None:
    """An autoregression of order 2: no model has fewer bits than its density, and least squares find the predictor."""
    torch.manual_seed(0)
    lags = autoregression.autocorrelation_of(torch.tensor([1.6, -0.8], dtype=torch.float64), 0.01, 3)
    u = autoregression.sample(torch.randn(32, 512), lags)
    x = from_space(u[:, None], SOUND)
    model = WaveNet(SOUND, num_mixtures=4, linear_order=2).train()
    model.observe(Batch(x[:16]))
    torch.testing.assert_close(model.linear, torch.tensor([1.6, -0.8]), atol=0.02, rtol=0)
    before = model.linear.clone()
    model.observe(Batch(x[16:]))
    assert torch.equal(model.linear, before), "the first batch only"
    exact = -(autoregression.log_prob(u[16:], lags) + 512 * math.log(2.0 / 65535)).mean() / (512 * math.log(2.0))
    bits = -model.eval().log_prob(x[16:]).mean().item() / (512 * math.log(2.0))
    assert exact.item() < bits < exact.item() + 0.1


@torch.no_grad()
def test_a_new_model_that_whitens_is_nearly_the_gaussian_of_the_mel() -> None:
    gaussian, y = GaussianMel(GIVEN, order=16), mel(16)
    torch.manual_seed(0)
    model, x = WaveNet(GIVEN, **SMALL | {"num_mixtures": 4}, whitening=16), gaussian.sample(16, y)
    exact, found = (-each.eval().log_prob(x, y).mean().item() / (512 * math.log(2.0)) for each in (gaussian, model))
    assert exact - 0.01 < found < exact + 0.1
    assert "linear" not in model.state_dict()


def test_with_whitening_a_sample_still_depends_on_none_after_it() -> None:
    model = random_model(GIVEN, whitening=8)
    x = (0.1 * torch.randn(1, 1, 512)).requires_grad_()
    (gradient,) = torch.autograd.grad(model.parameters_of(x, mel(1))[0, :, :, 100].sum(), x)
    felt = (gradient[0, 0].abs() > 1e-6 * gradient.abs().max()).nonzero().squeeze(1)  # a Fourier transform rounds
    assert felt.min() >= 100 - 1 - 10 - 8 and felt.max() == 99, "the network, and 8 before it"
    assert len(felt) > 10, "more than the network of samples alone"
    with pytest.raises(ValueError, match=r"whitening=8, condition_dropout=0.1: expected 0 for one of the two"):
        random_model(GIVEN, whitening=8, condition_dropout=0.1)


@torch.no_grad()
def test_a_clip_of_any_length_is_chosen_by_noise_as_the_model_draws_it() -> None:
    """Two normal numbers choose a level: of many, the shares of levels are the masses; a long clip is made in one piece."""
    few = random_model(FEW)
    noise = torch.randn(20_000, 2, generator=torch.Generator().manual_seed(0)).double()
    parameters = few.parameters_of(torch.zeros(1, 1, 3))[..., 1:2].expand(20_000, -1, -1, -1)
    drawn = quantile(few.distribution(parameters), *torch.special.ndtr(noise).unbind(1))
    mass = few.distribution(parameters[:1]).probs()[0, :, 0, 0, 0]
    shares = drawn.long().bincount(minlength=4).double() / 20_000
    assert ((shares - mass).abs() < 4.0 * (mass * (1.0 - mass) / 20_000).sqrt()).all()
    model, y = (
        random_model(GIVEN),
        mel(1)[:, :, [0, 1, 2, 1, 0, 2]],
    )  # longer than a segment, and than a block of the cache
    noise = torch.randn(1, 2, 1280)
    x = in_chunks(model, y, noise, frames=2)
    assert x.shape == (1, 1, 1280) and torch.equal(x, in_chunks(model, y, noise, frames=5))
    uniform = torch.special.ndtr(noise[0, :, 1100:1101].double())  # behind the first block: as a whole pass gives it
    spec = DataSpec((1, 1280), 65536, condition="mel", sample_rate=22050)
    longer = random_model(spec)
    parameters = longer.parameters_of(to_unit(x, 65_536), y)[..., 1100:1101]
    assert (quantile(longer.distribution(parameters), *uniform) - x[0, 0, 1100]).abs() <= 1.0


@torch.no_grad()
def test_a_cold_sampler_draws_the_likeliest_level() -> None:
    model = random_model(DataSpec((1, 16), 65536, sample_rate=22050))
    model.use(Temperature(temperature=0.0))
    torch.manual_seed(0)
    x = model.sample(1)
    torch.manual_seed(1)
    assert torch.equal(model.sample(1), x)


def test_silence_and_other_data_are_no_trouble() -> None:
    model = WaveNet(SOUND, **SMALL).train()
    silence = Batch(torch.full((2, 1, 512), 32768, dtype=torch.int32))
    model.observe(silence)
    assert torch.isfinite(model.loss(silence)["loss"])
    with pytest.raises(ValueError, match=r"WaveNet models sound of one channel.*\(2, 8\)"):
        WaveNet(DataSpec((2, 8), 512))
