"""TarFlow: causality, the exact determinant, and the cached inverse."""

import pytest
import torch
from torch import Tensor

from genarena.likelihood import Likelihood
from genarena.models.flow.elementwise import Affine, Spline
from genarena.models.flow.tarflow import CausalBlock, TarFlow
from genarena.spec import Batch, DataSpec

SIZES = {"num_flow_blocks": 2, "hidden_channels": 8, "num_layers": 1, "num_heads": 2}
KINDS = pytest.mark.parametrize("kind", ["affine", "spline"])


def shaken(module: torch.nn.Module, scale: float) -> torch.nn.Module:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(scale * torch.randn(parameter.shape, generator=generator))
    return module.eval().double()


def on_images(kind: str, shape: tuple[int, int, int] = (1, 4, 6), patch: int = 2) -> TarFlow:
    torch.manual_seed(0)
    model = TarFlow(DataSpec(shape, 4), patch=patch, elementwise=kind, **SIZES)
    model.loss(Batch(torch.randint(4, (32, *shape), dtype=torch.uint8)))
    return shaken(model, 0.1)


def causal_block(kind: str) -> tuple[CausalBlock, Tensor]:
    """A block of six tokens of three values, and data."""
    torch.manual_seed(0)
    block = CausalBlock(6, 3, Spline(4, 3.0) if kind == "spline" else Affine(), 8, 2, 2, "fused")
    return shaken(block, 0.3), torch.randn(5, 6, 3, dtype=torch.float64)


@KINDS
def test_a_token_depends_on_all_before_it_and_on_no_later_one(kind: str) -> None:
    """By gradients of every token; the first passes unchanged, the others do not."""
    block, x = causal_block(kind)
    z = block(x.requires_grad_())[0]
    torch.testing.assert_close(z[:, 0], x[:, 0], atol=1e-14, rtol=0.0)
    assert ((z - x)[:, 1:].abs().amax((0, 2)) > 1e-3).all()
    for t in range(6):
        (seen,) = torch.autograd.grad(z[:, t].square().sum(), x, retain_graph=True)
        assert (seen[:, t + 1 :] == 0.0).all()
        assert (seen[:, : t + 1].abs().amax((0, 2)) > 0.0).all()


@KINDS
def test_within_a_token_no_value_depends_on_another(kind: str) -> None:
    block, x = causal_block(kind)
    jacobian = torch.autograd.functional.jacobian(lambda row: block(row[None])[0][0, 4], x[0])[:, 4]
    assert torch.equal(jacobian, torch.diag(jacobian.diagonal()))


@KINDS
def test_the_cached_inverse_is_the_one_without_a_cache(kind: str) -> None:
    block, z = causal_block(kind)
    plain = torch.zeros_like(z)
    for _ in range(6):  # after pass t the first t tokens are right
        parameters = block._read(block.head(block.body(block.stem(plain[:, :-1]))), z)
        shifted = torch.cat([torch.zeros_like(parameters[:, :1]), parameters], 1).transpose(1, 2)
        plain = block.elementwise.inverse(z, shifted)
    with torch.no_grad():
        found = block.inverse(z)
    torch.testing.assert_close(found, plain, atol=1e-9, rtol=0.0)
    torch.testing.assert_close(block.inverse(z.requires_grad_()), plain, atol=1e-9, rtol=0.0)  # with gradients
    torch.testing.assert_close(block(found)[0], z, atol=1e-6, rtol=0.0)


@KINDS
@pytest.mark.parametrize(("shape", "patch"), [((1, 4, 6), 2), ((2, 3, 2), 1)])
def test_log_det_against_autograd_and_inverse(kind: str, shape: tuple[int, int, int], patch: int) -> None:
    model, u = on_images(kind, shape, patch), 0.02 + 0.96 * torch.rand(3, *shape, dtype=torch.float64)
    rows = [torch.autograd.functional.jacobian(lambda v: model.flow(v[None])[0][0], row).flatten(1) for row in u]
    z, log_det = model.flow(u)
    torch.testing.assert_close(log_det, torch.linalg.slogdet(torch.stack(rows))[1], atol=2e-5, rtol=0.0)
    torch.testing.assert_close(model.flow.inverse(z), u, atol=1e-6, rtol=0.0)
    assert model.likelihood is Likelihood.LOWER_BOUND


def test_levels_survive_encoding_and_decoding_and_evaluations_are_counted() -> None:
    model = on_images("spline").float()
    x = torch.randint(4, (5, 1, 4, 6), dtype=torch.uint8)
    with torch.no_grad():
        assert torch.equal(model.decode(model.encode(x)), x)
    assert model.nfe == 6  # patches


def test_a_label_changes_the_density_and_the_best_label_is_found() -> None:
    """Bayes' rule with p(x | y), whose means differ by label alone."""
    torch.manual_seed(0)
    spec = DataSpec((1, 4, 4), 4, num_classes=2, condition="label")
    model = TarFlow(spec, patch=2, pixels="logit", **SIZES).eval()
    with torch.no_grad():
        for weight in (prior := model.flow.bijections[-1]).parameters():
            weight.zero_()
        prior.context.weight[:16, 1] += 1.5 / 2**0.5  # the mean of class 1
    for label in (0, 1):
        y = torch.full((20,), label)
        x = model.sample(20, y)
        with torch.no_grad():
            scores = torch.stack([model.log_prob(x, torch.full((20,), other)) for other in (0, 1)])
        assert (scores.argmax(0) == label).double().mean() >= 0.95  # six deviations lie between the classes


def test_refusals() -> None:
    with pytest.raises(ValueError, match="^patch=4: expected 1 or 2 for images of 4x4$"):
        TarFlow(DataSpec((1, 4, 4), 4), patch=4)  # one token
    with pytest.raises(ValueError, match="^patch=5: expected 1, 2, 4, 7 or 14 for images of 28x28$"):
        TarFlow(DataSpec((1, 28, 28), 4), patch=5)
    with pytest.raises(ValueError, match="^patch=null: expected none, because no size fits for images of 1x1$"):
        TarFlow(DataSpec((1, 1, 1), 4))
    assert [TarFlow(DataSpec((1, size, size), 4), hidden_channels=8).chosen["patch"] for size in (8, 9)] == [2, 1]
    with pytest.raises(ValueError, match="hidden_channels=9: expected a multiple of num_heads=2"):
        TarFlow(DataSpec((1, 4, 4), 4), patch=2, hidden_channels=9, num_heads=2)
    with pytest.raises(ValueError, match=r"shape \(3,\)"):
        TarFlow(DataSpec((3,)))
