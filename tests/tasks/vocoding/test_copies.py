"""Copy synthesis: a clip in chunks is the whole clip, sigma 0 has no chance in it, distances have their values by hand."""

import math

import pytest
import torch
from torch import Tensor

from genarena.errors import UserError
from genarena.metrics.base import Unavailable
from genarena.metrics.pesq import PESQ
from genarena.metrics.stoi import STOI
from genarena.models.base import GenerativeModel
from genarena.models.flow.waveglow import WaveGlow
from genarena.models.vocoding import Vocodes
from genarena.spec import DataSpec
from genarena.statistics.heard import Heard
from genarena.statistics.mel import log_mel
from genarena.tasks.vocoding import listening
from genarena.tasks.vocoding.asked import Sound
from genarena.tasks.vocoding.copies import (
    DISTANCES,
    Draw,
    mean_distances,
    measured,
    noise_of,
    require,
    vocoded,
)
from genarena.tasks.vocoding.sigma_curve import SigmaCurve
from tests.models import test_hifigan
from tests.models.test_contract import CLASSES, HEARD, fitted, make
from tests.models.test_hifigan import shaken
from tests.models.test_waveglow import sound, waveglow
from tests.models.tiny import often

HOPS = 8  # of a clip; segments have three
VOCODERS = [name for name in HEARD if issubclass(CLASSES[name], Vocodes)]
WITHOUT_SIGMA = ("griffin_lim", "hifigan", "hifigan_small")


def asked(hops: int = HOPS) -> Sound:
    generator = torch.Generator().manual_seed(3)
    return Sound(torch.randn(80, hops + 1, generator=generator) - 5.0, None)


def trained(name: str) -> GenerativeModel:
    """A tiny model whose last layers are not zero."""
    return shaken(test_hifigan.model(), 1.0) if name.startswith("hifigan") else shaken(fitted(name, "mel"), 0.05)


@pytest.mark.parametrize("name", often(VOCODERS))
def test_a_clip_in_chunks_is_the_whole_clip(name: str) -> None:
    model, draw = trained(name), Draw(1.0)
    whole, chunked = vocoded(model, asked(), draw, HOPS), vocoded(model, asked(), draw, 3)
    assert whole.levels.shape == (1, HOPS * 256) and whole.levels.dtype == torch.int32
    assert whole.levels.unique().numel() > 100, "it is a sound"
    assert (whole.levels - chunked.levels).abs().max() <= 2, "levels, of 65,536: sums in another order"
    other = vocoded(model, asked(), Draw(1.0, seed=1), HOPS)
    assert torch.equal(whole.levels, other.levels) == (not model.noise_channels), "another seed is another sound"


@pytest.mark.parametrize("name", often([name for name in VOCODERS if name not in WITHOUT_SIGMA]))
def test_there_is_no_chance_in_sigma_zero(name: str) -> None:
    model = trained(name)
    require(model, [0.0], 0.0)
    silent, again = (vocoded(model, asked(3), Draw(0.0, seed=seed)) for seed in (0, 5))
    assert torch.equal(silent.levels, again.levels)
    assert not torch.equal(silent.levels, vocoded(model, asked(3), Draw(1.0)).levels)


@pytest.mark.parametrize("name", often(WITHOUT_SIGMA))
def test_models_without_a_sigma_refuse_it(name: str) -> None:
    model = make(name, given="mel")
    require(model, None, 0.0)
    with pytest.raises(UserError, match="does not depend on how large its noise is; leave it out"):
        require(model, [0.6], 0.0)
    with pytest.raises(UserError, match="has no denoiser, only flows of sound have"):
        require(model, None, 0.1)


def test_the_noise_of_a_longer_clip_begins_as_that_of_a_shorter_one() -> None:
    for channels in (1, 2, 7):
        assert torch.equal(noise_of(3, 256, channels), noise_of(3, 2048, channels)[:, :, :256])
    assert noise_of(0, 512, 0).shape == (1, 0, 512)
    x = noise_of(0, 200 * 256, 1)
    assert abs(x.mean().item()) < 4 / math.sqrt(x.numel()) and x.std().item() == pytest.approx(1.0, abs=0.02)


def test_the_denoiser_makes_a_flow_quieter_and_works_on_the_whole() -> None:
    model = waveglow(768, "mel")
    plain = vocoded(model, asked(), Draw(1.0)).levels
    clean, chunked = (vocoded(model, asked(), Draw(1.0, denoise=0.5), frames).levels for frames in (HOPS, 3))
    assert (clean - 32_768.0).square().mean() < (plain - 32_768.0).square().mean()
    assert (clean - chunked).abs().max() <= 2


