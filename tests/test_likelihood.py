"""Units, quantisers, dequantisation, schedules, specs."""

import math
from collections.abc import Callable

import pytest
import torch

from genarena import likelihood
from genarena.likelihood import Likelihood, bits_per_dim, dequantise, from_unit, log_mean_exp, quantise, to_unit
from genarena.spec import DataSpec, level_dtype
from genarena.training import schedule


@pytest.mark.parametrize("levels", [2, 17, 256, 65_536])
def test_a_uniform_model_scores_log2_levels(levels: int) -> None:
    dims = 12
    log_prob = torch.full((3,), -dims * math.log(levels))
    torch.testing.assert_close(bits_per_dim(log_prob, dims), torch.full((3,), math.log2(levels)))


@pytest.mark.parametrize("levels", [2, 17, 256, 65_536])
def test_both_quantisers_give_the_levels_back(levels: int) -> None:
    x = torch.arange(levels, dtype=level_dtype(levels))
    assert torch.equal(from_unit(to_unit(x, levels), levels), x)
    assert to_unit(x, levels)[0] == -1.0
    assert to_unit(x, levels)[-1] == 1.0
    assert from_unit(torch.tensor([-9.0, 9.0]), levels).tolist() == [0, levels - 1]
    assert quantise(torch.tensor([-0.1, 1.0, 2.0]), levels).tolist() == [0, levels - 1, levels - 1]


def test_amplitudes_are_those_of_a_wav_file() -> None:
    """Which holds 16-bit integers from -32,768; a reader divides them by 32,768."""
    x = torch.arange(65_536, dtype=torch.int32)
    amplitudes = likelihood.to_amplitudes(x, 65_536)
    assert amplitudes[[0, 32_768, 65_535]].tolist() == [-1.0, 0.0, 32_767 / 32_768]
    assert torch.equal(likelihood.from_amplitudes(amplitudes, 65_536), x)
    assert likelihood.from_amplitudes(torch.tensor([-2.0, 2.0]), 65_536).tolist() == [0, 65_535]
    assert (likelihood.to_unit(x, 65_536) - amplitudes).abs().max() <= 1.01 / 32_768, "a level"


@pytest.mark.parametrize("noise", [0.0, 2.0**-24, 0.5, 1.0 - 2.0**-20, 1.0 - 2.0**-24])
def test_noise_never_leaves_the_bin_of_its_level(noise: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """For every alphabet and level; in float32 255 + 0.9999999 is 256, and 15 / 22 * 22 is below 15."""
    monkeypatch.setattr(torch, "rand", lambda shape, device: torch.full(shape, noise))
    for levels in (*range(2, 257), 512, 65_536):
        x = torch.arange(levels, dtype=level_dtype(levels))
        u = dequantise(x, levels)
        assert u.min() >= 0.0
        assert u.max() < 1.0
        assert torch.equal(quantise(u, levels), x)


BROKEN = [float("nan"), float("inf"), float("-inf")]


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("quantiser", [from_unit, quantise])
def test_what_is_not_finite_never_becomes_a_level(broken: float, quantiser: Callable) -> None:
    x = torch.tensor([[0.1, 0.9], [broken, 0.9]])
    found = quantiser(x, 17)
    assert found.isnan().tolist() == [[False, False], [True, False]]
    assert torch.equal(found[0], quantiser(x[:1], 17)[0].float())
    assert quantiser(x[:1], 17).dtype == torch.uint8


def test_a_dequantised_uniform_density_is_a_uniform_mass() -> None:
    """p(u) = 1 on the cube, so log P(x) = 0 + the constant = -D log L."""
    spec = DataSpec((1, 2, 3), 17)
    assert likelihood.dequantisation_log_det(spec) == pytest.approx(-6 * math.log(17))
    assert likelihood.dequantisation_log_det(DataSpec((2,))) == 0.0


def test_log_mean_exp_survives_large_numbers() -> None:
    weights = torch.tensor([[1000.0, -1000.0], [1001.0, -1001.0]])
    expected = torch.tensor([1000 + math.log((1 + math.e) / 2), -1000 + math.log((1 + 1 / math.e) / 2)])
    torch.testing.assert_close(log_mean_exp(weights), expected)


def test_signs() -> None:
    assert [kind.sign for kind in Likelihood] == ["=", "<=", "~", ""]


@pytest.mark.parametrize("name", ["warmup_cosine", "warmup_constant_cosine"])
def test_schedules_rise_and_fall_with_the_budget(name: str) -> None:
    factor = getattr(schedule, name)
    values = [factor(progress / 100, warmup=0.1, final=0.05) for progress in range(101)]
    assert 0 < values[0] < 0.02  # the first step moves a little
    assert values[:10] == sorted(values[:10])
    assert max(values) == pytest.approx(1.0, abs=1e-3)
    assert values[50:] == sorted(values[50:], reverse=True)
    assert values[-1] == pytest.approx(0.05)


def test_no_decay_is_constant() -> None:
    assert schedule.warmup_constant_cosine(1.0, decay=0.0) == 1.0
    assert schedule.constant(0.3) == 1.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((1, 2, 3, 4), 2), "shape"),
        (((0,), 2), "shape"),
        (((1, 2, 2), 1), "num_levels=1"),
        (((1, 2, 2), 65_537), "num_levels=65537"),
    ],
)
def test_impossible_specs_are_refused(arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DataSpec(*arguments)


def test_spec_facts() -> None:
    image, vector = DataSpec([3, 4, 5], 256), DataSpec((2,))
    assert (image.num_dims, image.is_image, image.is_discrete) == (60, True, True)
    assert (vector.num_dims, vector.is_image, vector.is_discrete) == (2, False, False)
    with pytest.raises(ValueError, match="glow models images"):
        vector.require_image("glow")
    sound = DataSpec((1, 768), 65_536, condition="mel", sample_rate=22_050)
    assert (sound.is_sound, sound.is_playable, sound.is_drawable, sound.dtype) == (True, True, True, torch.int32)
    assert (sound.condition.size, sound.condition.shape) == (80, (80, 4)), "frames at samples 0, 256, 512 and 768"
    sound.require_sound("waveglow")
    with pytest.raises(ValueError, match="waveglow models sound"):
        image.require_sound("waveglow")
    for shape in ((1, 500), (512,), (1, 8, 8)):
        with pytest.raises(ValueError, match="data.condition=mel: expected sound of one channel, a multiple of 256"):
            DataSpec(shape, 65_536, condition="mel")
