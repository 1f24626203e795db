"""Paths between codes, their speed, and codes of the floors."""

import math

import pytest
import torch

from genarena.tasks.editing.codes import pixels, principal_components, standardised
from genarena.tasks.editing.paths import PLACES, lerp, slerp, speeds


def codes(num: int = 50, size: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(num, size, generator=generator), torch.randn(num, size, generator=generator)


def test_slerp_stays_on_the_sphere_and_lerp_leaves_it() -> None:
    first, last = (each / each.norm(dim=1, keepdim=True) * 8.0 for each in codes())
    for way in (lerp, slerp):
        assert torch.allclose(way(first, last, 0.0), first, atol=1e-5)
        assert torch.allclose(way(first, last, 1.0), last, atol=1e-5)
    assert torch.allclose(slerp(first, last, 0.5).norm(dim=1), torch.full((50,), 8.0), atol=1e-4)
    assert lerp(first, last, 0.5).norm(dim=1).mean() < 6.5
    there, back = slerp(first, last, 0.3), slerp(last, first, 0.7)
    assert torch.allclose(there, back, atol=1e-5)
    turned = torch.nn.functional.cosine_similarity(first, slerp(first, last, 0.25), dim=1).arccos()
    whole = torch.nn.functional.cosine_similarity(first, last, dim=1).arccos()
    assert torch.allclose(turned, 0.25 * whole, atol=1e-3)  # even in the angle
    assert torch.equal(slerp(first, first, 0.5), first)


def test_the_speed_of_known_paths() -> None:
    first, last = (each.double() for each in codes())
    even = speeds(lambda t: lerp(first, last, t))
    assert even.shape == (PLACES, 50)
    assert torch.allclose(even, (last - first).norm(dim=1).expand_as(even), rtol=1e-6)
    bent = speeds(lambda t: torch.full((1, 1), t, dtype=torch.float64).square())  # 2 t
    assert bent.mean().item() == pytest.approx(1.0, abs=1e-3) and (bent.amax() / bent.mean()).item() > 1.8
    unit = [each / each.norm(dim=1, keepdim=True) for each in (first, last)]
    arc = (unit[0] * unit[1]).sum(1).arccos()
    assert torch.allclose(speeds(lambda t: slerp(*unit, t)), arc.expand(PLACES, 50), rtol=1e-4)


def test_principal_components_keep_what_they_can() -> None:
    generator = torch.Generator().manual_seed(0)
    basis = torch.randn(3, 1, 4, 4, generator=generator)
    train = 0.3 + torch.einsum("nk,kchw->nchw", torch.randn(500, 3, generator=generator), basis)
    found = principal_components(train, 3)
    z = found.encode(train)
    assert torch.allclose(torch.cov(z.T), torch.eye(3), atol=1e-4)
    assert torch.allclose(found.decode(z), train, atol=1e-4)
    fewer = principal_components(train, 1)
    lost = (fewer.decode(fewer.encode(train)) - train).flatten(1).square().sum(1).mean().item()
    values = torch.linalg.eigvalsh(torch.cov(train.flatten(1).double().T))
    assert lost == pytest.approx(values[-3:-1].sum().item(), rel=0.01)  # the variance of the other two
    scaled, z = standardised(fewer, 2.0 * train + 1.0)
    assert torch.allclose(z.std(0), torch.ones(1), atol=1e-4) and z.mean(0).abs().max() < 1e-4
    assert torch.allclose(scaled.encode(2.0 * train + 1.0), z)
    assert torch.allclose(scaled.decode(z), fewer.decode(fewer.encode(2.0 * train + 1.0)), atol=1e-4)
    plain = pixels((1, 4, 4))
    assert torch.equal(plain.decode(plain.encode(train)), train) and not math.isnan(lost)
