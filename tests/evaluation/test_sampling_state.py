"""What sampling needs, of a model or more of every family: without the rest the same samples are drawn."""

import pytest
import torch
from torch import Tensor

from genarena.build import build
from genarena.evaluation import sampling_state
from genarena.models.base import GenerativeModel
from tests.models.tiny import tiny

MODELS = ["made", "gaussian", "memoriser", "ddpm", "masked_diffusion", "ebm", "glow", "sngan", "injective_flow", "vae"]
MODELS += ["latent_gmm", "latent_ar"]


def made(name: str, *overrides: str) -> GenerativeModel:
    torch.manual_seed(0)
    return build(tiny(name, *overrides), "model").eval()


def drawn(model: GenerativeModel) -> Tensor:
    torch.manual_seed(1)
    with torch.no_grad():
        return model.sample(3)


@pytest.mark.parametrize("name", MODELS)
def test_what_is_not_read_is_not_needed(name: str) -> None:
    model = made(name)
    needed = sampling_state.read(model, lambda: model.sample(1))
    before = drawn(model)
    with torch.no_grad():
        for key, tensor in model.state_dict().items():
            if key not in needed:
                tensor.fill_(float("nan") if tensor.is_floating_point() else 0)
    assert torch.equal(drawn(model), before)


def test_a_discriminator_is_not_needed() -> None:
    model = made("dcgan")
    found = sampling_state.sizes(model, lambda: model.sample(1))
    assert found["generator_parameters"] == sum(p.numel() for p in model.generator.parameters())
    assert found["generator_parameters"] < sum(p.numel() for p in model.parameters())


def test_a_memory_is_counted_though_nothing_of_it_was_trained() -> None:
    model = made("memoriser")
    memory = model.reservoir.memory.numel() + model.reservoir.count.numel()
    assert sampling_state.sizes(model, lambda: model.sample(1)) == {"generator_parameters": 0, "sampling_state": memory}


@pytest.mark.parametrize("start", ["buffer", "noise"])
def test_chains_count_where_samples_go_on_from_them(start: str) -> None:
    model = made("ebm", f"sampler.start={start}")
    found = sampling_state.sizes(model, lambda: model.sample(1))
    assert found["generator_parameters"] == sum(p.numel() for p in model.net.parameters())
    assert (found["sampling_state"] > model.buffer.chains.numel()) is (start == "buffer")


def test_one_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling_state, "PATIENCE", -1.0)
    model = made("made")
    with pytest.raises(TimeoutError, match="takes more than"):
        sampling_state.sizes(model, lambda: model.sample(1))


@pytest.mark.parametrize("how", ["attribute", "list", "buffer"])
def test_examples_are_counted_wherever_a_model_keeps_them(how: str) -> None:
    model, examples = made("uniform"), torch.zeros(50, 3)
    if how == "buffer":
        model.register_buffer("kept", examples, persistent=False)
    else:
        model.kept = examples if how == "attribute" else [examples]
    known = sampling_state.sizes(model, lambda: model.sample(1))["sampling_state"]
    found = sampling_state.sizes(model, lambda: (model.kept[0] if how == "list" else model.kept) + 1)
    assert found["sampling_state"] == 150 and known < 150
