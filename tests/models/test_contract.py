"""One deep contract for every model in conf/model."""

import copy
import json
import math
import re
from functools import cache
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor

from genarena.build import build
from genarena.config import CONF, SOURCE, available, compose
from genarena.errors import UserError
from genarena.likelihood import Likelihood, from_unit, to_unit
from genarena.models.base import GenerativeModel
from genarena.models.capabilities import Differentiates, Discriminates, Emits, Represents, Weighs, Withholds
from genarena.models.splitting import Splits
from genarena.models.vocoding import Vocodes
from genarena.spec import Batch
from genarena.statistics.mel import padded
from tests.capability_table import models
from tests.first_stages import standing
from tests.homes import class_of, home, pictured
from tests.models.tiny import narrowed, often
from tests.models.unfilled import unfilled

MODELS = [name for name in available("model") if not name.endswith("_paper")]
PAPER_SIZE = [name for name in available("model") if name.endswith("_paper")]
CLASSES = {name: class_of(name) for name in MODELS}  # composing them all takes ten seconds
PICTURED = [name for name in MODELS if pictured(name)]
ALONE = [name for name in PICTURED if not CLASSES[name].needs_condition]
CONDITIONAL = [name for name in PICTURED if CLASSES[name].conditional and "label" in CLASSES[name].condition_kinds]
CAPTIONED = [name for name in CONDITIONAL if "caption" in CLASSES[name].condition_kinds]
SPOKEN = [name for name in MODELS if CLASSES[name].takes_mels and CLASSES[name].conditional]
HEARD = [name for name in MODELS if "mel" in CLASSES[name].condition_kinds and not pictured(name)]
CASES = [(name, "") for name in MODELS if not CLASSES[name].needs_condition]
CASES += [*((name, "label") for name in CONDITIONAL), *((name, "mel") for name in HEARD)]
CASES += [(name, "characters") for name in SPOKEN]


def every_case(capability: type = GenerativeModel) -> pytest.MarkDecorator:
    """Every model that has the capability, and each that can be conditional once more, with labels or mels; variants of models
    of images in `make test-slow` only."""
    cases = [case for case in CASES if issubclass(CLASSES[case[0]], capability)]
    marks = {name: pytest.mark.slow for name in PICTURED if name not in models()}
    found = [pytest.param(*case, id="-".join(filter(None, case)), marks=marks.get(case[0], ())) for case in cases]
    return pytest.mark.parametrize(("name", "given"), found)


EVERY_CASE = every_case()
SMALL_BATCH = 4


def make(name: str, *overrides: str, data: str | None = None, given: str = "", small: bool = True) -> GenerativeModel:
    """An untrained model, with narrow layers unless it is to have the sizes of its YAML. data: digits, or sound for what models
    sound alone. given: what it is conditional on."""
    torch.manual_seed(0)
    own = [f"data={data}"] if data else home(name)
    given = [f"data.condition={given}"] if given else []
    node = OmegaConf.to_container(standing(compose([f"model={name}", *own, *given, *overrides])), resolve=True)
    return build(narrowed(node) if small else node, "model")


