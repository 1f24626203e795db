"""Log-mel spectrograms: equal to librosa's, aligned with the samples, and told from those of other front-ends."""

import math

import numpy as np
import pytest
import torch

from genarena.statistics import mel

RATE = 22_050


def chirp(num: int = 8192, rate: int = RATE) -> torch.Tensor:
    """(1, num) float64: from 50 Hz to 8,000 Hz, amplitude 0.5."""
    time = torch.arange(num, dtype=torch.float64) / rate
    sweep = (8000.0 - 50.0) * rate / num
    return 0.5 * torch.sin(2.0 * math.pi * (50.0 + 0.5 * sweep * time) * time)[None]


@pytest.mark.parametrize("rate", [16_000, 22_050, 44_100])
def test_the_filterbank_is_that_of_librosa(rate: int) -> None:
    librosa = pytest.importorskip("librosa")
    wanted = librosa.filters.mel(sr=rate, n_fft=1024, n_mels=80, fmin=0, fmax=8000, dtype=np.float64)
    assert np.abs(mel.filterbank(rate).numpy() - wanted).max() < 1e-8


def test_the_spectrogram_is_that_of_librosa() -> None:
    librosa = pytest.importorskip("librosa")
    bank = librosa.filters.mel(sr=RATE, n_fft=1024, n_mels=80, fmin=0, fmax=8000, dtype=np.float64)
    magnitude = np.abs(librosa.stft(chirp()[0].numpy(), n_fft=1024, hop_length=256, pad_mode="reflect"))
    wanted = np.log(np.maximum(bank @ magnitude, 1e-5))
    assert np.abs(mel.log_mel(chirp(), RATE)[0].numpy() - wanted).max() < 1e-8


def test_the_numbers_of_a_chirp() -> None:
    """As librosa 0.11.0 gives them, by the two tests above: without it the numbers still hold."""
    found = mel.log_mel(chirp(), RATE)[0]
    assert found.shape == (80, 33)
    assert mel.filterbank(RATE).sum().item() == pytest.approx(3.7136882015, abs=1e-9)
    assert found.mean().item() == pytest.approx(-9.0451404716, abs=1e-8)
    assert found[60, 16].item() == pytest.approx(-0.5862942909, abs=1e-8)


def test_frame_k_is_about_sample_256_k() -> None:
    click = torch.zeros(1, 4096, dtype=torch.float64)
    click[0, 256 * 7] = 0.9
    energy = mel.log_mel(click, RATE)[0].exp().sum(0)
    assert energy.argmax() == 7
    assert torch.allclose(energy[6], energy[8], rtol=1e-9)
    assert energy[4] <= 80 * mel.FLOOR * (1 + 1e-9), "the window ends 512 samples from its middle"


def test_a_segment_has_the_frames_of_the_whole() -> None:
    x = torch.randn(1, 8192, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    whole, part = mel.log_mel(x, RATE), mel.log_mel(x[:, 2048:6144], RATE)
    assert torch.allclose(part[:, :, 2:-2], whole[:, :, 8:25][:, :, 2:-2], atol=1e-12), "but at its ends"


def test_rows_do_not_depend_on_each_other() -> None:
    x = torch.randn(3, 2048, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    together, alone = mel.log_mel(x, RATE), torch.cat([mel.log_mel(row[None], RATE) for row in x])
    assert torch.allclose(together, alone, atol=1e-12)


def test_gradients_flow() -> None:
    x = torch.randn(1, 1024, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: mel.log_mel(x, RATE)[:, ::20, ::2], (x,), fast_mode=True)


def test_silence_is_the_floor() -> None:
    floor = torch.full((1, 80, 3), math.log(1e-5), dtype=torch.float64)
    assert torch.allclose(mel.log_mel(torch.zeros(1, 600, dtype=torch.float64), RATE), floor, atol=1e-12)


def test_bad_input_is_one_line() -> None:
    with pytest.raises(ValueError, match="sample_rate=8000: expected at least 16000"):
        mel.filterbank(8000)
    with pytest.raises(ValueError, match="512 samples: a mel spectrogram needs more"):
        mel.log_mel(torch.zeros(1, 512), RATE)


def test_a_mel_of_another_front_end_is_refused() -> None:
    ours = mel.log_mel(chirp(), RATE)[0]
    mel.refuse_foreign(ours)
    scaled = (ours - ours.min()) / (ours.max() - ours.min())  # DiffWave
    decibels = 20.0 / math.log(10.0) * ours
    for wrong in (scaled, decibels, ours[:79], ours[None], ours.T, ours * math.nan):
        with pytest.raises(ValueError, match="a mel"):
            mel.refuse_foreign(wrong)
