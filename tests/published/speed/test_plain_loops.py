"""The plain loops beside our GANs and invertible autoencoders, on the networks of ours: losses and gradients have the same mean
over their draws."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from genarena.published.speed import gan_loops, manifolds
from genarena.published.speed.gans import ADAM
from genarena.spec import Batch, DataSpec
from genarena.training.players import seated
from tests.published.speed.test_plain_members import assert_same_mean

SMALL, ROWS, NUM = DataSpec((1, 8, 8), 256), 16, 60


def directions(parameters: list[nn.Parameter]) -> list[list[Tensor]]:
    return [[torch.randn_like(part) for part in parameters] for _ in range(3)]


def of_draws(loss: Callable[[], Tensor], parameters: list[nn.Parameter], along: list[list[Tensor]]) -> Tensor:
    """The loss and its slopes along the directions, (NUM, 4) of so many draws."""
    rows = []
    for _ in range(NUM):
        value = loss()
        gradient = torch.autograd.grad(value, parameters, allow_unused=True)
        slopes = [sum((g * d).sum() for g, d in zip(gradient, each, strict=True) if g is not None) for each in along]
        rows.append(torch.stack([value.detach(), *slopes]))
    return torch.stack(rows).double()


def assert_same_loss(first: Callable[[], Tensor], second: Callable[[], Tensor], of: nn.Module) -> None:
    parameters = [part for part in of.parameters() if part.requires_grad]
    along = directions(parameters)
    assert_same_mean(of_draws(first, parameters, along), of_draws(second, parameters, along))


def stirred(model: nn.Module) -> None:
    """Away from the start, where many layers are zero."""
    with torch.no_grad():
        for part in model.parameters():
            part.add_(0.05 * torch.randn_like(part))


@pytest.mark.parametrize("name", ["wgan_gp", "sngan", "r3gan", "infogan"])
def test_losses_of_both_players(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    seen: list[Any] = []
    monkeypatch.setattr(gan_loops, "_compared", lambda name, *parts, reader=None: seen.extend([*parts[:3], reader]))
    monkeypatch.setattr(gan_loops, "SPEC", SMALL)
    monkeypatch.setattr(gan_loops, "ROWS", ROWS)
    getattr(gan_loops, name)()
    ours, of_discriminator, of_generator, reader = seen
    stirred(ours)
    x = torch.randint(256, (ROWS, *SMALL.shape), dtype=torch.uint8)
    seats, _ = seated(ours.train(), ours.players(), ADAM)
    own = {seat.player.prefix: lambda seat=seat: seat.terms(Batch(x))[f"{seat.player.prefix}loss"] for seat in seats}
    real = x / 127.5 - 1.0
    for _ in range(50):  # of the power iterations of spectral normalisation
        ours.discriminator(real)
    assert_same_loss(own["discriminator_"], lambda: of_discriminator(real), reader or ours.discriminator)
    assert_same_loss(own["generator_"], lambda: of_generator(real), ours.generator)


@pytest.mark.parametrize("name", ["injective_flow", "free_form_flow", "manifold_flow"])
def test_losses_on_a_manifold(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    seen: list[Any] = []
    monkeypatch.setattr(manifolds, "compared", lambda *parts: None)
    monkeypatch.setattr(manifolds, "still", lambda *parts: None)
    monkeypatch.setattr(manifolds, "step", lambda *parts: seen.append(parts))
    monkeypatch.setattr(manifolds, "IMAGES", SMALL)
    monkeypatch.setattr(manifolds, "PICTURES", ROWS)
    monkeypatch.setattr(manifolds, "ROWS", ROWS)
    getattr(manifolds, name)()
    (ours, own), (_, plain) = seen
    stirred(ours)
    assert_same_loss(own, plain, ours)
