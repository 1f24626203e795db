"""The lines of `scripts/bench.py` about members: both sides are timed in turn, and a missing reference is named."""

import sys

import pytest
import torch

from genarena.models.flow.elementwise import Affine
from genarena.published import (
    alternation,
    density_speed,
    energy_speed,
    gan_loop_speed,
    gan_speed,
    image_flow_speed,
    made_speed,
    picture_speed,
    pixelcnn_speed,
    token_speed,
    vae_speed,
)
from genarena.published.alternation import Pair

REFERENCES = {
    "pythae": (vae_speed.vae, vae_speed.iwae, vae_speed.vamp_vae, vae_speed.vqvae),
    "x_transformers": (picture_speed.image_gpt,),
    "diffusers": (picture_speed.ddpm,),
    "torchcfm": (picture_speed.flow_matching,),
    "nflows.flows.base": (density_speed.nsf, density_speed.realnvp, image_flow_speed.glow_spline),
    "nflows.transforms": (density_speed.nice,),
    "normflows": (density_speed.residual_flow, image_flow_speed.glow),
    "torchdiffeq": (density_speed.ffjord,),
    "zuko": (density_speed.maf, density_speed.iaf, density_speed.nsf_autoregressive),
}


@pytest.mark.parametrize("reference", REFERENCES)
def test_without_the_reference_a_line_says_how_to_install_it(reference: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, reference, None)
    for benchmark in REFERENCES[reference]:
        package = reference.split(".")[0].replace("_", "-")
        assert benchmark() == f"{benchmark.__name__}: needs the reference, `pip install {package}`"


def test_calls_take_turns_and_the_first_two_rounds_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, called = [0.0], []

    def call(name: str, seconds: float) -> None:
        called.append(name)
        clock[0] += seconds if len(called) > 4 else 100.0

    for name in ("perf_counter", "process_time"):  # the second on one thread
        monkeypatch.setattr(alternation.time, name, lambda: clock[0])
    pair = Pair("a step", lambda: call("ours", 0.002), lambda: call("theirs", 0.005))
    line = alternation.compared("made", "peer", [pair], 3)
    assert called == ["ours", "theirs"] * 5
    assert line == "made, a step: genarena 2.0 ms, peer 5.0 ms, 2.50x"


def test_a_step_changes_the_weights_and_a_still_call_has_no_gradient() -> None:
    layer = torch.nn.Linear(2, 1)
    before = layer.weight.clone()
    alternation.step(layer, lambda: layer(torch.ones(1, 2)).sum())()
    assert not torch.equal(before, layer.weight)
    assert not alternation.still(layer, lambda: layer(torch.ones(1, 2)))().requires_grad and not layer.training


def test_recomputed_samples_are_tokens_of_the_vocabulary() -> None:
    model = picture_speed.ImageGPT(picture_speed.DataSpec((1, 4, 4), 2), hidden_channels=8, num_blocks=1, num_heads=2)
    with torch.no_grad():
        tokens = picture_speed._recomputed(model.eval(), 3)
    assert tokens.shape == (3, 4) and tokens.unique().numel() > 1 and tokens.max() < 16


def test_plain_networks_have_the_sizes_of_ours() -> None:
    ours = gan_speed.DCGAN(gan_speed.SPEC, channels=gan_speed.WIDTH, latent_dim=gan_speed.CODE)
    pairs = (ours.generator, gan_speed.PlainGenerator()), (ours.discriminator, gan_speed.PlainDiscriminator())
    for pair in pairs:
        own, plain = (sorted(tuple(part.shape) for part in network.parameters()) for network in pair)
        assert own == plain


def test_a_plain_machine_has_the_free_energy_of_ours() -> None:
    ours, plain = energy_speed.RBM(energy_speed.BINARY, num_hidden=energy_speed.HIDDEN), energy_speed.PlainRBM()
    for name, parameter in plain.named_parameters():
        torch.nn.init.normal_(getattr(ours, name), std=0.1)
        parameter.data.copy_(getattr(ours, name))
    v = torch.rand(3, 784).bernoulli()
    torch.testing.assert_close(plain.free_energy(v), ours.free_energy(v))


