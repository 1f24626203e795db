"""The task on a Gaussian of digits: lines beside floors and the ceiling, pictures; untrained twins; and what it refuses."""

import pytest
import torch
from torch import nn

from genarena.data.digits import Digits
from genarena.models.baseline.gaussian import Gaussian
from genarena.models.baseline.memoriser import Memoriser
from genarena.models.vae.vae import VAE
from genarena.spec import Batch, DataSpec
from genarena.tasks.representation import Representation
from genarena.tasks.representing import codes, floors
from genarena.tasks.representing.examples import examples
from genarena.tasks.representing.layers import Layers
from genarena.tasks.representing.probes import Bench
from genarena.tasks.untrained import untrained

SPEC = DataSpec((1, 8, 8), 17, 10)
FEW = {"num_train": 200, "num_val": 40, "num_test": 60, "per_class": [1, 3]}


@pytest.fixture(scope="module")
def digits() -> Digits:
    data = Digits(spec=SPEC)
    data.setup()
    return data


def test_a_case_has_the_layers_of_the_model_the_floors_and_the_ceiling(
    digits: Digits, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENARENA_CACHE", str(tmp_path))
    model = Gaussian(SPEC)
    model.observe(Batch(digits.train.x))
    task = Representation(**FEW)
    found = task.solve(model, task.algorithm_for(model), digits, "class")
    assert list(found.lines) == ["whitened"] and found.num_examples == 60
    floors = ["pixels", "PCA-32", "random linear 32", "random ReLU 512", "classifier of the labels", "labels shuffled"]
    assert list(found.floors) == floors  # a Gaussian has no networks that could be untrained
    ceiling, pixels = found.floors["classifier of the labels"], found.floors["pixels"].metrics
    assert ceiling.is_real and ceiling.metrics["linear"]["value"] > pixels["linear"]["value"] > 0.8
    assert found.lines["whitened"].metrics["linear"]["margin"]["over"] == "random ReLU 512"
    assert found.facts["train"] == 200 and found.facts["chosen"] == {
        "whitened": "best linear probe and neighbours on validation"
    }
    assert found.lines["whitened"].roles == ("best layer by linear probe", "best layer by neighbours")
    assert found.pictures["neighbours.png"].shape == (60, 1, 8, 8) and {"codes.png", "labels.png"} <= set(
        found.pictures
    )
    again = task.solve(model, task.algorithm_for(model), digits, "class")  # floors from the cache
    assert again.floors["pixels"] == found.floors["pixels"] and again.lines == found.lines


def test_an_untrained_twin_has_the_networks_and_other_weights(digits: Digits) -> None:
    model = VAE(SPEC, latent_dim=4, hidden=16, channels=8)
    assert untrained(model, digits) is None  # it is of no run
    model.untrained = lambda: VAE(SPEC, latent_dim=4, hidden=16, channels=8)
    state = torch.get_rng_state()
    one, two = untrained(model, digits), untrained(model, digits)
    assert torch.equal(torch.get_rng_state(), state) and not one.training
    assert {name: each.shape for name, each in one.state_dict().items()} == {
        name: each.shape for name, each in model.state_dict().items()
    }
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))
    line = Representation().untrained(model, digits, Bench(examples(digits, "class", (200, 40, 60)), (1,)))
    [(name, found)] = line.items()
    assert found.roles == ("untrained, best layer",)
    assert found.metrics["linear"]["value"] > 0.5 and name in ("untrained, encoder", "untrained, code")


def test_a_layer_is_chosen_by_each_probe_or_by_name() -> None:
    scores = {"low": {"linear": 0.9, "knn": 0.7}, "high": {"linear": 0.8, "knn": 0.95}}
    assert Layers().chosen(scores) == {
        "low": ("linear probe",),
        "high": ("neighbours",),
    }
    assert Layers("high").chosen(scores) == {"high": ()}
    with pytest.raises(ValueError, match="layer=hihg: no such layer; did you mean high"):
        Layers("hihg").refuse_unknown(scores)
    Layers().refuse_unknown(scores)


def test_an_unknown_layer_is_refused_before_the_floors_are_measured(
    digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(floors, "measured", lambda *_: pytest.fail("the floors take minutes"))
    model = Gaussian(SPEC)
    model.observe(Batch(digits.train.x))
    with pytest.raises(ValueError, match="layer=white: no such layer; did you mean whitened"):
        Representation(**FEW, algorithm=Layers("white")).solve(model, Layers("white"), digits, "class")


def test_what_cannot_be_asked_is_refused_in_one_line() -> None:
    with pytest.raises(ValueError, match="needs data with at least two labels"):
        Representation().check(DataSpec((1, 8, 8), 17))
    with pytest.raises(ValueError, match="data.missing=mcar: the probes need rows without holes"):
        Representation().check(DataSpec((4,), None, 3, missing="mcar"))
    with pytest.raises(ValueError, match="per_class=\\[0\\]: expected numbers that are at least 1"):
        Representation(per_class=[0])
    with pytest.raises(ValueError, match="different values, at least one"):
        Representation(labels=[])
    with pytest.raises(ValueError, match="data.only=3: all its examples have one label"):
        Representation().examine({"only": 3, "_target_": "genarena.data.digits.Digits"})
    sprites = {"_target_": "genarena.data.sprites.Sprites"}
    Representation(labels=["class", "scale"]).examine(sprites)
    with pytest.raises(
        ValueError, match="labels=scala: no such labels; did you mean scale\\?; there are class, shape, scale"
    ):
        Representation(labels=["scala"]).examine(sprites)
    with pytest.raises(ValueError, match="labels=scale: no such labels; there are class$"):
        Representation(labels=["scale"]).examine({"_target_": "genarena.data.digits.Digits"})
    with pytest.raises(ValueError, match="Memoriser cannot do this task, which needs a model that Represents"):
        Representation().algorithm_for(Memoriser(SPEC))
    labelled = VAE(DataSpec((1, 8, 8), 17, 10, condition="label"))
    with pytest.raises(
        ValueError, match="data.condition=label without dropout of conditions: it has no codes without the"
    ):
        Representation().algorithm_for(labelled)


def test_codes_that_are_not_finite_are_refused_and_wide_ones_narrowed(
    digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = examples(digits, "class", (40, 20, 20))
    model = Gaussian(SPEC)
    model.observe(Batch(digits.train.x))
    monkeypatch.setattr(codes, "WIDEST", 7)
    [wide] = codes.of_model(model, found).values()
    assert [part.shape for part in wide] == [(40, 7), (20, 7), (20, 7)]
    broken = nn.Module()
    broken.features = lambda x: {"code": torch.full((len(x), 2), torch.nan)}
    broken.device = "cpu"
    with pytest.raises(ValueError, match="the codes of Module in code are not finite"):
        codes.of_model(broken, found)
