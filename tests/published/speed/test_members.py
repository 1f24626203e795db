"""The lines of `scripts/bench.py` about members: both sides are timed in turn, and a missing reference is named."""

import sys

import pytest
import torch

from genarena.models.flow.elementwise import Affine
from genarena.published.speed import (
    alternation,
    energies,
    flows,
    gan_loops,
    gans,
    image_flows,
    made,
    pictures,
    pixelcnns,
    tokens,
    vaes,
)
from genarena.published.speed.alternation import Pair

REFERENCES = {
    "pythae": (vaes.vae, vaes.iwae, vaes.vamp_vae, vaes.vqvae),
    "x_transformers": (pictures.image_gpt,),
    "diffusers": (pictures.ddpm,),
    "torchcfm": (pictures.flow_matching,),
    "nflows.flows.base": (flows.nsf, flows.realnvp, image_flows.glow_spline),
    "nflows.transforms": (flows.nice,),
    "normflows": (flows.residual_flow, image_flows.glow),
    "torchdiffeq": (flows.ffjord,),
    "zuko": (flows.maf, flows.iaf, flows.nsf_autoregressive),
}


@pytest.mark.parametrize("reference", REFERENCES)
def test_without_the_reference_a_line_says_how_to_install_it(reference: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, reference, None)
    for benchmark in REFERENCES[reference]:
        package = reference.split(".")[0].replace("_", "-")
        assert benchmark() == f"{benchmark.__name__}: needs the reference, `pip install {package}`"


@pytest.mark.parametrize(("before", "repeats"), [(100.0, 1), (0.006, 4)])
def test_calls_take_turns_and_the_first_two_rounds_do_not_count(
    before: float, repeats: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the second say how often a short one is called."""
    clock, called = [0.0], []

    def call(name: str, seconds: float) -> None:
        called.append(name)
        clock[0] += seconds if len(called) > 4 else 100.0 if len(called) < 3 else before

    for name in ("perf_counter", "process_time"):  # the second on one thread
        monkeypatch.setattr(alternation.time, name, lambda: clock[0])
    pair = Pair("a step", lambda: call("ours", 0.002), lambda: call("theirs", 0.005))
    line = alternation.compared("made", "peer", [pair], 3)
    assert called == ["ours", "theirs"] * 2 + (["ours"] * repeats + ["theirs"] * repeats) * 3
    assert line == "made, a step: genarena 2.0 ms, peer 5.0 ms, 2.50x"


def test_a_step_changes_the_weights_and_a_still_call_has_no_gradient() -> None:
    layer = torch.nn.Linear(2, 1)
    before = layer.weight.clone()
    alternation.step(layer, lambda: layer(torch.ones(1, 2)).sum())()
    assert not torch.equal(before, layer.weight)
    assert not alternation.still(layer, lambda: layer(torch.ones(1, 2)))().requires_grad and not layer.training


def test_recomputed_samples_are_tokens_of_the_vocabulary() -> None:
    model = pictures.ImageGPT(pictures.DataSpec((1, 4, 4), 2), hidden_channels=8, num_blocks=1, num_heads=2)
    with torch.no_grad():
        tokens = pictures._recomputed(model.eval(), 3)
    assert tokens.shape == (3, 4) and tokens.unique().numel() > 1 and tokens.max() < 16


def test_plain_networks_have_the_sizes_of_ours() -> None:
    ours = gans.DCGAN(gans.SPEC, channels=gans.WIDTH, latent_dim=gans.CODE)
    pairs = (ours.generator, gans.PlainGenerator()), (ours.discriminator, gans.PlainDiscriminator())
    for pair in pairs:
        own, plain = (sorted(tuple(part.shape) for part in network.parameters()) for network in pair)
        assert own == plain


def test_a_plain_machine_has_the_free_energy_of_ours() -> None:
    ours, plain = energies.RBM(energies.BINARY, num_hidden=energies.HIDDEN), energies.PlainRBM()
    for name, parameter in plain.named_parameters():
        torch.nn.init.normal_(getattr(ours, name), std=0.1)
        parameter.data.copy_(getattr(ours, name))
    v = torch.rand(3, 784).bernoulli()
    torch.testing.assert_close(plain.free_energy(v), ours.free_energy(v))


def test_a_plain_masked_pixel_sees_the_pixels_before_it() -> None:
    model, v = made.PlainMADE(), torch.rand(784, requires_grad=True)
    for place in (0, 300, 783):
        (slope,) = torch.autograd.grad(model(v[None])[0, place], v)
        assert not slope[place:].any() and slope[:place].any() == (place > 0)


def test_a_player_moves_on_its_turn_only() -> None:
    model = gan_loops.WGANGP(gans.DataSpec((2,)), hidden=8, latent_dim=2, n_critic=3)
    before = {name: value.clone() for name, value in model.named_parameters()}
    gans.turns(model, gans.Batch(torch.randn(4, 2)), num_steps=2)()
    changed = {name.split(".")[0] for name, value in model.named_parameters() if not torch.equal(value, before[name])}
    assert changed == {"discriminator"}


def test_a_plain_pixelcnn_pp_has_the_sizes_and_the_masses_of_ours() -> None:
    """Levels of a mixture sum to one; its network is ours with other names."""
    ours, plain = pixelcnns.PixelCNNPP(pixelcnns.GREY), pixelcnns.PlainPixelCNNPP()
    own, other = (sorted(tuple(part.shape) for part in network.parameters()) for network in (ours, plain))
    assert own == other
    x, outputs = torch.randint(256, (2, 1, 28, 28)), torch.randn(2, 30, 28, 28)
    plain.forward = lambda x: outputs
    torch.testing.assert_close(plain.log_prob(x), ours.pixel.log_prob(outputs, x).flatten(1).sum(1))


@pytest.mark.parametrize("network", [pixelcnns.PlainPixelCNN, pixelcnns.PlainPixelCNNPP])
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
    block = tokens.CausalBlock(5, 4, Affine(), 64, 2, 2, "fused")
    torch.nn.init.normal_(block.head.weight, std=1e-3)  # where the limit of our scales does not matter
    z = torch.randn(3, 5, 4)
    with torch.no_grad():
        torch.testing.assert_close(tokens._undone(block, z), block.inverse(z))


def test_the_plain_chain_has_the_bound_of_ours() -> None:
    ours = tokens.D3PM(tokens.GREY, net=tokens.NET, num_steps=tokens.CHAIN_STEPS)
    plain = tokens.PlainD3PM(ours.embedding, ours.network, ours.chain)
    torch.manual_seed(0)
    x_0, t, p = torch.randint(256, (2, 784)), torch.tensor([3, 20]), torch.randn(2, 784, 256).softmax(-1)
    x_t = ours.chain.draw(x_0, t)
    own = plain.log_posterior(x_t, torch.nn.functional.one_hot(x_0, 256).float(), t)
    divergence = (own.exp() * (own - plain.log_posterior(x_t, p, t))).sum((1, 2))
    torch.testing.assert_close(divergence, ours.step_term(x_0, x_t, t, p), rtol=1e-3, atol=1e-3)
    with torch.no_grad():
        probs = plain.probs(x_t, t)
        torch.testing.assert_close(probs, ours.states(ours.predicted(x_t, t)), rtol=1e-4, atol=1e-5)
