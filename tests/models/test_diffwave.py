"""Diffusion of sound: the schedule of DiffWave, steps of given sizes, and how far a network hears."""

import math
from functools import partial

import pytest
import torch

from genarena.likelihood import from_space, to_amplitudes
from genarena.models.baseline import gaussian_mel
from genarena.models.baseline.gaussian_mel import GaussianMel
from genarena.models.diffusion.ddpm import DDPM
from genarena.models.diffusion.flow_matching import FlowMatching
from genarena.models.diffusion.given_betas import GivenBetas
from genarena.models.diffusion.paths import Level
from genarena.models.diffusion.samplers import Ancestral, Denoised, DiffusionSampler, DPMSolver
from genarena.models.diffusion.schedules import sound_alpha_bar
from genarena.models.vocoding import in_chunks
from genarena.nets.diffwave import DiffWave
from genarena.spec import DataSpec
from tests.models.test_waveglow import mels, noise

BETAS = (1e-4, 1e-3, 0.01, 0.05, 0.2, 0.5)
SMALL = {"hidden_channels": 4, "num_layers": 4, "dilation_cycle": 3, "context_channels": 3, "embedding_channels": 8}


def network(context_features: int = 0) -> DiffWave:
    torch.manual_seed(0)
    net = DiffWave(1, 1, (1, 2048), context_features, **SMALL)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return net.double().eval()


def test_the_schedule_has_the_variances_of_the_paper_at_both_ends() -> None:
    alpha_bar = sound_alpha_bar(50)
    beta = 1.0 - alpha_bar[1:] / alpha_bar[:-1]
    torch.testing.assert_close(beta[[0, -1]], torch.tensor([1e-4, 0.05], dtype=torch.float64))
    torch.testing.assert_close(beta.diff(), torch.full((49,), (0.05 - 1e-4) / 49, dtype=torch.float64))
    assert alpha_bar[-1].sqrt().item() == pytest.approx(0.529, abs=1e-3)


def test_steps_of_given_sizes_end_at_the_data_and_need_no_schedule() -> None:
    sampler = GivenBetas(betas=BETAS)
    levels = sampler.levels(lambda num: pytest.fail("the path of the model is not asked"), 50)
    assert levels[-1] == Level(1.0, 0.0) and len(levels) == 7
    assert levels[-2].s == pytest.approx(0.01) and levels[0].a ** 2 == pytest.approx(0.9999 * 0.999 * 0.99 * 0.95 * 0.4)
    assert sampler.num_steps(50) == sampler.evaluations(50) == 6


def test_a_step_is_that_of_the_paper() -> None:
    """x_(t-1) = (x_t - beta_t / sqrt(1 - alpha_bar_t) eps) / sqrt(alpha_t) + sigma_t z (algorithm 2), for any predicted eps."""
    sampler = GivenBetas(betas=(0.05, 0.2))
    start = torch.tensor([0.7, -0.3], dtype=torch.float64)

    def predicted(x: torch.Tensor) -> torch.Tensor:
        return 0.4 * x + 0.1

    def denoise(x: torch.Tensor, level: Level) -> Denoised:
        return Denoised((x - level.s * predicted(x)) / level.a)

    levels = sampler.levels(lambda num: [], None)
    found = sampler(denoise, start, levels, noise=torch.ones_like)
    sigma = math.sqrt(0.2 * (1 - 0.95) / (1 - 0.95 * 0.8))
    x = (start - 0.2 / math.sqrt(1 - 0.95 * 0.8) * predicted(start)) / math.sqrt(0.8) + sigma
    expected = (x - 0.05 / math.sqrt(0.05) * predicted(x)) / math.sqrt(0.95)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"betas": [0.1, 1.0]}, "betas"), ({"betas": []}, "betas"), ({"betas": [0.1, 0.2], "nfe": 3}, "nfe=3")],
)
def test_wrong_steps_are_refused_in_one_line(options: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words) as error:
        GivenBetas(**options)
    assert "\n" not in str(error.value)


