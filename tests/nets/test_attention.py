"""Attention against its formula, its derivatives, and its cache."""

import math

import pytest
import torch

from genarena.nets.attention import SelfAttention, attend
from genarena.nets.transformer import ImageTransformer, Transformer


def heads(length: int = 5, dtype: torch.dtype = torch.float64) -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.randn(2, 3, length, 4, dtype=dtype) for _ in range(3)]


@pytest.mark.parametrize("backend", ["fused", "math"])
@pytest.mark.parametrize("causal", [False, True])
def test_attention_is_its_formula(backend: str, causal: bool) -> None:
    query, key, value = heads()
    expected = torch.zeros_like(value)
    for n in range(2):
        for h in range(3):
            for t in range(5):
                seen = t + 1 if causal else 5
                weights = torch.exp(key[n, h, :seen] @ query[n, h, t] / math.sqrt(4))
                expected[n, h, t] = weights @ value[n, h, :seen] / weights.sum()
    torch.testing.assert_close(attend(query, key, value, causal, backend), expected)


def test_attention_in_bfloat16_on_a_cpu_is_rounded_once() -> None:
    query, key, value = (part.bfloat16() for part in heads())
    exact = attend(query.double(), key.double(), value.double())
    assert torch.equal(attend(query, key, value), exact.float().bfloat16())


@pytest.mark.parametrize("causal", [False, True])
def test_math_backend_has_second_and_forward_derivatives(causal: bool) -> None:
    parts = [part[:1, :1, :3].clone().requires_grad_() for part in heads()]

    def through(*parts: torch.Tensor) -> torch.Tensor:
        return attend(*parts, causal, "math")

    assert torch.autograd.gradgradcheck(through, parts)
    assert torch.autograd.gradcheck(through, parts, check_forward_ad=True)


def test_heads_that_do_not_divide_the_features_are_refused() -> None:
    with pytest.raises(ValueError, match="hidden_channels=10: expected a multiple of num_heads=4"):
        SelfAttention(10, 4)


@pytest.mark.parametrize("backend", ["fused", "math"])
def test_steps_with_a_cache_are_one_causal_pass(backend: str) -> None:
    torch.manual_seed(0)
    transformer = Transformer(6, 8, 2, 2, causal=True, backend=backend, context_features=3).double().eval()
    torch.nn.init.normal_(transformer.context.weight)
    x, context = torch.randn(4, 6, 8, dtype=torch.float64), torch.randn(4, 3, dtype=torch.float64)
    caches, texts = transformer.caches(4), transformer.texts(None)
    steps = torch.stack([transformer.step(x[:, t], caches, context, texts) for t in range(6)], 1)
    torch.testing.assert_close(steps, transformer(x, context))
    assert not torch.allclose(steps, transformer(x, context.flip(0)))


@pytest.mark.parametrize("causal", [False, True])
def test_an_output_depends_on_the_inputs_up_to_its_own_or_on_all(causal: bool) -> None:
    torch.manual_seed(0)
    transformer = Transformer(6, 8, 2, 2, causal=causal).double()
    x = torch.randn(1, 6, 8, dtype=torch.float64, requires_grad=True)
    outputs = (transformer(x) * torch.randn(8, dtype=torch.float64)).sum(2)[0]
    reached = torch.stack([torch.autograd.grad(out, x, retain_graph=True)[0][0].abs().sum(1) > 0 for out in outputs])
    assert torch.equal(reached, torch.ones(6, 6, dtype=torch.bool).tril() if causal else torch.ones_like(reached))


def test_image_transformer_keeps_patches_in_their_places() -> None:
    """Any size; without blocks a pixel of the output depends on the pixels of its own patch only."""
    torch.manual_seed(0)
    network = ImageTransformer(2, 3, (1, 5, 4), hidden_channels=8, num_blocks=1, num_heads=2, patch=2)
    network.body.blocks = torch.nn.ModuleList()
    x = torch.randn(1, 2, 5, 4, requires_grad=True)
    out = network(x, torch.tensor([0.3]))
    assert out.shape == (1, 3, 5, 4)
    (gradient,) = torch.autograd.grad(out[0, 1, 3, 1], x)
    assert (gradient[0, :, 2:4, 0:2] != 0).all()
    assert int((gradient != 0).sum()) == 8