def images(model: GenerativeModel, num: int = SMALL_BATCH, seed: int = 1) -> Tensor:
    """Smooth random images, or sound, of the model's shape and levels; of mels noise, with silence behind them."""
    generator = torch.Generator().manual_seed(seed)
    if model.spec.is_mel:
        mels = [torch.randn(80, 40 + row % 20, generator=generator) - 5.0 for row in range(num)]
        return torch.cat([padded(each[None], model.spec.shape[1]) for each in mels])
    if model.spec.is_sound:
        coarse, mode = torch.rand(num, model.spec.shape[0], model.spec.shape[1] // 4, generator=generator), "linear"
    else:
        coarse, mode = torch.rand(num, model.spec.shape[0], 4, 4, generator=generator), "bilinear"
    smooth = torch.nn.functional.interpolate(coarse, model.spec.shape[1:], mode=mode)
    return (smooth * model.spec.num_levels).floor().clamp_max(model.spec.num_levels - 1).to(model.spec.dtype)


def labels(model: GenerativeModel, num: int = SMALL_BATCH) -> Tensor | None:
    """All labels in turn, mels, or characters; None for an unconditional model."""
    condition = model.spec.condition
    if condition is not None and condition.kind == "mel":
        return torch.randn(num, *condition.shape, generator=torch.Generator().manual_seed(num)) - 5.0
    if condition is not None and condition.kind == "characters":
        (length,), generator = condition.shape, torch.Generator().manual_seed(num)
        texts = torch.randint(2, condition.size, (num, length), generator=generator)
        return torch.where(torch.arange(length) < length - torch.arange(num)[:, None] % 5, texts, 0)
    return condition.in_turn(num) if condition else None


def fitted(name: str, given: str = "") -> GenerativeModel:
    """A model that has seen a batch: baselines count it, data-dependent initialisation has happened. given: labels or mels.

    It is fitted once; what a test gets is a copy of its own."""
    return copy.deepcopy(_fitted(name, given))


@cache
def _fitted(name: str, given: str) -> GenerativeModel:
    model = make(name, given=given)
    with torch.no_grad():
        for seed in range(3):
            batch = Batch(images(model, 32, seed), labels(model, 32))
            model.train().observe(batch)
            model.loss(batch)
    if isinstance(model, Discriminates):  # an untrained generator draws grey, whatever its code is
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for parameter in model.generator.parameters():
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    if isinstance(model, Withholds):
        model.withhold(images(model, 32, 3))
    return model.eval()


@pytest.mark.parametrize("name", available("model"))
def test_one_name_everywhere(name: str) -> None:
    text = (CONF / "model" / f"{name}.yaml").read_text()
    assert len(text.splitlines()) <= 30
    parent = re.search(r"^defaults: \[(?!_self_)(\w+), _self_[],]", text, re.MULTILINE)
    if parent:
        assert parent[1] in available("model")
        return
    target = re.search(r"_target_: (genarena\.models\.\w+\.(\w+))\.(\w+)", text)
    assert target[2] == name.removesuffix("_paper")  # one whose optimiser has other options stands alone
    assert SOURCE.joinpath(*target[1].split(".")[1:]).with_suffix(".py").is_file()


@pytest.mark.parametrize("name", MODELS)
def test_class_facts(name: str) -> None:
    model = make(name, small=False)
    folder = Path(type(model).__module__.replace(".", "/")).parent.name
    assert model.family == folder, "family is the name of the folder"
    assert isinstance(model.likelihood, Likelihood)
    assert model.paper
    assert model.nfe >= 1


@EVERY_CASE
def test_loss_is_finite_and_reaches_every_parameter(name: str, given: str) -> None:
    model = make(name, given=given).train()
    batch = Batch(images(model, 10), labels(model, 10))
    model.loss(batch)  # data-dependent initialisation happens here
    with torch.no_grad():
        generator = torch.Generator().manual_seed(0)
        for parameter in model.parameters():  # zero-initialised layers would block the gradient of those before
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))
    model.progress = 0.5
    terms = model.loss(batch)
    assert all(value.dim() == 0 and torch.isfinite(value) for value in terms.values())
    parameters = dict(model.named_parameters())
    if not any(parameter.requires_grad for parameter in parameters.values()):
        assert not terms["loss"].requires_grad
        return
    terms["loss"].backward()
    blind = [key for key, p in parameters.items() if p.requires_grad and (p.grad is None or not p.grad.abs().sum() > 0)]
    assert not blind, "parameters that the loss does not reach"
    assert all(torch.isfinite(p.grad).all() for p in parameters.values() if p.requires_grad)


@EVERY_CASE
def test_a_loss_in_eval_mode_changes_no_weight_and_no_buffer(name: str, given: str) -> None:
    """Statistics, chains and starts change in training only, so a loss after the evaluation leaves the model as it was."""
    model = fitted(name, given)
    batch = Batch(images(model, 8, seed=9), labels(model, 8))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    model.loss(batch)
    for player in model.players():
        player.loss(batch)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


@EVERY_CASE
def test_samples_live_in_the_space_of_the_data(name: str, given: str) -> None:
    model = fitted(name, given)
    y = labels(model, 5)
    torch.manual_seed(3)
    samples = model.sample(5, y)
    assert samples.shape == (5, *model.spec.shape)
    assert samples.dtype == model.spec.dtype
    assert not model.spec.is_discrete or samples.max() < model.spec.num_levels
    torch.manual_seed(3)
    assert torch.equal(model.sample(5, y), samples)
    torch.manual_seed(4)
    without_chance = isinstance(model, Vocodes) and not model.noise_channels
    assert torch.equal(model.sample(5, y), samples) == without_chance
    assert all(p.grad is None for p in model.parameters())


