"""griffin_lim: sound that has the mel it was asked for."""

import math

import pytest
import torch

from genarena.likelihood import to_amplitudes
from genarena.models.baseline.griffin_lim import GriffinLim
from genarena.spec import DataSpec
from genarena.statistics import mel

RATE = 22_050
SPEC = DataSpec((1, 8192), 65_536, condition="mel", sample_rate=RATE)


def tones(*hertz: float) -> torch.Tensor:
    """(1, 8192) amplitudes."""
    time = torch.arange(8192, dtype=torch.float64) / RATE
    return sum(0.2 * torch.sin(2.0 * math.pi * each * time) for each in hertz)[None]


def made(y: torch.Tensor, **options: float) -> torch.Tensor:
    """Amplitudes (N, 8192) float64."""
    torch.manual_seed(0)
    with torch.no_grad():
        levels = GriffinLim(SPEC, **options).eval().sample(len(y), y)
    assert levels.dtype == torch.int32 and levels.shape == (len(y), 1, 8192)
    return to_amplitudes(levels[:, 0].double(), 65_536)


def test_tones_come_back_at_their_pitch_and_loudness() -> None:
    y = mel.log_mel(tones(440.0, 3000.0), RATE).float()
    x = made(y)
    spectrum = torch.fft.rfft(x[0, 1024:-1024]).abs()
    hertz = torch.fft.rfftfreq(8192 - 2048, 1.0 / RATE)
    for tone in (440.0, 3000.0):
        near = (hertz - tone).abs() < 200.0
        assert abs(hertz[near][spectrum[near].argmax()].item() - tone) < 60.0, "within the width of a band"
    rms = x[0, 1024:-1024].square().mean().sqrt().item()
    assert rms == pytest.approx(0.2, rel=0.25), "two tones of amplitude 0.2"


def test_the_sound_has_the_mel_that_was_asked_for_and_more_steps_help() -> None:
    noise = torch.randn(1, 8192, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = (0.05 * noise + tones(500.0, 1500.0, 2500.0)) * torch.linspace(0.2, 1.0, 8192)
    y = mel.log_mel(x, RATE).float()
    errors = [(mel.log_mel(made(y, num_steps=steps), RATE) - y)[..., 2:-2].abs().mean().item() for steps in (1, 60)]
    assert errors[1] < 0.5 * errors[0] and errors[1] < 0.2


def test_bad_input_is_one_line() -> None:
    with pytest.raises(ValueError, match="momentum=1.0: expected at least 0 and below 1"):
        GriffinLim(SPEC, momentum=1.0)
    with pytest.raises(ValueError, match="y is needed"):
        GriffinLim(SPEC).sample(2)
