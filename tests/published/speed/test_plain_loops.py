"""The plain loops beside our GANs and invertible autoencoders, on the networks of ours: losses and gradients have the same mean
over their draws."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from genarena.models.energy.ebm import EBM
from genarena.models.energy.jem import JEM
from genarena.models.energy.recovery_ebm import RecoveryEBM
from genarena.published.speed import energies, gan_loops, manifolds
from genarena.published.speed.gans import ADAM
from genarena.spec import Batch, Condition, DataSpec
from genarena.training.players import seated
from tests.published.speed.test_plain_members import assert_same_mean

SMALL, ROWS, NUM = DataSpec((1, 8, 8), 256), 16, 30


def gradient(loss: Callable[[], Tensor], model: nn.Module) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of a draw, and its gradient by part of the model, each as one vector."""
    value, parameters = loss(), dict(model.named_parameters())
    found = dict(
        zip(parameters, torch.autograd.grad(value, list(parameters.values()), materialize_grads=True), strict=True)
    )
    parts = {name.split(".")[0]: [] for name in found}
    for name, part in found.items():
        parts[name.split(".")[0]].append(part.flatten())
    return value.detach(), {child: torch.cat(part) for child, part in parts.items()}


def of_draws(loss: Callable[[], Tensor], model: nn.Module, along: dict[str, Tensor]) -> Tensor:
    """The loss and its slopes along a direction of each part, in NUM rows of so many draws."""
    rows = []
    for _ in range(NUM):
        value, found = gradient(loss, model)
        rows.append(torch.stack([value, *((found[child] * along[child]).sum() for child in along)]))
    return torch.stack(rows).double()


def assert_same_loss(first: Callable[[], Tensor], second: Callable[[], Tensor], of: nn.Module) -> None:
    """Along the mean gradient of ten draws, where noise is smallest beside what is measured."""
    each = [gradient(first, of)[1] for _ in range(10)]
    along = {child: sum(found[child] for found in each) / len(each) for child in each[0]}
    assert_same_mean(of_draws(first, of, along), of_draws(second, of, along))


def stirred(model: nn.Module, size: float = 0.05) -> None:
    """Away from the start, where many layers are zero."""
    with torch.no_grad():
        for part in model.parameters():
            part.add_(size * torch.randn_like(part))


@pytest.mark.parametrize("name", ["wgan_gp", "sngan", pytest.param("r3gan", marks=pytest.mark.slow), "infogan"])
def test_losses_of_both_players(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    seen: list[Any] = []
    monkeypatch.setattr(gan_loops, "_compared", lambda name, *parts, reader=None: seen.extend([*parts[:3], reader]))
    monkeypatch.setattr(gan_loops, "SPEC", SMALL)
    monkeypatch.setattr(gan_loops, "ROWS", ROWS)
    monkeypatch.setattr(gan_loops, "GAMMA", 20.0)  # a penalty that counts
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


@pytest.mark.parametrize(
    "name", ["injective_flow", "free_form_flow", pytest.param("manifold_flow", marks=pytest.mark.slow)]
)
def test_losses_on_a_manifold(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    seen: list[Any] = []
    monkeypatch.setattr(manifolds, "compared", lambda *parts: None)
    monkeypatch.setattr(manifolds, "still", lambda *parts: None)
    monkeypatch.setattr(manifolds, "step", lambda *parts: seen.append(parts))
    monkeypatch.setattr(manifolds, "IMAGES", SMALL)
    monkeypatch.setattr(manifolds, "PICTURES", ROWS)
    monkeypatch.setattr(manifolds, "BETA", 0.1)  # the volume counts
    monkeypatch.setattr(manifolds, "NOISE", 0.01)
    monkeypatch.setattr(manifolds, "ROWS", ROWS)
    getattr(manifolds, name)()
    (ours, own), (_, plain) = seen
    stirred(ours)
    if name == "manifold_flow":
        stirred(ours.coordinates, 0.3)
    assert_same_loss(own, plain, ours)


def chains_of(name: str) -> tuple[nn.Module, Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
    """Our model, and the ends of its chains and of the plain ones from points of six levels."""
    t, steps = torch.arange(6), energies.STEPS
    if name == "recovery_ebm":
        ours = RecoveryEBM(energies.GREY, num_levels=6)
        return ours, lambda x: ours.recovered(x, t, steps), lambda x: energies.PlainRecovery(ours).walked(x, t)
    labelled = replace(energies.GREY, condition=Condition("label", energies.LABELS))
    ours, scale = (EBM(energies.GREY), 28.0) if name == "ebm" else (JEM(labelled), 1.0)
    return ours, lambda x: ours._walked(x, None, steps), lambda x: energies._walked(ours.net, scale, x)


@pytest.mark.parametrize(("name", "stir"), [("ebm", 0.05), ("jem", 0.1), ("recovery_ebm", 0.05)])
def test_plain_chains_end_where_ours_do(name: str, stir: float) -> None:
    """With the same random numbers, before ours knows the moments of the data."""
    torch.manual_seed(0)
    ours, own, plain = chains_of(name)
    stirred(ours.net, stir)
    x = torch.randn(6, *energies.GREY.shape)

    def ends(walked: Callable[[Tensor], Tensor]) -> Tensor:
        torch.manual_seed(1)
        return walked(x)

    found = ends(own)
    torch.testing.assert_close(found, ends(plain), atol=1e-4, rtol=1e-4)
    for part in ours.net.parameters():
        part.data.zero_()
    assert (found - ends(own)).abs().max() > 0.01  # the network had moved them