@EVERY_CASE
def test_log_prob_where_it_is_claimed(name: str, given: str) -> None:
    model = fitted(name, given)
    x, y = images(model), labels(model)
    if model.likelihood is Likelihood.NONE:
        with pytest.raises(TypeError, match="no likelihood"):
            model.log_prob(x, y)
        return
    with torch.no_grad():
        torch.manual_seed(0)
        log_prob = model.log_prob(x, y)
        torch.manual_seed(0)
        again = model.log_prob(x, y)
    assert log_prob.shape == (SMALL_BATCH,)
    assert log_prob.dtype == torch.float32
    assert torch.isfinite(log_prob).all()
    assert torch.equal(log_prob, again)
    if model.spec.is_discrete and model.likelihood in (Likelihood.EXACT, Likelihood.LOWER_BOUND):
        assert (log_prob < 0).all()  # a probability mass, or a bound on one
    made = json.loads(json.dumps(model.estimator(7), allow_nan=False))
    assert made["method"]
    if (
        model.likelihood is not Likelihood.EXACT and "without chance" not in made["method"]
    ):  # how many draws stands beside it
        draws = "estimator(7) of a bound or an estimate names its number of draws, 7"
        assert 7 in made.values() or 8 in made.values(), draws


@every_case(Weighs)
def test_weights_average_to_the_bound(name: str, given: str) -> None:
    """E[log w] is the bound of one draw, example by example, for models whose bound draws can tighten."""
    model = fitted(name, given)
    x, y = images(model, 2), labels(model, 2)
    torch.manual_seed(0)
    with torch.no_grad():
        weights = model.log_weights(x, y, num_samples=100)
        single = torch.stack([model.log_prob(x, y) for _ in range(30)])
    assert weights.shape == (100, 2)
    error = (weights.var(0) / 100 + single.var(0) / 30).sqrt() + 1e-3
    assert ((weights.mean(0) - single.mean(0)).abs() < 4.0 * error).all()


@every_case(Splits)
def test_rate_and_distortion_are_the_bound(name: str, given: str) -> None:
    model = fitted(name, given)
    x, y = images(model), labels(model)
    with torch.no_grad():
        torch.manual_seed(0)
        parts = model.parts(x, y)
        torch.manual_seed(0)
        bound = model.log_prob(x, y)
        information = model.information(x, y)
    torch.testing.assert_close(-parts.distortion - parts.rate.sum(1), bound)
    assert parts.rate.shape[1] in (1, sum(parts.layers)) and parts.shift.shape[1] in (0, sum(parts.layers))
    assert information.shape == (SMALL_BATCH,) and (information <= math.log(SMALL_BATCH) + 1e-4).all()


@every_case(Emits)
def test_what_a_decoder_emits_is_what_it_samples(name: str, given: str) -> None:
    model = fitted(name, given)
    torch.manual_seed(0)
    samples = model.sample(4, labels(model))
    torch.manual_seed(0)
    z = torch.randn(4, model.latent_dim, requires_grad=True)
    emitted = model.emit(z, labels(model))
    rounding = int(model.spec.is_sound)  # 16 bits of the 24 of a float32: a step of it can end in the next level
    assert (from_unit(emitted, model.spec.num_levels).int() - samples.int()).abs().max() <= rounding
    assert torch.autograd.grad(emitted.sum(), z)[0].abs().sum() > 0


@every_case(Differentiates)
def test_a_density_has_the_gradient_that_its_differences_give(name: str, given: str) -> None:
    model = fitted(name, given)
    y, generator = labels(model), torch.Generator().manual_seed(2)
    u = to_unit(images(model), model.spec.num_levels).requires_grad_()
    (slope,) = torch.autograd.grad(model.log_density(u, y).sum(), u)
    step = torch.randn(u.shape, generator=generator) * 1e-2 / model.spec.num_levels
    with torch.no_grad():
        difference = model.log_density(u + step, y) - model.log_density(u - step, y)
    torch.testing.assert_close(2.0 * (slope * step).flatten(1).sum(1), difference, rtol=0.05, atol=0.02)
    assert slope.abs().sum() > 0


