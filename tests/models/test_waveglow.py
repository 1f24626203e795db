"""WaveGlow: a bijection with the right determinant, conditions that reach what they may, and a bound on a known density."""

import math

import pytest
import torch
from torch import Tensor, nn

from genarena.likelihood import bits_per_dim, log_mean_exp
from genarena.models.baseline import gaussian_mel
from genarena.models.baseline.gaussian_mel import GaussianMel
from genarena.models.flow.convolutions import InvertibleConv
from genarena.models.flow.sound import EarlyOutputs, Loudness
from genarena.models.flow.sound_flow import SoundFlow, Synthesis, denoised
from genarena.models.flow.waveglow import WaveGlow
from genarena.models.sampler import Temperature
from genarena.spec import Batch, DataSpec

RATE = 22_050
NETS = {"num_layers": 2, "hidden_channels": 8, "skip_channels": 8, "context_channels": 6}


def sound(num_samples: int, condition: str | None = None) -> DataSpec:
    return DataSpec((1, num_samples), 65_536, condition=condition, sample_rate=RATE)


def waveglow(num_samples: int, condition: str | None = None, scale: float = 0.1, **options: int) -> WaveGlow:
    torch.manual_seed(0)
    return started(WaveGlow(sound(num_samples, condition), **(NETS | options)), scale)


def started(model: SoundFlow, scale: float) -> SoundFlow:
    """A model after its start from data, and away from it."""
    num_samples = model.spec.shape[1]
    with torch.no_grad():
        model.loss(Batch(noise(4, num_samples), mels(4, num_samples) if model.spec.condition else None))
        for parameter in model.parameters():
            parameter.add_(scale * torch.randn_like(parameter))
    return model.eval()


def log_det_by_autograd(model: SoundFlow, u: Tensor) -> Tensor:
    """(N,) of u (N, 1, T)."""
    rows = [torch.autograd.functional.jacobian(lambda v: model.flow(v[None])[0][0], row).flatten(1) for row in u]
    return torch.linalg.slogdet(torch.stack(rows))[1]


def noise(num: int, num_samples: int, seed: int = 0) -> Tensor:
    """Levels of quiet white noise."""
    generator = torch.Generator().manual_seed(seed)
    return (32_768 + 2_000 * torch.randn(num, 1, num_samples, generator=generator)).round().to(torch.int32)


def mels(num: int, num_samples: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return -5.5 + 2.0 * torch.randn(num, 80, num_samples // 256 + 1, generator=generator)


@pytest.mark.parametrize(("group", "early_every"), [(4, 2), (8, 1)])
def test_log_det_against_autograd(group: int, early_every: int) -> None:
    model = waveglow(32, group=group, num_steps=3, early_every=early_every).double()
    u = torch.rand(2, 1, 32, dtype=torch.float64)
    torch.testing.assert_close(model.flow(u)[1], log_det_by_autograd(model, u), atol=1e-4, rtol=0.0)


def test_log_det_with_whitening_against_autograd() -> None:
    model = waveglow(256, "mel", num_steps=2, whitening=100).double()
    u = 0.5 + 0.1 * torch.rand(1, 1, 256, dtype=torch.float64)
    context = model.context(mels(1, 256), 1).double()
    jacobian = torch.autograd.functional.jacobian(lambda v: model.flow(v[None], context)[0][0], u[0]).flatten(1)
    found = model.flow(u, context)[1][0]
    torch.testing.assert_close(found, torch.linalg.slogdet(jacobian)[1], atol=1e-4, rtol=0.0)


@torch.no_grad()
@pytest.mark.parametrize("whitening", [0, 192])
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 1e-4), (torch.float64, 1e-10)])
def test_the_inverse_over_twelve_steps(dtype: torch.dtype, bound: float, whitening: int) -> None:
    model = waveglow(2048, "mel", scale=0.03, num_steps=12, whitening=whitening).to(dtype)
    x, y = (
        noise(2, 2048),
        (mels(2, 2048) - 5.5) / 2.0,
    )  # bands are a factor of e apart, as frames are: more than in speech
    u, context = (x.to(dtype) + 0.5) / 65_536, model.context(y, 2).to(dtype)
    z, _ = model.flow(u, context)
    assert (model.flow.inverse(z, context) - u).abs().max() <= bound


@torch.no_grad()
def test_a_new_model_is_a_rotation() -> None:
    """Last layers are zero and W is orthonormal: white noise of variance 1 has log-det 0 and log(2 pi e) / 2 nats a sample."""
    torch.manual_seed(0)
    model = WaveGlow(sound(8192, "mel")).eval()
    inner = model.flow.bijections[1]
    x = torch.randn(4, 1, 8192)
    z, log_det = inner(x, model.context(mels(4, 8192), 4))
    torch.testing.assert_close(z.square().sum((1, 2)), x.square().sum((1, 2)), rtol=1e-5, atol=0.0)
    assert log_det.abs().max() < 1e-2  # of 8,192 samples
    nats = 0.5 * z.square().mean() + 0.5 * math.log(2.0 * math.pi) - log_det.mean() / 8192
    assert nats.item() == pytest.approx(1.4189, abs=3 * 0.5**0.5 / 32_768**0.5)


