"""HiFi-GAN: what its discriminators hear, where a frame of the mel lands, and losses with known values."""

import math
from bisect import bisect_left

import pytest
import torch

from genarena.models.gan.hifigan import HiFiGAN, feature_distance
from genarena.models.gan.objectives import least_squares_discriminator, least_squares_generator
from genarena.models.vocoding import in_chunks
from genarena.nets.hifigan import HiFiGANGenerator
from genarena.nets.wave_discriminators import PeriodDiscriminator, ScaleDiscriminator
from genarena.spec import Batch, DataSpec
from genarena.statistics.mel import log_mel

SPEC = DataSpec((1, 2048), 65536, condition="mel", sample_rate=22050)
V3 = {"rates": (8, 8, 4), "kernels": (3, 5, 7), "dilations": ((1, 2), (2, 6), (3, 12)), "paired": False}
TINY = V3 | {"channels": 16, "periods": (2, 3), "period_channels": 2, "num_scales": 2, "scale_channels": 4}


def model() -> HiFiGAN:
    torch.manual_seed(0)
    return HiFiGAN(SPEC, **TINY)


def batch(num: int = 3) -> Batch:
    generator = torch.Generator().manual_seed(1)
    x = (32768 + 3000 * torch.randn(num, 1, 2048, generator=generator)).round().int()
    return Batch(x, log_mel((x[:, 0] - 32768.0) / 32768.0, 22050))


def shaken(net: torch.nn.Module, scale: float = 0.1) -> torch.nn.Module:
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(scale * torch.randn(parameter.shape, generator=generator))
    return net.eval()


def test_losses_have_their_values_by_hand() -> None:
    real, fake = torch.tensor([2.0, 0.5, -1.0]), torch.tensor([-3.0, 0.25])
    assert least_squares_discriminator(real, fake).item() == pytest.approx((1 + 0.25 + 4) / 3 + (9 + 0.0625) / 2)
    assert least_squares_generator(fake).item() == pytest.approx((16 + 0.5625) / 2)
    maps = [torch.tensor([[1.0, 2.0], [4.0, 0.0]]), torch.tensor([[1.0], [-1.0]])]
    assert feature_distance([(real, maps), (real, maps[1:])]).item() == pytest.approx((3 + 2) / 2 + 2 + 2)


def test_half_as_loud_is_log_two_away_in_the_mel_and_the_same_sound_zero() -> None:
    x = (batch().x - 32767.5) / 32767.5  # in [-1, 1], the middle is no level
    assert model().mel_distance(x, 0.5 * x).item() == pytest.approx(math.log(2.0), abs=1e-3)
    assert model().mel_distance(x, x).item() == 0.0


def test_a_frame_reaches_as_far_to_both_sides_of_its_middle() -> None:
    torch.manual_seed(0)
    net = shaken(HiFiGANGenerator(2, 8, (8, 8, 4), (3, 5), ((1, 2), (2, 3)), False)).double()
    mel = torch.randn(1, 2, 15, dtype=torch.float64, requires_grad=True)
    x = net(mel)[0, 0]
    assert x.shape == (14 * 256,)

    def reached(place: int) -> bool:
        return bool(torch.autograd.grad(x[place], mel, retain_graph=True)[0][0, :, 7].any())

    middle = 7 * 256
    first = bisect_left(range(middle), True, key=reached)
    last = middle + bisect_left(range(middle, len(x)), True, key=lambda place: not reached(place)) - 1
    assert 0 < first and last < len(x) - 1, "the test would see no more"
    assert first + last == 2 * middle - 1  # a kernel of even length has no middle sample
    assert (last - first) / 2 <= net.reach < (last - first) / 2 + 2 * 256, "at most two hops too much"