@every_case(Represents)
def test_features_of_a_layer_are_vectors_of_their_example_alone(name: str, given: str) -> None:
    model = fitted(name, given)
    x, y = images(model), labels(model)
    found = model.features(x, y)
    order = torch.tensor([2, 0, 3, 1])
    state = torch.get_rng_state()
    again = model.features(x[order], None if y is None else y[order])
    assert torch.equal(torch.get_rng_state(), state)  # no chance
    alone = [model.features(x[i : i + 1], None if y is None else y[i : i + 1]) for i in range(len(x))]
    assert found and list(found) == list(again)
    for layer, vectors in found.items():
        assert vectors.dim() == 2 and len(vectors) == SMALL_BATCH and vectors.dtype == torch.float32, layer
        assert not vectors.requires_grad and torch.isfinite(vectors).all() and vectors.std(0).max() > 0, layer
        tolerance = 1e-4 * max(1.0, vectors.abs().max().item())
        torch.testing.assert_close(again[layer], vectors[order], rtol=1e-4, atol=tolerance)
        torch.testing.assert_close(torch.cat([each[layer] for each in alone]), vectors, rtol=1e-4, atol=tolerance)


@EVERY_CASE
def test_exact_likelihoods_do_not_depend_on_the_batch(name: str, given: str) -> None:
    model = fitted(name, given)
    if model.likelihood is not Likelihood.EXACT:
        pytest.skip("random numbers differ between one batch and its rows")
    x, y = images(model), labels(model)
    with torch.no_grad():
        alone = torch.cat([model.log_prob(x[i : i + 1], y[i : i + 1] if given else None) for i in range(len(x))])
        torch.testing.assert_close(model.log_prob(x, y), alone, rtol=1e-5, atol=1e-3)


@EVERY_CASE
def test_saved_and_loaded_is_the_same_model(name: str, given: str, tmp_path: Path) -> None:
    model = fitted(name, given)
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    other = make(name, given=given)
    other.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    other.eval()
    torch.manual_seed(5)
    expected = model.sample(3, labels(model, 3))
    torch.manual_seed(5)
    assert torch.equal(other.sample(3, labels(model, 3)), expected)
    if model.likelihood in (Likelihood.EXACT, Likelihood.LOWER_BOUND):
        x, y = images(model), labels(model)
        torch.manual_seed(5)
        expected = model.log_prob(x, y)
        torch.manual_seed(5)
        assert torch.equal(other.log_prob(x, y), expected)


@pytest.mark.parametrize("name", often(ALONE))
def test_colour_images_of_256_levels(name: str) -> None:
    """16x16x3: a shape that no shipped data set has."""
    model = make(name, "data.image_size=16", "data.root=.", data="image_folder").train()
    terms = model.loss(Batch(images(model)))
    assert torch.isfinite(terms["loss"])
    with torch.no_grad():
        assert model.eval().sample(1).shape == (1, 3, 16, 16)


@pytest.mark.parametrize("name", often(PICTURED))
@pytest.mark.parametrize("data", ["mnist", "binary_mnist"])
def test_grey_images_of_28_pixels(name: str, data: str) -> None:
    given = "" if name in ALONE else "label"
    model = make(name, data=data, given=given, small=data != "mnist").train()  # once with the sizes of its YAML
    terms = model.loss(Batch(images(model, 2), labels(model, 2)))
    assert torch.isfinite(terms["loss"])


@pytest.mark.parametrize("name", often(MODELS))
def test_vectors_are_modelled_or_refused_in_one_line(name: str) -> None:
    try:
        model = make(name, data="toy2d")
    except UserError as error:
        assert "\n" not in str(error) and len(str(error)) > len("model: "), "the line says what is refused"
        return
    terms = model.train().loss(Batch(torch.randn(16, 2)))
    assert torch.isfinite(terms["loss"])
    samples = model.eval().sample(4)
    assert samples.shape == (4, 2)
    assert samples.is_floating_point()
    assert torch.isfinite(samples).all()


@pytest.mark.parametrize("name", PAPER_SIZE)
def test_paper_size_is_another_size_and_can_be_built(name: str) -> None:
    data = "image_folder" if pictured(name) and not class_of(name).needs_condition else None
    with unfilled():
        paper = make(name, "data.root=.", data=data, small=False)
        small = make(name.removesuffix("_paper"), "data.root=.", data=data, small=False)
    assert sum(p.numel() for p in paper.parameters()) != sum(p.numel() for p in small.parameters())
