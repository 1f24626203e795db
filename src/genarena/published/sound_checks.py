"""Checks of the metrics of sound on sounds whose distance is known in closed form."""

import math
from collections.abc import Iterator
from importlib.util import find_spec

import torch
from torch import Tensor

from genarena.published.checks import Check, Missing, by_pieces, normal, of
from genarena.statistics.heard import Heard
from genarena.statistics.mel_cepstrum import ALPHA, WINDOW
from genarena.statistics.resampling import SPEECH
from genarena.statistics.speed import Timed

RATE = 22_050
HALF = 0.5  # the loudness of the second sound


@of("mr_stft", "log_mel_l1")
def half_as_loud() -> Iterator[Check]:
    """Every magnitude is halved: |1 - 1/2| + |ln 1/2|, and |ln 1/2| in every band."""
    x = 0.1 * normal(3, 8192, seed=20)
    heard = Heard(x, HALF * x, RATE)
    expected = 1.0 - HALF - math.log(HALF)
    yield Check("MR-STFT of sound half as loud", by_pieces("mr_stft", heard=heard), "1/2 + ln 2", expected, 1e-6)
    value = by_pieces("log_mel_l1", heard=heard)
    yield Check("log-mel L1 of sound half as loud", value, "ln 2", -math.log(HALF), 1e-6)


@of("mel_cepstral_distortion")
def one_coefficient_apart() -> Iterator[Check]:
    """Two frames whose log-magnitudes are 0 and 0.3 cos v(w): c_1 differs by 0.3."""
    bent = bent_frequencies()
    x, y = (frame((size * bent.cos()).exp())[None] for size in (0.0, 0.3))
    value = by_pieces("mel_cepstral_distortion", heard=Heard(x, y, SPEECH))
    expected = 10.0 / math.log(10.0) * math.sqrt(2.0) * 0.3
    yield Check("MCD of frames with another c_1", value, "10 / ln 10 * 2^(1/2) * 0.3", expected, 1e-6)


def bent_frequencies() -> Tensor:
    """v(w) at the bins of a frame, by the phase of the all-pass filter (1 / z - alpha) / (1 - alpha / z)."""
    delay = torch.polar(torch.ones(WINDOW // 2 + 1).double(), -torch.linspace(0.0, math.pi, WINDOW // 2 + 1).double())
    phase = ((delay - ALPHA) / (1.0 - ALPHA * delay)).angle()
    return phase.neg().remainder(2.0 * math.pi)


def frame(magnitudes: Tensor) -> Tensor:
    """(512,) sound with these magnitudes at the bins, after the window."""
    sound = 0.1 * torch.fft.irfft(magnitudes.double()).roll(WINDOW // 2)
    window = torch.hann_window(WINDOW, dtype=torch.float64)
    return torch.where(window > 0.0, sound / window, 0.0)


@of("line_noise")
def tone_in_noise() -> Iterator[Check]:
    """White noise, and a tone at an eighth of the sample rate. The mean logarithm of the noise's power is Euler's constant
    below the logarithm of its mean; the tone is so loud that noise does not count beside it."""
    time, noise, loudness = torch.arange(2**18, dtype=torch.float64), 0.01 * normal(1, 2**18, seed=21), 0.05
    tone = loudness * torch.cos(2.0 * math.pi / 8.0 * time)
    window = torch.hann_window(1024, dtype=torch.float64)
    power = (0.5 * loudness * window.sum()).square() / (0.01**2 * window.square().sum())
    expected = power.item() * math.exp(0.5772156649)
    value = by_pieces("line_noise", heard=Heard(noise, noise + tone, RATE))
    yield Check("line noise of a tone", value, "(A sum w / 2)^2 / (s^2 sum w^2) e^gamma", expected, 0.05 * expected)
    value = by_pieces("line_noise", heard=Heard(noise, noise, RATE))
    yield Check("line noise of white noise", value, "no line", 1.0, 0.2)


@of("pesq", "stoi", "dnsmos")
def of_speech() -> Iterator[Check | Missing]:
    """A voice-like sound beside itself, and noise by itself."""
    if missing := [name for name in ("pesq", "pystoi", "speechmos", "onnxruntime") if find_spec(name) is None]:
        yield Missing("PESQ, STOI and DNSMOS", f"needs {', '.join(missing)}: pip install 'genarena[sound]'")
        return
    x = voice()
    same, noise = [Heard(x, x, SPEECH)], [Heard(x, 0.1 * normal(1, x.shape[1], seed=22), SPEECH)]
    yield Check("PESQ of sound beside itself", by_pieces("pesq", utterances=same), "P.862.2", 4.644, 1e-3)
    yield Check("STOI of sound beside itself", by_pieces("stoi", utterances=same), "definition", 1.0, 1e-9)
    value = by_pieces("dnsmos", utterances=noise)
    yield Check("DNSMOS of white noise", value, "as bad as it gets: below 1.5", 1.5, 0.0, one_sided=True)


def voice() -> Tensor:
    """(1, 48,000) at 16,000 Hz: harmonics of 120 Hz, in syllables of a quarter of a second."""
    time = torch.arange(3 * SPEECH, dtype=torch.float64) / SPEECH
    tones = [torch.cos(2.0 * math.pi * 120.0 * k * time + k * k) / k for k in range(1, 40)]
    return 0.05 * (sum(tones) * (torch.sin(4.0 * math.pi * time) > 0.0))[None]


@of("synthesis_khz")
def speed_by_hand() -> Iterator[Check]:
    timed = Timed(torch.tensor([0.05, 0.15], dtype=torch.float64), RATE, RATE, "by hand", 1)
    value = by_pieces("synthesis_khz", synthesis=timed)
    yield Check("a second of sound in a tenth of a second", value, "10 x 22.05", 220.5, 1e-9)
