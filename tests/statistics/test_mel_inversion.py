"""Magnitudes from mels: exact for flat spectra, and consistent with the bands after enough updates."""

import math

import pytest
import torch

from genarena.statistics import mel, mel_inversion

RATE = 22_050


def bands_of(magnitudes: torch.Tensor, rate: int = RATE) -> torch.Tensor:
    """The log-mel (1, BANDS, frames) of magnitudes (1, frames, 513)."""
    return (magnitudes @ mel.filterbank(rate).T).log().mT


def test_a_flat_spectrum_is_found_exactly_and_declines_above_8000_hz() -> None:
    found = mel_inversion.magnitudes(bands_of(torch.full((1, 2, 513), 3.0, dtype=torch.float64)), RATE)
    hertz = torch.arange(513) * (RATE / 1024)
    told = hertz <= mel_inversion.TOLD
    assert torch.allclose(found[..., told], torch.full_like(found[..., told], 3.0), rtol=1e-9)
    decline = torch.exp(-(hertz[~told].double() - mel_inversion.TOLD) / 2000.0)
    assert torch.allclose(found[..., ~told].square(), (9.0 * decline).expand(1, 2, -1), rtol=1e-9)


def test_updates_bring_the_bands_together() -> None:
    generator = torch.Generator().manual_seed(0)
    magnitudes = torch.rand(1, 3, 513, generator=generator, dtype=torch.float64).square() + 0.01
    wanted = bands_of(magnitudes).exp()
    errors = [
        (bands_of(mel_inversion.magnitudes(wanted.log(), RATE, steps)).exp() / wanted - 1.0)[:, 2:78].abs().max().item()
        for steps in (0, 10, 100)
    ]
    assert errors[0] > 0.05 and errors[2] < errors[1] < errors[0] and errors[2] < 0.01


def test_white_noise_has_no_correlation() -> None:
    """With frequencies up to 8,000 Hz only, the mel tells all: E|X| = sqrt(pi / 4) sd sqrt(sum of the squared window)."""
    deviation = 0.05
    energy = mel.window(torch.zeros((), dtype=torch.float64)).square().sum().item()
    expected = math.sqrt(math.pi / 4.0 * energy) * deviation
    flat = bands_of(torch.full((1, 1, 513), expected, dtype=torch.float64), 16_000)
    lags = mel_inversion.autocorrelation(mel_inversion.power(flat, 16_000), 5)[0, 0]
    assert lags[0].item() == pytest.approx(deviation**2, rel=1e-3)
    assert lags[1:].abs().max() < 1e-3 * deviation**2
