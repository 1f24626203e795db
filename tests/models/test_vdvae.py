"""The very deep hierarchy: zero residuals cost nothing, the bound is the sum over layers, and what it refuses."""

import itertools

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from genarena.models.vae.stochastic_layers import inferred, inferred_by
from genarena.models.vae.vdvae import VDVAE
from genarena.nets.bottleneck import BottomUp, resolutions
from genarena.spec import Batch, DataSpec

BINARY = DataSpec((1, 7, 9), 2)
SIZES = {
    "channels": 8,
    "middle_channels": 4,
    "z_channels": 2,
    "patch": 2,
    "encoder_blocks": [1, 1, 0, 1],
    "decoder_blocks": [2, 1, 0, 1],
}


def made(spec: DataSpec = BINARY, size: float = 0.3, **options: object) -> VDVAE:
    torch.manual_seed(0)
    model = VDVAE(spec, **{**SIZES, **options})
    for parameter in model.parameters():
        parameter.data.add_(size * torch.randn(parameter.shape))
    return model.eval()


def images(num: int = 4, spec: DataSpec = BINARY) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, spec.num_levels, (num, *spec.shape), generator=generator, dtype=torch.uint8)


@torch.no_grad()
def test_a_posterior_of_zero_residuals_costs_nothing_at_any_layer() -> None:
    model = made()
    for level in model.decoder.levels:
        for block in level:
            block.posterior[-1].weight.zero_()
            block.posterior[-1].bias.zero_()
    layers, _ = model.infer(images())
    assert len(layers) == 4 and all(torch.equal(layer.kl(), torch.zeros_like(layer.kl())) for layer in layers)
    terms = model.loss(Batch(images()))
    assert terms["kl"].item() == 0.0 and torch.equal(terms["loss"], terms["reconstruction"])
    weights = model.log_weights(images(), num_samples=3)  # log p(x|z) alone, z of the prior
    torch.manual_seed(7)
    found = model.log_weights(images(), num_samples=1)
    torch.manual_seed(7)
    layers, outputs = model.infer(images(), choose=inferred_by(model.noise(1, 4)))
    torch.testing.assert_close(found[0], model.head(outputs).log_prob(images()).flatten(1).sum(1))
    assert weights.shape == (3, 4)


@torch.no_grad()
def test_the_kls_of_the_layers_are_the_gap_between_likelihood_and_bound() -> None:
    model, x = made(), images()
    torch.manual_seed(2)
    bound = model.log_prob(x)
    torch.manual_seed(2)
    layers, outputs = model.infer(x)
    gap = model.head(outputs).log_prob(x).flatten(1).sum(1) - bound
    by_hand = [
        kl_divergence(*(Normal(part.mean, part.log_var.mul(0.5).exp()) for part in (layer.posterior, layer.prior)))
        for layer in layers
    ]
    torch.testing.assert_close(gap, sum(kl.flatten(1).sum(1) for kl in by_hand), rtol=1e-4, atol=1e-3)
    torch.manual_seed(2)
    terms = model.loss(Batch(x))
    for number, kl in enumerate(by_hand, 1):
        assert terms[f"kl_{number}"].item() == pytest.approx(kl.flatten(1).sum(1).mean().item(), rel=1e-4)
    assert (terms["loss"] - terms["reconstruction"]).item() == pytest.approx(gap.mean().item(), rel=1e-4)


@torch.no_grad()
def test_weights_of_all_images_sum_to_one() -> None:
    """E_q[w] = p(x); the sixteen images of 2x2 binary pixels have mass one together."""
    every = torch.tensor(list(itertools.product((0, 1), repeat=4)), dtype=torch.uint8).view(16, 1, 2, 2)
    model = made(DataSpec((1, 2, 2), 2), 0.2, patch=1, encoder_blocks=[1], decoder_blocks=[1])
    weights = model.log_weights(every.repeat(1000, 1, 1, 1), num_samples=1).exp().view(1000, 16)
    error = (weights.var(0).sum() / 1000).sqrt().item()
    assert error < 0.05
    assert weights.mean(0).sum().item() == pytest.approx(1.0, abs=4.0 * error)
    torch.manual_seed(3)
    place = torch.tensor([8, 4, 2, 1])
    shares = torch.bincount((model.sample(4000).flatten(1) * place).sum(1), minlength=16) / 4000
    noise = (weights.var(0) / 1000 + shares * (1.0 - shares) / 4000).sqrt()
    assert ((shares - weights.mean(0)).abs() < 4.0 * noise + 1e-3).all()


@torch.no_grad()
def test_a_layer_sees_those_above_and_the_image_alone() -> None:
    """What a later layer is does not reach an earlier one; every layer's q sees the image."""
    model = made()

    def recorded(layer: int, by: float) -> list[torch.Tensor]:
        def choose(index: int, prior: object, posterior: object) -> torch.Tensor:
            return posterior.mean + (by if index == layer else 0.0)

        layers, _ = model.infer(images(), choose=choose)
        return [each.posterior.mean for each in layers]

    plain = recorded(0, 0.0)
    for layer in range(4):
        moved = recorded(layer, 1.0)
        assert [torch.equal(a, b) for a, b in zip(plain, moved, strict=True)] == [index <= layer for index in range(4)]
    other = model.top_down(inferred, 4, None, model.bottom_up(1 - images(), None)).layers
    assert all(not torch.equal(a, b.posterior.mean) for a, b in zip(plain, other, strict=True))


def test_sizes_from_one_pixel_to_that_of_the_patches() -> None:
    assert resolutions(28, 28, 4) == [(1, 1), (2, 2), (4, 4), (7, 7)]
    assert resolutions(32, 32, 1)[-1] == (32, 32) and len(resolutions(32, 32, 1)) == 6
    assert resolutions(7, 9, 2) == [(1, 1), (1, 2), (2, 3), (4, 5)]
    maps = BottomUp(1, 6, 3, resolutions(7, 9, 2), [1, 0, 1, 1], patch=2)(torch.randn(2, 1, 7, 9))
    assert [tuple(each.shape) for each in maps] == [(2, 6, *size) for size in resolutions(7, 9, 2)]
    assert made().code_shapes == [(2, 1, 1), (2, 2, 3), (2, 4, 5), (2, 4, 5)]
    assert made().encode(images()).shape == (4, made().latent_dim) == (4, 2 + 12 + 40 + 40)


@pytest.mark.parametrize("name", ["encoder_blocks", "decoder_blocks"])
@pytest.mark.parametrize("blocks", [[], [0], [1, -1], [1, 1, 1, 1, 1]])
def test_refuses_numbers_of_blocks_that_do_not_fit(name: str, blocks: list[int]) -> None:
    with pytest.raises(ValueError, match=rf"{name}=.* at most 4x5, 2x3, 1x2, 1x1"):
        VDVAE(BINARY, **{**SIZES, name: blocks})


def test_refuses_vectors() -> None:
    with pytest.raises(ValueError, match="vdvae"):
        VDVAE(DataSpec((4,)))