def test_a_sound_is_heard_as_far_as_the_dilations_reach() -> None:
    """1 + 2 + 4 + 1 to each side, and no further."""
    net = network()
    assert net.reach == 8
    x = torch.randn(1, 1, 64, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(net(x, torch.tensor([0.3], dtype=torch.float64))[0, 0, 30], x)
    assert gradient[0, 0].nonzero().squeeze(1).tolist() == list(range(22, 39))


def test_a_frame_is_heard_around_its_middle_only() -> None:
    net = network(5)
    mel = torch.randn(1, 5, 9, dtype=torch.float64)
    other, x, t = mel.clone(), torch.randn(1, 1, 2048, dtype=torch.float64), torch.tensor([0.3], dtype=torch.float64)
    other[:, :, 4] += 1.0
    changed = (net(x, t, mel) - net(x, t, other))[0, 0].nonzero().squeeze(1)
    assert net.reach == 512
    assert 4 * 256 - 512 - 8 <= changed.min() and changed.max() <= 4 * 256 + 511 + 8
    assert changed.max() - changed.min() > 512


def test_a_vector_as_a_condition_is_the_same_frame_everywhere() -> None:
    net, x, t = network(5), torch.randn(2, 1, 2048).double(), torch.tensor([0.1, 0.8]).double()
    vectors = torch.randn(2, 5).double()
    torch.testing.assert_close(net(x, t, vectors), net(x, t, vectors[:, :, None].expand(-1, -1, 9)))


def test_an_untrained_network_predicts_nothing_and_pictures_are_refused() -> None:
    net = DiffWave(1, 1, (1, 512))
    assert not net(torch.randn(2, 1, 512), torch.rand(2)).any()
    for shape in ((1, 8, 8), (5,)):
        with pytest.raises(ValueError, match="expected sound"):
            DiffWave(1, 1, shape)
    with pytest.raises(ValueError, match="captions"):
        DiffWave(1, 1, (1, 512), 5, True)


@torch.no_grad()
@pytest.mark.parametrize("sampler", [GivenBetas(betas=BETAS), Ancestral(nfe=4), DPMSolver(nfe=4)])
def test_a_long_clip_in_chunks_is_the_whole_clip(sampler: DiffusionSampler) -> None:
    torch.manual_seed(0)
    spec = DataSpec((1, 512), 65536, condition="mel", sample_rate=22050)
    net = partial(DiffWave, **SMALL)
    model = DDPM(spec, num_steps=50, schedule="sound", prediction="eps", variance="posterior", net=net, sampler=sampler)
    for parameter in model.parameters():
        parameter.add_(0.1 * torch.randn_like(parameter))
    mel = 2.0 * torch.randn(2, 80, 31) - 5.5
    noise = torch.randn(2, model.noise_channels, 30 * 256)
    whole, chunked = (in_chunks(model.eval(), mel, noise, frames) for frames in (30, 3))
    assert whole.unique().numel() > 1000 and whole.shape == (2, 1, 30 * 256)
    assert (whole - chunked).abs().max() <= 2, "levels, of 65,536: sums in another order"


@torch.no_grad()
def test_a_clip_is_made_as_a_sample_is() -> None:
    """With the numbers that a sampler draws as its noise, the two are the same."""
    spec = DataSpec((1, 512), 65536, condition="mel", sample_rate=22050)
    options = {"num_steps": 50, "schedule": "sound", "prediction": "eps", "variance": "posterior"}
    model = DDPM(spec, **options, net=partial(DiffWave, **SMALL), sampler=GivenBetas(betas=BETAS)).eval()
    y = 2.0 * torch.randn(3, 80, 3) - 5.5
    torch.manual_seed(5)
    x = model.sample(3, y)
    torch.manual_seed(5)
    noise = torch.cat([torch.randn(3, 1, 512) for _ in range(model.noise_channels)], 1)
    assert torch.equal(in_chunks(model, y, noise), x)


def test_networks_of_pictures_refuse_sound() -> None:
    with pytest.raises(ValueError, match=r"\(1, 512\)"):
        DDPM(DataSpec((1, 512), 65536), sampler=Ancestral(nfe=10))


def whitening(order: int = 32, **options: float) -> FlowMatching:
    """New, so its velocity is zero."""
    torch.manual_seed(0)
    spec = DataSpec((1, 2048), 65_536, condition="mel", sample_rate=22_050)
    own = {"condition_dropout": 0.0, "dequantisation": "none"} | options
    return FlowMatching(spec, net=partial(DiffWave, **SMALL), whitening=order, **own).eval()


@torch.no_grad()
def test_new_flow_matching_that_whitens_is_the_gaussian_of_the_mel(monkeypatch: pytest.MonkeyPatch) -> None:
    model = whitening()
    gaussian = GaussianMel(model.spec, order=32)
    monkeypatch.setattr(gaussian_mel, "NOISE", 0.0)  # its density at x, not the mean over the noise of rounding
    x, y = noise(3, 2048), mels(3, 2048)
    monkeypatch.setattr(model, "with_noise", lambda x_0: to_amplitudes(x, 65_536))
    found, _ = model.ode_log_prob(x, 1e-4, 1, "uniform", y)
    torch.testing.assert_close(
        found.float() + 2048 * math.log(65_535 / 65_536), gaussian.log_prob(x, y), rtol=1e-6, atol=0.0
    )
    torch.manual_seed(3)
    sound = model.sample(3, y)
    torch.manual_seed(3)
    assert (sound - from_space(model.coloured(torch.randn(3, 1, 2048), y), model.spec)).abs().max() <= 1, "a level"


@torch.no_grad()
def test_what_is_whitened_becomes_the_sound_again() -> None:
    model, x, y = whitening(64), noise(2, 2048), mels(2, 2048)
    white = model.training_points(x, y)
    torch.testing.assert_close(model.coloured(white, y), model.scaled(x), rtol=0.0, atol=1e-5)
    assert not torch.allclose(white, model.scaled(x), atol=0.1)
    with pytest.raises(ValueError, match=r"whitening=64, condition_dropout=0.1: expected 0 for one of the two"):
        whitening(64, condition_dropout=0.1)
    with pytest.raises(ValueError, match="whitening=257: expected 0 to 256"):
        whitening(257)
