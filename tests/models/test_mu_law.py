"""mu_law: the codec of telephones."""

import math

import numpy as np
import pytest
import torch

from genarena.models.baseline.mu_law import MuLaw, companded
from genarena.spec import DataSpec

SPEC = DataSpec((1, 65_536), 65_536, sample_rate=22_050)
LEVELS = torch.arange(65_536, dtype=torch.int32)[None, None]


def test_256_levels_in_equal_steps_of_the_logarithm() -> None:
    x = np.linspace(-1.0, 1.0, 2001)
    bent = np.sign(x) * np.log(1.0 + 255.0 * np.abs(x)) / np.log(256.0)
    steps = np.rint((bent + 1.0) / 2.0 * 255.0) / 255.0 * 2.0 - 1.0
    expected = np.sign(steps) * (256.0 ** np.abs(steps) - 1.0) / 255.0
    assert companded(torch.from_numpy(x), 256).numpy() == pytest.approx(expected, abs=1e-12)
    coded = MuLaw(SPEC).recode(LEVELS)
    assert coded.dtype == SPEC.dtype and len(coded.unique()) == 256


def test_the_error_is_at_most_half_a_step_of_the_loudness() -> None:
    x = (LEVELS[0, 0] - 32_768).double()
    error = (MuLaw(SPEC).recode(LEVELS)[0, 0] - 32_768).double() - x
    half = math.exp(math.log(256.0) / 255.0) - 1.0  # of 1 / mu + |x|
    assert (error.abs() <= half * (x.abs() + 32_768 / 255.0) + 1.0).all()
    assert error.abs().max() > 500.0, "loud samples are coarse"
    assert error[x.abs() < 50.0].abs().max() < 5.0, "quiet ones are fine"


def test_samples_are_held_out_sound_after_the_codec_and_pictures_are_refused() -> None:
    model = MuLaw(DataSpec((1, 1024), 65_536, sample_rate=22_050), capacity=3)
    examples = LEVELS[:, :, 30_000:31_024]
    model.withhold(examples)
    assert torch.equal(model.sample(1), model.recode(examples))
    with pytest.raises(ValueError, match="MuLaw models sound of one channel"):
        MuLaw(DataSpec((1, 8, 8), 17))
    with pytest.raises(ValueError, match="levels=1: expected at least 2"):
        MuLaw(SPEC, levels=1)