def test_distances_by_hand() -> None:
    """Half as loud is log 2 away in every band, and half of all magnitudes is missing."""
    generator = torch.Generator().manual_seed(0)
    x = 6000.0 * torch.randn(1, 4096, generator=generator)
    levels, spec = (
        (32_768 + x).round().clamp(0, 65_535).int(),
        DataSpec((1, 1024), 65_536, condition="mel", sample_rate=22_050),
    )
    own = Sound(log_mel((levels - 32_768.0) / 32_768.0, 22_050)[0], levels)
    assert all(value < 1e-4 for value in measured(own, levels, 1.0, spec).distances.values())
    louder = Sound(own.mel + math.log(2.0), None)
    found = measured(louder, levels, 1.0, spec).distances
    assert set(found) == set(DISTANCES) - {"MR-STFT"}, "which needs a clip"
    half = (32_768 + x / 2).round().int()
    assert measured(own, half, 1.0, spec).distances["MR-STFT"] == pytest.approx(0.5 + math.log(2.0), abs=1e-3)
    assert found["log-mel L1"] == pytest.approx(math.log(2.0), abs=1e-4)
    assert found["spectral convergence"] == pytest.approx(0.5, abs=1e-4)
    assert mean_distances([found, {title: 3.0 * value for title, value in found.items()}]) == pytest.approx(
        {title: 2.0 * value for title, value in found.items()}
    )


def test_a_curve_has_the_means_over_clips_in_the_order_of_sigma() -> None:
    curve = SigmaCurve.of({0.6: [{"a": 1.0, "b": 2.0}, {"a": 3.0, "b": 4.0}], 0.0: [{"a": 5.0, "b": 0.0}] * 2}, 0.6)
    assert (curve.sigmas, curve.means, curve.num_clips) == ((0.0, 0.6), {"a": (5.0, 2.0), "b": (0.0, 3.0)}, 2)
    assert curve.csv() == "sigma,a,b\n0,5.0000,0.0000\n0.6,2.0000,3.0000\n"
    assert curve.table().splitlines()[2].split() == ["0.6", "2.0000", "3.0000"]
    assert curve.drawn()[:4] == b"\x89PNG"


def test_a_model_that_breaks_makes_no_sound() -> None:
    model = waveglow(768, "mel")
    with torch.no_grad():
        next(model.parameters()).fill_(math.nan)
    with pytest.raises(UserError, match="WaveGlow made samples that are not finite"):
        vocoded(model, asked(), Draw(1.0))


def test_a_flow_that_whitens_is_as_loud_as_its_mel() -> None:
    assert waveglow(768, "mel").usual_sigma == 0.6 and waveglow(768, "mel", whitening=8).usual_sigma == 1.0


def test_models_without_mels_and_of_pictures_are_refused() -> None:
    for model, said in (
        (WaveGlow(sound(768)), "WaveGlow was trained without mels: train it with data.condition=mel"),
        (make("vae"), r"VAE draws no sound of 16 bits \(its data has shape \(1, 8, 8\)\)"),
    ):
        with pytest.raises(UserError, match=said):
            require(model, None, 0.0)


def test_a_mel_needs_nothing_but_its_frames() -> None:
    x: Tensor = vocoded(waveglow(768, "mel"), asked(5), Draw(0.6)).levels
    assert x.shape == (1, 5 * 256)


def test_speech_is_heard_as_whole_clips(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the metrics of runs, whatever packages there are; not of mels, short clips and what finds no speech."""
    seen = []

    def update(metric: STOI, utterances: list[Heard]) -> None:
        seen.extend(utterances)
        metric.keep(torch.tensor([0.25]), real=1.0)

    def no_speech(metric: PESQ, utterances: list[Heard]) -> None:
        raise Unavailable("PESQ finds no speech")

    monkeypatch.setattr(STOI, "update", update)
    monkeypatch.setattr(PESQ, "update", no_speech)
    monkeypatch.setattr(listening, "MEASURES", (PESQ, STOI))
    spec = DataSpec((1, 1024), 65_536, condition="mel", sample_rate=22_050)
    levels = (32_768 + 3000 * torch.sin(torch.arange(22_272) / 9.0)).round().int()[None]
    clip = Sound(log_mel((levels - 32_768.0) / 32_768.0, 22_050)[0], levels)
    found = measured(clip, 65_536 - levels, 1.0, spec).distances
    assert set(found) == {*DISTANCES, "STOI"} and found["STOI"] == 0.25
    real, made, rate = seen[0]
    assert rate == 16_000 and real.shape == made.shape == (1, 16_162)
    torch.testing.assert_close(made, -real, rtol=0.0, atol=1e-4)
    for other in (Sound(clip.mel, None), Sound(clip.mel[:, :40], levels[:, : 39 * 256])):
        assert set(measured(other, levels[:, : 256 * (other.mel.shape[1] - 1)], 1.0, spec).distances) <= set(DISTANCES)
    assert len(seen) == 1


def test_silence_that_was_made_has_no_pesq() -> None:
    """What `gaussian_mel` makes with sigma=0: the package fails on it."""
    pytest.importorskip("pesq", reason="needs the package pesq")
    real = torch.randn(1, 16_000, generator=torch.Generator().manual_seed(0))
    with pytest.raises(Unavailable, match="silent"):
        PESQ().update([Heard(real, torch.zeros(1, 16_000), 16_000)])