@pytest.mark.parametrize("period", [2, 5])
def test_a_period_discriminator_never_mixes_samples_of_different_phase(period: int) -> None:
    net = shaken(PeriodDiscriminator(period, 2))
    x = torch.randn(1, 1, 2000, requires_grad=True)
    logits, maps = net(x)
    assert len(maps) == 5 and logits.shape[1] % period == 0
    (gradient,) = torch.autograd.grad(logits[0, 2 * period + 1], x)
    phases = gradient[0, 0].nonzero().squeeze(1) % period
    assert set(phases.tolist()) == {1}


def test_a_scale_discriminator_has_the_strides_of_the_paper() -> None:
    logits, maps = ScaleDiscriminator(16, spectral=False)(torch.randn(2, 1, 1024))
    assert [each.shape[1:] for each in maps[:4]] == [(16, 1024), (16, 512), (32, 256), (64, 64)]
    assert logits.shape == (2, 16)


def test_the_generator_has_the_size_of_the_paper() -> None:
    """V1: 13.92 million parameters, V3: 1.46 million (table 1), here without the lengths of weight normalisation."""
    v1 = HiFiGANGenerator(80, 512, (8, 8, 2, 2), (3, 7, 11), ((1, 3, 5),) * 3, True)
    v3 = HiFiGANGenerator(80, 256, V3["rates"], V3["kernels"], V3["dilations"], False)
    sizes = [sum(p.numel() for key, p in net.named_parameters() if not key.endswith("original0")) for net in (v1, v3)]
    assert [round(size / 1e6, 2) for size in sizes] == [13.93, 1.46]


def test_the_generator_gets_a_gradient_through_the_rounding_and_the_other_player_none() -> None:
    gan = model()
    discriminator, generator = gan.players()
    terms = generator.loss(batch())
    total = terms["adversarial"] + 2.0 * terms["features"] + 45.0 * terms["mel"]
    torch.testing.assert_close(terms["loss"], total)
    (gradient,) = torch.autograd.grad(terms["mel"], gan.generator.last.bias)
    assert gradient.abs().item() > 0
    discriminator.loss(batch())["loss"].backward()
    assert all(parameter.grad is None for parameter in gan.generator.parameters())
    assert all(parameter.grad is not None for parameter in gan.discriminator.parameters())


@torch.no_grad()
def test_a_mel_has_one_sound_whatever_is_beside_it() -> None:
    gan = model().eval()
    shaken(gan.generator, 0.5)
    y = batch().y
    x = gan.sample(3, y)
    assert x.dtype == torch.int32 and x.shape == (3, 1, 2048) and x.unique().numel() > 100
    assert torch.equal(gan.sample(1, y[1:2]), x[1:2])
    with pytest.raises(ValueError, match="y is needed"):
        gan.sample(2)


@torch.no_grad()
def test_a_long_clip_in_chunks_is_the_whole_clip() -> None:
    gan = model().eval()
    shaken(gan.generator, 1.0)
    mel = torch.randn(2, 80, 40) - 5.0
    noise = torch.zeros(2, 0, 39 * 256)
    whole, chunked = in_chunks(gan, mel, noise, 39), in_chunks(gan, mel, noise, 5)
    assert whole.shape == (2, 1, 39 * 256) and whole.unique().numel() > 1000
    assert (whole - chunked).abs().max() <= 1, "levels, of 65,536: sums in another order"


def refused(spec: DataSpec, **options: object) -> str:
    with pytest.raises(ValueError) as error:
        HiFiGAN(spec, **TINY | options)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_what_it_cannot_do_is_refused_in_one_line() -> None:
    assert "data.condition=mel" in refused(DataSpec((1, 2048), 65536, sample_rate=22050))
    assert "sample_rate" in refused(DataSpec((1, 2048), 65536, condition="mel"))
    assert "512 samples" in refused(DataSpec((1, 512), 65536, condition="mel", sample_rate=22050))
    assert "rates=[8, 8]" in refused(SPEC, rates=(8, 8))
    assert "kernels=[3, 4, 7]" in refused(SPEC, kernels=(3, 4, 7))
    assert "(1, 8, 8)" in refused(DataSpec((1, 8, 8), 256))
