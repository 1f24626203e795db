"""Distances of sounds, against auraloss, and against formulas of scipy and NumPy."""

import math

import numpy as np
import pytest
import scipy.signal
import torch

from genarena.statistics.line_noise import lines
from genarena.statistics.mel_cepstrum import mel_cepstra, mel_cepstral_distortion
from genarena.statistics.multi_resolution_stft import EPS, RESOLUTIONS, mr_stft
from genarena.statistics.resampling import to_speech_rate

RATE = 22_050


def noise(num: int = 3, length: int = 8192, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(num, length, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def chirp(length: int = 8192) -> torch.Tensor:
    time = torch.arange(length, dtype=torch.float64) / RATE
    return 0.3 * torch.sin(2.0 * math.pi * (200.0 * time + 6000.0 * time.square()))[None]


PAIRS = {
    "noise": (0.1 * noise(), 0.1 * noise() + 0.05 * noise(seed=1)),
    "chirp": (chirp(), chirp() + 0.01 * noise(1)),
    "chirp and silence": (chirp(), 0.0 * chirp()),
    "quiet": (1e-3 * noise(), 0.1 * noise(seed=1)),
}


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("turned", [False, True])
def test_mr_stft_is_that_of_auraloss_sound_by_sound(name: str, turned: bool) -> None:
    auraloss = pytest.importorskip("auraloss", reason="needs pip install '.[dev]'")
    target, other = (part.float() for part in (reversed(PAIRS[name]) if turned else PAIRS[name]))
    sizes, hops, windows = (list(numbers) for numbers in zip(*RESOLUTIONS, strict=True))
    theirs = auraloss.freq.MultiResolutionSTFTLoss(sizes, hops, windows)
    assert theirs.stft_losses[0].eps == EPS
    expected = [theirs(y[None, None], x[None, None]).item() for x, y in zip(target, other, strict=True)]
    assert mr_stft(target, other).tolist() == pytest.approx(expected, rel=1e-6)


def test_mr_stft_of_a_sound_and_itself_is_zero_and_the_first_is_the_target() -> None:
    x = 10.0 * noise()  # no bin at the floor
    assert mr_stft(x, x).tolist() == [0.0, 0.0, 0.0]
    assert mr_stft(x, 0.5 * x).tolist() == pytest.approx([0.5 + math.log(2.0)] * 3, rel=1e-6)
    assert mr_stft(0.5 * x, x).tolist() == pytest.approx([1.0 + math.log(2.0)] * 3, rel=1e-6)


def test_powers_of_silence_are_one_hundred_millionth() -> None:
    """Beside silence the logarithm of each magnitude is counted from ln 1e-4, and the ratio is 1 less that floor."""
    x = 1e2 * noise(1)
    steps = [(mr_stft(gain * x, 0.0 * x) - math.log(gain)).item() for gain in (1.0, 10.0)]
    assert steps[0] == pytest.approx(steps[1], abs=1e-5)
    magnitude = torch.fft.rfft(x.unfold(1, 600, 600) * torch.hann_window(600, dtype=x.dtype)).abs().log().mean().item()
    others = [0.5 * math.log(window / 600) for _, _, window in RESOLUTIONS]  # power grows like the window
    expected = 1.0 + magnitude + sum(others) / 3 - math.log(1e-4)
    assert steps[0] == pytest.approx(expected, abs=0.03)


def test_bad_shapes_are_named() -> None:
    with pytest.raises(ValueError, match="1024 samples: the multi-resolution STFT distance needs 1,025"):
        mr_stft(noise(1, 1024), noise(1, 1024))
    with pytest.raises(ValueError, match=r"\(3, 8192\) and \(1, 8192\)"):
        mr_stft(noise(3), noise(1))
    with pytest.raises(ValueError, match=r"need 0.032 s"):
        mel_cepstra(noise(1, 600), RATE)
    with pytest.raises(ValueError, match="group=65: expected 3 to 64"):
        lines(noise(), 65)


def by_scipy(x: np.ndarray) -> np.ndarray:
    """Mel cepstra (frames, 25) at 16,000 Hz: bent frequencies by the phase of an all-pass filter, coefficients by lstsq."""
    _, response = scipy.signal.freqz([-0.42, 1.0], [1.0, -0.42], worN=np.linspace(0.0, np.pi, 257))
    series = np.cos(np.outer(-np.unwrap(np.angle(response)), np.arange(25)))
    floor = 3.0 / 8.0 * 512 / 12.0 * (2.0 / 2**16) ** 2  # 3/8: the mean square of the window
    rows = []
    for start in range(0, len(x) - 511, 128):
        _, _, power = scipy.signal.stft(x[start : start + 512], nperseg=512, boundary=None, padded=False, scaling="psd")
        magnitudes = np.abs(power[:, 0]) * np.sqrt(3.0 / 8.0 * 512)
        rows.append(np.linalg.lstsq(series, 0.5 * np.log(np.maximum(magnitudes**2, floor)), rcond=None)[0])
    return np.array(rows)


def test_mel_cepstral_distortion_is_that_of_another_formula() -> None:
    x, y = 0.1 * noise(1, 4000)[0], 1e-4 * noise(1, 4000, seed=1)[0]
    both = [by_scipy(sound.numpy())[:, 1:] for sound in (x, y)]
    assert mel_cepstra(x[None], 16_000)[0, :, 1:].numpy() == pytest.approx(both[0], abs=1e-8)
    expected = 10.0 / math.log(10.0) * np.sqrt(2.0 * np.square(both[0] - both[1]).sum(1)).mean()
    assert mel_cepstral_distortion(x[None], y[None], 16_000).item() == pytest.approx(expected, rel=1e-8)
    assert mel_cepstral_distortion(x[None], 0.5 * x[None], 16_000).item() < 1e-9, "loudness does not count"


def test_mel_cepstral_distortion_hears_nothing_above_8000_hz() -> None:
    x, time = 0.1 * noise(1), torch.arange(8192, dtype=torch.float64) / RATE
    low, high = (x + 0.1 * torch.sin(2.0 * math.pi * hertz * time) for hertz in (3000.0, 9500.0))
    heard, unheard = (mel_cepstral_distortion(x, other, RATE).item() for other in (low, high))
    assert heard > 1.0 > 10.0 * unheard


def test_sound_at_16000_hz_has_its_tones_where_they_were() -> None:
    time = torch.arange(2 * RATE, dtype=torch.float64) / RATE
    x = to_speech_rate(torch.sin(2.0 * math.pi * 1000.0 * time)[None], RATE)[0, 4000:-4000]
    expected = torch.sin(2.0 * math.pi * 1000.0 * torch.arange(2 * 16_000, dtype=torch.float64) / 16_000)[4000:-4000]
    assert (x - expected).abs().max() < 5e-3
    assert torch.equal(to_speech_rate(expected[None], 16_000)[0], expected)


@pytest.mark.parametrize("group", [8, 12, 16])
def test_a_tone_at_a_multiple_of_the_rate_of_groups_is_a_line_and_speech_like_noise_has_none(group: int) -> None:
    shaped = scipy.signal.lfilter([0.02], [1.0, -1.6, 0.75], noise(60).numpy())
    x = torch.from_numpy(shaped) * torch.linspace(0.02, 1.0, 60)[:, None]  # loud and quiet
    plain = lines(x, group).mean(0).exp()
    assert plain.shape == ((group - 1) // 2,) and plain.max() < 1.3 and plain.min() > 0.7
    for k in (1, 3):
        tone = 5e-3 * torch.cos(2.0 * math.pi * k / group * torch.arange(8192))
        with_tone = lines(x + tone, group).mean(0).exp()
        assert with_tone[k - 1] > 2.0 * plain[k - 1], "a hum that loud sound hides"
        others = [place for place in range(len(plain)) if place != k - 1]
        assert torch.allclose(with_tone[others], plain[others], rtol=0.05)
