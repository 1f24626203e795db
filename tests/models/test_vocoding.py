"""Sound in chunks is the sound as a whole."""

import pytest
import torch

from genarena.models.vocoding import in_chunks
from tests.models.test_waveglow import mels, waveglow


@torch.no_grad()
@pytest.mark.parametrize("whitening", [0, 192])
@pytest.mark.parametrize("frames", [1, 7, 40])
def test_chunks_are_the_whole(frames: int, whitening: int) -> None:
    model = waveglow(1024, "mel", whitening=whitening)
    assert model.reach < 5 * 256
    mel, noise = mels(2, 40 * 256), torch.randn(2, 1, 40 * 256)
    whole = in_chunks(model, mel, noise, 1000)
    assert whole.shape == (2, 1, 40 * 256) and whole.dtype == torch.int32
    assert (in_chunks(model, mel, noise, frames) - whole).abs().max() <= 1, "rounding"


@torch.no_grad()
@pytest.mark.parametrize("whitening", [0, 192])
def test_it_is_what_the_model_samples(whitening: int) -> None:
    model = waveglow(1024, "mel", whitening=whitening)
    mel = mels(3, 1024)
    torch.manual_seed(0)
    samples = model.sample(3, mel)
    torch.manual_seed(0)
    noise = torch.randn(3, 1024)[:, None]
    assert (in_chunks(model, mel, noise) - samples).abs().max() <= 1


def test_bad_input_is_one_line() -> None:
    model, mel = waveglow(1024, "mel"), mels(1, 1024)
    with pytest.raises(ValueError, match=r"noise has shape \(1, 1, 5\): expected \(1, 1, 1024\) for a mel of 5 frames"):
        in_chunks(model, mel, torch.randn(1, 1, 5))
    with pytest.raises(ValueError, match="frames=0: expected at least 1"):
        in_chunks(model, mel, torch.randn(1, 1, 1024), 0)
    with pytest.raises(ValueError, match="trained without mels: train it with data.condition=mel"):
        in_chunks(waveglow(1024), mel, torch.randn(1, 1, 1024))