def test_a_plain_masked_pixel_sees_the_pixels_before_it() -> None:
    model, v = made_speed.PlainMADE(), torch.rand(784, requires_grad=True)
    for place in (0, 300, 783):
        (slope,) = torch.autograd.grad(model(v[None])[0, place], v)
        assert not slope[place:].any() and slope[:place].any() == (place > 0)


def test_a_player_moves_on_its_turn_only() -> None:
    model = gan_loop_speed.WGANGP(gan_speed.DataSpec((2,)), hidden=8, latent_dim=2, n_critic=3)
    before = {name: value.clone() for name, value in model.named_parameters()}
    gan_speed.turns(model, gan_speed.Batch(torch.randn(4, 2)), num_steps=2)()
    changed = {name.split(".")[0] for name, value in model.named_parameters() if not torch.equal(value, before[name])}
    assert changed == {"discriminator"}


def test_a_plain_pixelcnn_pp_has_the_sizes_and_the_masses_of_ours() -> None:
    """Levels of a mixture sum to one; its network is ours with other names."""
    ours, plain = pixelcnn_speed.PixelCNNPP(pixelcnn_speed.GREY), pixelcnn_speed.PlainPixelCNNPP()
    own, other = (sorted(tuple(part.shape) for part in network.parameters()) for network in (ours, plain))
    assert own == other
    x, outputs = torch.randint(256, (2, 1, 28, 28)), torch.randn(2, 30, 28, 28)
    plain.forward = lambda x: outputs
    torch.testing.assert_close(plain.log_prob(x), ours.pixel.log_prob(outputs, x).flatten(1).sum(1))


@pytest.mark.parametrize("network", [pixelcnn_speed.PlainPixelCNN, pixelcnn_speed.PlainPixelCNNPP])
def test_a_plain_pixel_depends_on_those_before_it_alone(network: type[torch.nn.Module]) -> None:
    torch.manual_seed(0)
    plain, x = network(), torch.randint(256, (1, 1, 28, 28), dtype=torch.uint8)
    changed = x.clone()
    changed[0, 0, 10, 12] += 100
    with torch.no_grad():
        moved = (plain(x) != plain(changed)).any(1).flatten()
    place = 10 * 28 + 12
    assert not moved[: place + 1].any() and moved[place + 1] and moved[place + 28]


def test_a_plain_inverse_of_a_block_is_ours() -> None:
    torch.manual_seed(0)
    block = token_speed.CausalBlock(5, 4, Affine(), 64, 2, 2, "fused")
    torch.nn.init.normal_(block.head.weight, std=1e-3)  # where the limit of our scales does not matter
    z = torch.randn(3, 5, 4)
    with torch.no_grad():
        torch.testing.assert_close(token_speed._undone(block, z), block.inverse(z))


def test_the_plain_chain_has_the_bound_of_ours() -> None:
    ours = token_speed.D3PM(token_speed.GREY, net=token_speed.NET, num_steps=token_speed.CHAIN_STEPS)
    plain = token_speed.PlainD3PM(ours.embedding, ours.network, ours.chain)
    torch.manual_seed(0)
    x_0, t, p = torch.randint(256, (2, 784)), torch.tensor([3, 20]), torch.randn(2, 784, 256).softmax(-1)
    x_t = ours.chain.draw(x_0, t)
    own = plain.log_posterior(x_t, torch.nn.functional.one_hot(x_0, 256).float(), t)
    divergence = (own.exp() * (own - plain.log_posterior(x_t, p, t))).sum((1, 2))
    torch.testing.assert_close(divergence, ours.step_term(x_0, x_t, t, p), rtol=1e-3, atol=1e-3)
    with torch.no_grad():
        probs = plain.probs(x_t, t)
        torch.testing.assert_close(probs, ours.states(ours.predicted(x_t, t)), rtol=1e-4, atol=1e-5)
