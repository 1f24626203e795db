"""Autoregressive models: identical pixels, and exactly as many bits as the likelihood says."""

import math
from collections.abc import Callable

import pytest
import torch

from genarena.compression import range_coding
from genarena.compression.range_coding import RangeCoder
from tests.compression.tiny import HEADS, QUIET, images, made, pixelcnn


@pytest.mark.parametrize("build", [pixelcnn, made])
@pytest.mark.parametrize(("shape", "num_levels", "pixels"), HEADS)
@torch.no_grad()
def test_round_trip_costs_what_log_prob_says(
    shape: tuple[int, ...], num_levels: int, pixels: str, build: Callable
) -> None:
    model = build(shape, num_levels, pixels)
    x, coder = images(model, 100), RangeCoder(model)
    words = coder.encode(x, QUIET)
    assert torch.equal(coder.decode(words, len(x), QUIET), x)
    claimed = -model.log_prob(x).double().sum().item() / math.log(2.0)
    assert claimed < 32 * len(words) + 32  # the words hold all of it, up to the rounding of the last one
    assert 32 * len(words) < 1.0005 * claimed + 64


@torch.no_grad()
def test_several_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(range_coding, "CHUNK", 7)
    model = pixelcnn((1, 4, 4), 17, "categorical")
    x, coder = images(model, 17), RangeCoder(model)
    assert torch.equal(coder.decode(coder.encode(x, QUIET), 17, QUIET), x)


@torch.no_grad()
def test_images_that_the_model_thinks_impossible_are_coded_too() -> None:
    model = pixelcnn((1, 4, 4), 2, "bernoulli")
    model.heads[0].out.bias.fill_(-200.0)  # P(1) underflows
    x, coder = torch.ones(4, 1, 4, 4, dtype=torch.uint8), RangeCoder(model)
    assert torch.equal(coder.decode(coder.encode(x, QUIET), 4, QUIET), x)
