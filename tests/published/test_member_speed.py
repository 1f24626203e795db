"""The lines of `scripts/bench.py` about members: both sides are timed in turn, and a missing reference is named."""

import sys

import pytest
import torch

from genarena.published import (
    alternation,
    density_speed,
    energy_speed,
    gan_speed,
    image_flow_speed,
    made_speed,
    picture_speed,
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
    model = gan_speed.WGANGP(gan_speed.DataSpec((2,)), hidden=8, latent_dim=2, n_critic=3)
    before = {name: value.clone() for name, value in model.named_parameters()}
    gan_speed._step(model, gan_speed.Batch(torch.randn(4, 2)), num_steps=2)()
    changed = {name.split(".")[0] for name, value in model.named_parameters() if not torch.equal(value, before[name])}
    assert changed == {"discriminator"}
