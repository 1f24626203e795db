"""gaussian_frames: the density of its frames and of their number, fitted in closed form."""

import math

import pytest
import torch
from torch.distributions import Geometric, MultivariateNormal

from genarena.models.baseline.gaussian_frames import GaussianFrames
from genarena.spec import Batch, DataSpec
from genarena.statistics import mel

SPEC = DataSpec((80, 40), sample_rate=22_050)


def clips(num: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    mixed = torch.randn(80, 80, generator=generator) / 9.0
    made = [mixed @ torch.randn(80, 20 + row % 15, generator=generator) - 5.0 for row in range(num)]
    return torch.cat([mel.padded(each[None], 40) for each in made])


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
def test_its_density_is_that_of_its_frames_and_their_number(covariance: str) -> None:
    x = clips(12)
    model = GaussianFrames(SPEC, covariance=covariance, shrinkage=1e-6)
    for part in x.split(5):
        model.observe(Batch(part))
    lengths = mel.lengths(x)
    frames = torch.cat([clip[:, :length] for clip, length in zip(x, lengths, strict=True)], 1).double()
    spread = frames.cov(correction=0)
    normal = MultivariateNormal(frames.mean(1), spread if covariance == "full" else spread.diagonal().diag())
    number = Geometric(torch.tensor(12.0 / len(frames.T), dtype=torch.float64))
    for clip, length, found in zip(x, lengths, model.log_prob(x), strict=True):
        wanted = normal.log_prob(clip[:, :length].T.double()).sum() + number.log_prob(length.double() - 1.0)
        assert found.item() == pytest.approx(wanted.item(), rel=1e-4)


def test_samples_have_its_mean_and_are_padded_with_silence() -> None:
    model = GaussianFrames(SPEC)
    model.observe(Batch(clips(12)))
    torch.manual_seed(0)
    x = model.sample(400)
    lengths = mel.lengths(x).double()
    assert x.shape == (400, 80, 40) and lengths.max() == 40.0
    heard = torch.cat([clip[:, : int(length)] for clip, length in zip(x, lengths, strict=True)], 1)
    assert (heard.mean(1) + 5.0).abs().max() < 0.3
    q = (model.clips / model.frames).item()
    cut = (1.0 - (1.0 - q) ** 40) / q  # mean of the smaller of a geometric number and 40
    assert lengths.mean().item() == pytest.approx(cut, abs=4.0 * lengths.std().item() / math.sqrt(400))


def test_other_data_and_covariances_are_refused() -> None:
    with pytest.raises(ValueError, match="models mel spectrograms"):
        GaussianFrames(DataSpec((1, 8, 8), 17))
    with pytest.raises(ValueError, match="covariance='round'"):
        GaussianFrames(SPEC, covariance="round")