@torch.no_grad()
def test_a_new_model_that_whitens_is_the_gaussian_of_the_mel(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model = WaveGlow(sound(2048, "mel"), whitening=32).double().eval()
    gaussian = GaussianMel(sound(2048, "mel"), order=32)
    monkeypatch.setattr(gaussian_mel, "NOISE", 0.0)  # its density at u, not the mean over the noise
    x, y = noise(3, 2048).double() + torch.rand(3, 1, 2048, dtype=torch.float64), mels(3, 2048)
    z, log_det = model.flow(x / 65_536, model.context(y, 3).double())
    nats = log_det - 0.5 * (z.square() + math.log(2.0 * math.pi)).sum(1) - 2048 * math.log(65_536)
    torch.testing.assert_close(nats.float(), gaussian.log_prob(x, y), rtol=1e-6, atol=0.0)


@torch.no_grad()
@pytest.mark.parametrize(("levels", "deviation", "matter"), [(65_536, 10.0, False), (8, 0.5, True)])
def test_draws_of_noise_matter_where_levels_are_few(levels: int, deviation: float, matter: bool) -> None:
    """A quiet recording is ten levels loud: there 50 draws are worth less than 0.001 bits a sample."""
    torch.manual_seed(0)
    model = WaveGlow(DataSpec((1, 2048), levels), **NETS).train()
    x = (levels // 2 + deviation * torch.randn(4, 1, 2048)).round().to(model.spec.dtype)
    model.loss(Batch(x))
    weights = model.eval().log_weights(x, num_samples=50)
    gained = bits_per_dim(weights.mean(0) - log_mean_exp(weights), 2048).mean().item()
    assert model.draws_matter is matter
    assert gained > 0.02 if matter else 0.0 < gained < 0.001


@torch.no_grad()
def test_a_negative_determinant_is_one_like_others() -> None:
    signs = set()
    for seed in range(8):
        torch.manual_seed(seed)
        conv = InvertibleConv(4)
        conv.log_diagonal.add_(0.3 * torch.randn(4))
        conv.sign[0] *= (-1.0) ** seed
        sign, log_det = torch.linalg.slogdet(conv.matrix())
        x = torch.randn(2, 4, 5)
        z, found = conv(x)
        torch.testing.assert_close(found, (5 * log_det).expand(2))
        torch.testing.assert_close(conv.inverse(z), x, rtol=0.0, atol=1e-5)
        signs.add(sign.item())
    assert signs == {-1.0, 1.0}


@torch.no_grad()
def test_early_outputs_are_the_first_channels_in_the_order_in_which_they_leave() -> None:
    class Tenfold(nn.Module):
        def forward(self, x: Tensor, context: None) -> tuple[Tensor, Tensor]:
            return 10.0 * x, torch.zeros(len(x))

        def inverse(self, z: Tensor, context: None) -> Tensor:
            return z / 10.0

    flow = EarlyOutputs([Tenfold(), Tenfold(), Tenfold()], early=2)
    z, _ = flow(torch.ones(1, 8, 3))
    assert z[0, :, 0].tolist() == [10.0, 10.0, 100.0, 100.0, 1000.0, 1000.0, 1000.0, 1000.0]
    assert torch.equal(flow.inverse(z), torch.ones(1, 8, 3))


@torch.no_grad()
def test_temperature_0_is_deterministic_and_1_is_not() -> None:
    model = waveglow(512, "mel", scale=0.02)
    model.use(Temperature(0.0))
    y = mels(2, 512)
    first = model.sample(2, y)
    assert torch.equal(model.sample(2, y), first) and not torch.equal(first[0], first[1])
    model.use(Temperature(1.0))
    assert not torch.equal(model.sample(2, y), model.sample(2, y))


@torch.no_grad()
def test_the_denoiser_takes_the_hum_away_and_nothing_else() -> None:
    """A tone that a model hums at every temperature, under another that it does not hum."""
    time = torch.arange(8192) / RATE
    hum, tone = 0.02 * torch.sin(2 * math.pi * 3000 * time), 0.1 * torch.sin(2 * math.pi * 700 * time)
    clean = denoised((tone + hum)[None], hum[None], 1.0)[0, 1024:-1024]
    assert (clean - tone[1024:-1024]).square().mean() < 3e-3 * hum.square().mean()
    torch.testing.assert_close(denoised(tone[None], hum[None], 0.0)[0], tone, rtol=0.0, atol=1e-6)


@torch.no_grad()
def test_a_denoiser_is_an_option_of_the_sampler() -> None:
    model, y = waveglow(1024, "mel", scale=0.05), mels(2, 1024)
    drawn = {}
    for denoiser in (0.0, 1.0):
        model.use(Synthesis(0.6, denoiser))
        torch.manual_seed(0)
        drawn[denoiser] = model.sample(2, y)
    model.use(Temperature(0.6))
    torch.manual_seed(0)
    assert torch.equal(drawn[0.0], model.sample(2, y)) and not torch.equal(drawn[1.0], drawn[0.0])
    assert drawn[1.0].dtype == torch.int32


@torch.no_grad()
def test_a_frame_reaches_its_receptive_field_and_no_farther() -> None:
    model = waveglow(8192, "mel").double()
    context = model.context(mels(1, 8192), 1).double()
    changed = context.clone()
    changed[:, :, 16] += 1.0
    z = torch.randn(1, 8192, dtype=torch.float64)
    places = (model.flow.inverse(z, changed) - model.flow.inverse(z, context)).abs()[0, 0].nonzero().flatten()
    within = 16 * 256 - model.reach, 16 * 256 + model.reach
    assert within[0] <= places.min() and places.max() < within[1]
    assert places.min() < 16 * 256 - 512 and places.max() > 16 * 256 + 511, "steps pass it on"


@torch.no_grad()
def test_samples_of_a_model_that_only_saw_how_loud_data_is_have_no_tone() -> None:
    """Groups of 8 samples could be heard at multiples of an eighth of the sample rate."""
    torch.manual_seed(0)
    model = WaveGlow(sound(2048), **NETS).train()
    model.loss(Batch(noise(8, 2048)))
    x = (model.eval().sample(64)[:, 0] - 32_768).double()
    assert x.std().item() == pytest.approx(2_000, rel=0.02)
    power = torch.fft.rfft(x).abs().square().mean(0)  # a mean of 64: its deviation is 1/8
    for k in (1, 2, 3):
        place = k * 2048 // 8
        around = torch.cat([power[place - 40 : place], power[place + 1 : place + 41]]).mean()
        assert power[place] / around < 1.0 + 4 / 8


@torch.no_grad()
def test_loudness_starts_from_the_first_batch() -> None:
    scale = Loudness().train()
    z, log_det = scale(0.1 * torch.randn(8, 4, 1000))
    assert z.std().item() == pytest.approx(1.0, rel=1e-3)
    torch.testing.assert_close(log_det, torch.full((8,), -4000 * scale.log_scale.item()))
    again, _ = scale(torch.ones(1, 4, 10))
    assert again.std() == 0.0 and again[0, 0, 0].item() == pytest.approx(10.0, rel=0.05), (
        "later batches do not change it"
    )


@pytest.mark.slow
def test_the_bound_is_below_a_known_density_and_comes_near() -> None:
    """A stationary Gaussian AR(2), exact by its innovations; the flow trains for some hundred steps."""
    generator = torch.Generator().manual_seed(0)

    def draw(num: int) -> tuple[Tensor, float]:
        x = torch.zeros(num, 384)
        e = 500.0 * torch.randn(num, 384, generator=generator)
        for t in range(2, 384):
            x[:, t] = 1.6 * x[:, t - 1] - 0.8 * x[:, t - 2] + e[:, t]
        return (32_768 + x[:, None, 128:]).round().to(torch.int32), math.log2(500.0 * math.sqrt(2 * math.pi * math.e))

    torch.manual_seed(0)
    model = WaveGlow(sound(256), num_steps=4, num_layers=3, hidden_channels=16, skip_channels=16).train()
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for step in range(400):
        x, _ = draw(16)
        loss = model.loss(Batch(x))["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step == 300:
            for group in optimizer.param_groups:
                group["lr"] = 5e-4
    x, innovation = draw(200)
    with torch.no_grad():
        bits = bits_per_dim(model.eval().log_prob(x), 256)
    exact = innovation + AT_THE_START / 256
    assert exact - 3 * bits.std() / 200**0.5 < bits.mean() < exact + 0.25


AT_THE_START = 2.6  # bits that the first two samples need more than an innovation: log2 of their deviations over it


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"group": 3}, "group=3: expected an even divisor of the 512 samples"),
        ({"group": 512 * 2}, "group=1024: expected an even divisor"),
        ({"whitening": 257}, "whitening=257: expected 0 to 256"),
        ({"early_channels": 3}, "early_channels=3: expected an even number"),
        ({"early_every": 1}, "early_channels=2: expected .* at least 2 remain after 5 early outputs; -2 would"),
    ],
)
def test_sizes_that_do_not_fit_are_one_line(options: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words) as refused:
        WaveGlow(sound(512), **options)
    assert "\n" not in str(refused.value)


def test_whitening_needs_a_sample_rate() -> None:
    with pytest.raises(ValueError, match="whitening=8: the data does not say its sample_rate"):
        WaveGlow(DataSpec((1, 512), 65_536, condition="mel"), whitening=8)
    WaveGlow(DataSpec((1, 512), 65_536), whitening=8)
