"""gaussian_mel: a normalised density that its samples follow, the bound of its dequantisation, and its bits on real speech."""

import math

import pytest
import torch

from genarena.build import build
from genarena.config import compose
from genarena.errors import UserError
from genarena.models.baseline import gaussian_mel
from genarena.models.baseline.gaussian_mel import GaussianMel
from genarena.spec import DataSpec
from genarena.statistics import mel, mel_prediction
from tests.conftest import SHARED_DATA

SPEC = DataSpec((1, 1024), 65_536, condition="mel", sample_rate=16_000)


def white(num: int, deviation: float) -> torch.Tensor:
    """(num, 80, 5) the expected mel of white noise whose deviation is in levels."""
    energy = mel.window(torch.zeros((), dtype=torch.float64)).square().sum().item()
    magnitude = math.sqrt(math.pi / 4.0 * energy) * deviation / 32_768
    bands = (magnitude * mel.filterbank(16_000).sum(1)).log().float()
    return bands[None, :, None].expand(num, -1, 5)


def changing(num: int) -> torch.Tensor:
    """(num, 80, 5) mels with resonances that move."""
    places = torch.arange(80.0)[:, None]
    middles = torch.linspace(15.0, 50.0, 5)
    return (-5.0 + 3.0 * torch.exp(-(((places - middles) / 8.0) ** 2)))[None].expand(num, -1, -1)


@torch.no_grad()
def test_white_noise_has_the_density_of_independent_normals() -> None:
    model, x = GaussianMel(SPEC, order=8), torch.full((1, 1, 1024), 32_768 + 70, dtype=torch.int32)
    variance = 100.0**2 + mel_prediction.WHITE * 32_768**2
    wanted = -0.5 * ((70.0**2 + 1 / 12) / variance + math.log(2.0 * math.pi * variance))
    assert model.log_prob(x, white(1, 100.0)).item() / 1024 == pytest.approx(wanted, abs=2e-3)


@torch.no_grad()
def test_samples_follow_the_density() -> None:
    """-log p of a sample is 1/2 (sum_t log(2 pi v_t) + chi^2_T), if the density is normalised and the samples are its."""
    model, num = GaussianMel(SPEC, order=16), 64
    y = changing(num)
    torch.manual_seed(0)
    nats = -model.log_prob(model.sample(num, y), y).double()
    found = model._predictors(y[:1], 1)
    v = 32_768**2 * found.every_variance[0]
    squares = mel_prediction.errors(torch.zeros(1, 1024), found)[1][0]
    entropy = 0.5 * ((2.0 * math.pi * math.e * v).log() + gaussian_mel.NOISE * (1.0 + squares) / v).sum()
    assert nats.mean().item() == pytest.approx(entropy.item(), abs=3.5 * math.sqrt(0.5 * 1024 / num))
    assert nats.std().item() == pytest.approx(math.sqrt(0.5 * 1024), rel=0.3)


def test_the_bound_is_the_mean_over_the_noise_of_dequantisation(monkeypatch: pytest.MonkeyPatch) -> None:
    model, y = GaussianMel(SPEC, order=16), changing(1) - 6.0
    generator = torch.Generator().manual_seed(0)
    x = 32_768 + 20.0 * torch.randn(1, 1, 1024, generator=generator, dtype=torch.float64).round()
    bound = model.log_prob(x, y).item()
    monkeypatch.setattr(gaussian_mel, "NOISE", 0.0)
    noise = torch.rand(400, 1, 1024, generator=generator, dtype=torch.float64) - 0.5
    draws = model.log_prob(x + noise, y.expand(400, -1, -1))
    assert bound == pytest.approx(draws.mean().item(), abs=3.0 * draws.std().item() / 20.0)
    assert abs(bound - model.log_prob(x, y).item()) > 0.1, "the noise is seen"


@torch.no_grad()
def test_a_frame_matters_for_the_samples_around_it_alone() -> None:
    model, x = GaussianMel(SPEC, order=8), torch.zeros(1, 1, 1024, dtype=torch.int32) + 32_768
    y = white(1, 100.0).clone()
    quiet = y.clone()
    quiet[:, :, 4] -= 1.0  # about sample 1,024
    torch.manual_seed(0)
    loud = model.sample(1, y)
    torch.manual_seed(0)
    other = model.sample(1, quiet)
    assert torch.equal(loud[..., :768], other[..., :768]) and not torch.equal(loud[..., 768:], other[..., 768:])
    assert model.log_prob(x, quiet) > model.log_prob(x, y), "silence is likelier where the mel is quieter"


def test_there_is_none_without_a_mel() -> None:
    with pytest.raises(UserError, match="GaussianMel is a model of p.x . y. alone: say data.condition=mel"):
        build(compose(["model=gaussian_mel", "data=toy_audio"]).model, "model")
    model = GaussianMel(SPEC)
    for y in (None, SPEC.condition.nulls(2)):
        with pytest.raises(ValueError, match="y is needed"):
            model.sample(2, y)
    with pytest.raises(ValueError, match="order=300: expected 1 to 256"):
        GaussianMel(SPEC, order=300)


@pytest.mark.skipif(not (SHARED_DATA / "LJSpeech-1.1").is_dir(), reason="needs clips of LJ Speech (GENARENA_TEST_DATA)")
@torch.no_grad()
def test_its_bits_on_real_speech() -> None:
    """9.21 bits with order 16 is what the specification's own linear prediction from the mel has on the first six clips."""
    options = [f"data.root={SHARED_DATA}", "data.condition=mel"]
    cfg = compose(["model=gaussian_mel", "data=ljspeech", "model.order=16", *options])
    data, model = build(cfg.data, "data"), build(cfg.model, "model").eval()
    data.setup()
    few = data.clips.segments(torch.arange(2), 8192, 8192)
    bits = -model.log_prob(few.x[:], few.mels[:]).mean() / (8192 * math.log(2.0))
    assert 8.9 < bits.item() < 9.4
