"""Linear prediction from the mel: an exact inverse, the predictor of a known process, and errors that are white."""

import math

import pytest
import torch

from genarena.statistics import mel, mel_prediction

RATE = 22_050


def mels(num: int, frames: int, deviation: float = 1.5) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return -5.5 + deviation * torch.randn(num, mel.BANDS, frames, generator=generator)


@pytest.mark.parametrize("order", [1, 20, 64, 150, 192, 256])
def test_sound_is_the_inverse_of_errors(order: int) -> None:
    """Neighbouring frames here have nothing in common: predictors change as they never do in speech."""
    found = mel_prediction.predictors(mels(2, 9), RATE, order)
    x = 0.1 * torch.randn(2, 2048, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    errors, squares = mel_prediction.errors(x, found)
    torch.testing.assert_close(mel_prediction.sound(errors, found), x, rtol=0.0, atol=1e-11)
    assert squares.shape == x.shape and found.every_variance.shape == x.shape


@pytest.mark.parametrize("order", [20, 100])
def test_each_sample_is_predicted_from_those_before_it(order: int) -> None:
    found = mel_prediction.predictors(mels(1, 3), RATE, order)
    x = torch.randn(1, 512, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    errors, squares = mel_prediction.errors(x, found)
    for t in (0, 1, 7, 19, 20, 63, 64, 99, 100, 127, 128, 300, 511):
        a = found.early[0, t] if t < found.early.shape[1] else found.coefficients[0, t // mel_prediction.BLOCK]
        past = [x[0, t - j] if t >= j else 0.0 for j in range(1, order + 1)]
        wanted = x[0, t] - sum(weight * value for weight, value in zip(a, past, strict=True))
        assert errors[0, t].item() == pytest.approx(wanted.item(), abs=1e-12)
        assert squares[0, t].item() == pytest.approx(a.square().sum().item())


def test_the_first_samples_have_the_best_predictors_of_the_processes_of_their_blocks() -> None:
    """Best: errors are uncorrelated with the samples that they are predicted from, by the autocorrelation of the block."""
    order = 150
    found, lags = mel_prediction.predictors(mels(1, 3), RATE, order), mel_prediction._lags(mels(1, 3), RATE, order)[0]
    assert found.early.shape == (1, 192, order) and found.early[0, 0].abs().max() == 0.0
    apart = (torch.arange(order + 1)[:, None] - torch.arange(order + 1)).abs()
    for t in (1, 63, 64, 130, 149, 150, 170, 191):
        r, known = lags[t // mel_prediction.BLOCK], min(t, order)
        a = found.early[0, t, :known]
        torch.testing.assert_close(r[apart[:known, :known]] @ a, r[1 : known + 1], rtol=0.0, atol=1e-12 * r[0].item())
        assert found.spread[0, t].item() == pytest.approx((r[0] - a @ r[1 : known + 1]).item(), rel=1e-6)
        assert not found.early[0, t, known:].any()
    late = torch.arange(order, 192) // mel_prediction.BLOCK
    torch.testing.assert_close(found.early[0, order:], found.coefficients[0, late])
    torch.testing.assert_close(found.spread[0, order:], found.variances[0, late])


def test_every_predictor_is_stable() -> None:
    """The poles of 1 / (1 - sum_j a_j z^-j) lie inside the circle, also where neighbouring frames have nothing in common."""
    found = mel_prediction.predictors(mels(1, 3, deviation=2.5), RATE, 256)
    for a in found.coefficients[0]:
        companion = torch.diag(torch.ones(255, dtype=torch.float64), -1)
        companion[0] = a
        assert torch.linalg.eigvals(companion).abs().max() < 1.0


def test_many_coefficients_hold_the_harmonics_of_a_voice() -> None:
    """A pulse every 110 samples, 200 Hz: the sound of 192 coefficients has its power at the harmonics, that of 64 hardly."""
    pulses = torch.zeros(1, 20 * mel.HOP, dtype=torch.float64)
    pulses[:, ::110] = 0.3
    noise = torch.randn(17, 20 * mel.HOP, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for order, least, most in ((64, 0.0, 3.0), (192, 50.0, math.inf)):
        found = mel_prediction.predictors(mel.log_mel(pulses + 1e-3 * noise[:1], RATE), RATE, order)
        parts = mel_prediction.Predictors(*(part.expand(16, *part.shape[1:]) for part in found))
        made = mel_prediction.sound(noise[1:] * parts.every_variance.sqrt(), parts)
        windows = made[:, 512:].unfold(1, 2200, 600) * torch.hann_window(2200, dtype=torch.float64)
        power = torch.fft.rfft(windows).abs().square().mean((0, 1))
        harmonics = 20 * torch.arange(2, 5)  # 400, 600, 800 Hz
        assert least < power[harmonics].mean() / power[harmonics + 10].mean() < most


def test_errors_of_a_process_with_the_spectrum_of_the_mel_are_white() -> None:
    """x = sound(e) has the spectrum: its errors under the same mel are e, so it is the spectrum that is tried, by its mel."""
    smooth = (-5.0 + 2.0 * torch.sin(torch.arange(80.0) / 12.0))[None, :, None].expand(1, -1, 65).double()
    found = mel_prediction.predictors(smooth, RATE, 64)
    noise = torch.randn(8, 64 * mel.HOP, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    parts = [part.expand(8, *part.shape[1:]) for part in found]
    many = mel_prediction.Predictors(*parts)
    x = mel_prediction.sound(noise * many.every_variance.sqrt(), many)
    again = mel.log_mel(x, RATE)[:, :, 4:-4].mean((0, 2))
    bands = slice(3, 75)  # the ends of the spectrum are continued by hand
    expected = smooth[0, bands, 0] - 0.06  # E log |X| is below log E |X|, the less so the wider a band is
    assert (again[bands] - expected).abs().mean() < 0.06


def test_sound_shorter_than_the_order_has_an_inverse_too() -> None:
    found = mel_prediction.predictors(mels(2, 2), RATE, 256)
    x = torch.randn(2, 256, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    torch.testing.assert_close(mel_prediction.sound(mel_prediction.errors(x, found)[0], found), x, rtol=0.0, atol=1e-11)


def test_clips_are_predicted_alike_however_many_frames_are_sought_together(monkeypatch: pytest.MonkeyPatch) -> None:
    smooth = mels(2, 9, deviation=0.5)  # of rougher ones the coefficients are known to fewer digits
    whole = mel_prediction.predictors(smooth, RATE, 192)
    monkeypatch.setattr(mel_prediction, "AT_ONCE", 6)
    for part, wanted in zip(mel_prediction.predictors(smooth, RATE, 192), whole, strict=True):
        torch.testing.assert_close(part, wanted, rtol=1e-8, atol=1e-12)


def test_sound_has_the_gradient_of_its_errors() -> None:
    found = mel_prediction.predictors(mels(2, 4), RATE, 70)  # of one chunk and a half
    errors = torch.randn(2, 768, generator=torch.Generator().manual_seed(1), dtype=torch.float64, requires_grad=True)
    weight = torch.randn_like(errors)
    (gradient,) = torch.autograd.grad((mel_prediction.sound(errors, found) * weight).sum(), errors)
    unit = torch.zeros_like(errors).index_put(
        (torch.tensor([0, 1, 1]), torch.tensor([3, 500, 767])), torch.ones(3).double()
    )
    moved = mel_prediction.sound(errors.detach() + unit, found) - mel_prediction.sound(errors.detach(), found)
    torch.testing.assert_close((gradient * unit).sum(), (moved * weight).sum())


@pytest.mark.parametrize("order", [0, 257])
def test_other_orders_are_refused(order: int) -> None:
    with pytest.raises(ValueError, match=f"order={order}: expected 1 to 256"):
        mel_prediction.predictors(mels(1, 3), RATE, order)
