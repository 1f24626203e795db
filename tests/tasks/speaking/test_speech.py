"""From text to sound: two runs that fit, chunks that are the whole, and a picture with the characters under their frames."""

import math

import pytest
import torch
from matplotlib.axes import Axes

from genarena.data.captions.characters import Characters
from genarena.models.baseline.griffin_lim import GriffinLim
from genarena.models.hidden_markov.mel_from_text import MelFromText
from genarena.spec import DataSpec
from genarena.statistics import mel
from genarena.tasks.speaking import speech
from tests.models.test_waveglow import waveglow

KNOWN = Characters.of("abc ,", 12)
SPEC = DataSpec((80, 64), sample_rate=22_050, condition=KNOWN.condition())


@pytest.fixture
def speaker() -> MelFromText:
    torch.manual_seed(0)
    return MelFromText(SPEC, channels=8, decoder_layers=1).eval()


def test_a_text_gets_a_mel_of_the_frames_of_its_characters(speaker: MelFromText) -> None:
    durations, frames = speech.mel_of(speaker, KNOWN, "Abc, a", 1.0, 0.0, 0)
    assert len(durations) == len(" abc, a ") and frames.shape == (80, int(durations.sum()))
    assert (durations == 8).all(), "at first all last as long: 5 e^(1 / 2), the mean of a log-normal number"
    assert speech.mel_of(speaker, KNOWN, "Abc, a", 2.5, 0.0, 0)[1].shape[1] == 3 * len(durations)
    one, two, three = (speech.mel_of(speaker, KNOWN, "abc", 1.0, 1.0, seed)[1] for seed in (1, 1, 2))
    assert torch.equal(one, two) and not (one.shape == three.shape and torch.equal(one, three))


def test_griffin_lim_makes_sound_of_any_mel() -> None:
    """Whatever the segments of its run were. A tone keeps its pitch."""
    time = torch.arange(256 * 40, dtype=torch.float64) / 22_050
    frames = mel.log_mel(0.3 * torch.sin(2.0 * math.pi * 440.0 * time)[None], 22_050)[0].float()
    short = DataSpec((1, 1024), 65_536, sample_rate=22_050, condition="mel")
    levels = speech.sound_of(GriffinLim(short), frames, None, 0)
    assert levels.shape == (1, 256 * 40)
    spectrum = torch.fft.rfft(levels[0].double() - 32_768).abs()
    loudest = spectrum.argmax().item() * 22_050 / (256 * 40)
    assert abs(loudest - 440.0) < 8000.0 / 80, "within a band of the mel"


def test_sigma_is_that_of_the_noise() -> None:
    model, frames = (
        waveglow(1024, "mel", scale=0.05),
        torch.randn(80, 9, generator=torch.Generator().manual_seed(0)) - 5.0,
    )
    still, loud = (speech.sound_of(model, frames, sigma, 0) for sigma in (0.0, 1.0))
    assert still.shape == loud.shape == (1, 256 * 8)
    assert torch.equal(still, speech.sound_of(model, frames, 0.0, 5)), "without noise there is no chance"
    assert not torch.equal(still, loud)


def test_characters_stand_under_their_frames(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = []
    monkeypatch.setattr(Axes, "text", lambda self, x, y, text, **style: told.append((text, x)))
    frames = torch.full((80, 9), -5.0)
    levels = torch.full((1, 2_048), 32_768, dtype=torch.int32)
    made = speech.Speech(" ab ", torch.tensor([2, 4, 1, 2]), frames, levels, 22_050)
    assert speech.write(made, tmp_path / "said.wav") == tmp_path / "said.png"
    frame = 8 * 256 / 22_050 / 9  # seconds, of a picture that ends with the sound
    assert [text for text, _ in told] == [" ", "a", "b", " "]
    assert [x / frame for _, x in told] == pytest.approx([1.0, 4.0, 6.5, 8.0]), "the middle of each"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["said.png", "said.wav"]
