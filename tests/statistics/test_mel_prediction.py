"""Linear prediction from the mel: an exact inverse, the predictor of a known process, and errors that are white."""

import pytest
import torch

from genarena.statistics import mel, mel_prediction

RATE = 22_050


def mels(num: int, frames: int, deviation: float = 1.5) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return -5.5 + deviation * torch.randn(num, mel.BANDS, frames, generator=generator)


@pytest.mark.parametrize("order", [1, 20, 64])
def test_sound_is_the_inverse_of_errors(order: int) -> None:
    """Neighbouring frames here have nothing in common: predictors change as they never do in speech."""
    found = mel_prediction.predictors(mels(2, 9), RATE, order)
    x = 0.1 * torch.randn(2, 2048, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    errors, squares = mel_prediction.errors(x, found)
    torch.testing.assert_close(mel_prediction.sound(errors, found), x, rtol=0.0, atol=1e-11)
    assert squares.shape == x.shape and found.every_variance.shape == x.shape


def test_each_sample_is_predicted_from_those_before_it() -> None:
    found = mel_prediction.predictors(mels(1, 3), RATE, 20)
    x = torch.randn(1, 512, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    errors, squares = mel_prediction.errors(x, found)
    for t in (0, 1, 7, 19, 20, 63, 64, 300, 511):
        a = found.early[0, t] if t < mel_prediction.BLOCK else found.coefficients[0, t // mel_prediction.BLOCK]
        past = [x[0, t - j] if t >= j else 0.0 for j in range(1, 21)]
        wanted = x[0, t] - sum(weight * value for weight, value in zip(a, past, strict=True))
        assert errors[0, t].item() == pytest.approx(wanted.item(), abs=1e-12)
        assert squares[0, t].item() == pytest.approx(a.square().sum().item())


def test_the_first_samples_have_the_variance_of_the_process() -> None:
    """Of white noise with the mel that it has on average, nothing can be predicted; of other noise more and more."""
    found = mel_prediction.predictors(mels(1, 3), RATE, 64)
    spread = found.every_variance[0]
    assert bool((spread[1:64] <= spread[:63] * (1 + 1e-12)).all()) and found.early[0, 0].abs().max() == 0.0


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


def test_orders_that_no_block_holds_are_refused() -> None:
    with pytest.raises(ValueError, match="order=65: expected 1 to 64"):
        mel_prediction.predictors(mels(1, 3), RATE, 65)
