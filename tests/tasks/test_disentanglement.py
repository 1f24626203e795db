"""The task on models whose codes are known: the factors, a rotation of them, noise; and what it refuses."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from genarena.spec import Condition, DataSpec
from genarena.statistics.disentanglement.information import entropies, mutual_information
from genarena.tasks.disentanglement import Disentanglement
from genarena.tasks.disentangling import pictures
from genarena.tasks.disentangling.codes import Encoder, table_of
from genarena.tasks.disentangling.floors import components, factors, noise, rotated
from genarena.tasks.disentangling.pictures import traversals
from genarena.tasks.disentangling.scores import Draws, Scored, scored
from tests.tasks.disentangling.worlds import GRID, SIZES, Reader, lights

SMALL = Disentanglement(num_points=200, num_trees=30)
NODE = {"_target_": "genarena.data.sprites_small.SpritesSmall"}


@pytest.fixture(autouse=True, scope="module")
def own_cache(tmp_path_factory) -> Iterator[None]:
    """The floors of the tests are made once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENARENA_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def test_a_model_that_reads_the_factors_scores_what_the_factors_do() -> None:
    data = lights()
    model = Reader(data)
    model.untrained = lambda: Reader(data, torch.zeros(3, 3))
    outcome = SMALL.solve(model, Encoder(), data, "")
    own, true = outcome.lines[""].metrics, outcome.floors["true factors"]
    assert {name: record["value"] for name, record in own.items()} == pytest.approx(
        {name: record["value"] for name, record in true.metrics.items()}, rel=1e-6, abs=1e-6
    )
    for name in ("mig", "factor_vae_score", "beta_vae_score", "sap_continuous", "modularity", "irs"):
        assert own[name]["value"] == pytest.approx(1.0, abs=1e-6)
    assert own["gaussian_total_correlation"]["value"] == pytest.approx(0.0, abs=1e-6)
    assert own["active_codes"]["value"] == 3 and own["mig"]["exact"] and own["mig"]["n"] == GRID
    assert list(own["mig"]["of_each"]) == list(SIZES)
    assert outcome.used == f"{GRID} combinations" and {each["counted"] for each in own.values()} == {"combinations"}
    dead = outcome.lines["untrained"].metrics
    assert dead["mig"]["value"] == dead["factor_vae_score"]["value"] == dead["active_codes"]["value"] == 0.0
    assert true.is_real and not outcome.floors["rotated factors"].is_real
    turned, useless = (outcome.floors[name].metrics for name in ("rotated factors", "independent noise"))
    assert turned["mig"]["value"] < 0.6 and turned["explicitness"]["value"] > 0.9
    assert useless["mig"]["value"] < 0.2
    assert model.seen == GRID + 1 + 3  # the grid once; the rest is for the picture of traversals


def test_the_rotation_keeps_all_information_and_no_correlation() -> None:
    data = lights()
    codes = table_of(data, rotated(data, 0), SIZES).codes
    assert np.cov(codes.T, ddof=0) == pytest.approx(np.eye(3), abs=1e-12)
    plain = table_of(data, factors(data), SIZES).codes
    turn = np.linalg.lstsq(plain, codes, rcond=None)[0]
    assert turn @ turn.T == pytest.approx(np.eye(3), abs=1e-12) and np.abs(turn).max() < 0.999
    assert table_of(data, noise(0), SIZES).codes.shape == (GRID, 10)
    assert (table_of(data, noise(0), SIZES).codes == table_of(data, noise(0), SIZES).codes).all()


def test_principal_components_are_those_of_the_training_pictures() -> None:
    data = lights()
    codes = components(data, 0)(data.train.x[:], torch.empty(0)).double()
    assert torch.cov(codes[:, :6].T).numpy() == pytest.approx(
        np.eye(6), abs=1e-3
    )  # three stretches, each with a fixed sum
    x = data.train.x[:].flatten(1).double()
    exact = torch.linalg.eigh(torch.cov(x.T)).eigenvectors[:, -3:]
    shares = torch.linalg.svdvals(exact.T @ torch.linalg.svd(x - x.mean(0)).Vh[:3].T)
    assert shares.numpy() == pytest.approx(np.ones(3), abs=1e-6)


def test_a_traversal_moves_one_code_only() -> None:
    codes = np.random.default_rng(0).normal(size=(1_000, 4)) * [1.0, 2.0, 0.1, 5.0]
    z = torch.tensor([0.3, -0.2, 0.1, 0.0])
    ways = traversals(z, codes, [3, 1])
    assert ways.shape == (2, 10, 4)
    for row, code in enumerate((3, 1)):
        still = [number for number in range(4) if number != code]
        assert torch.equal(ways[row][:, still], z[still].expand(10, 3))
        assert ways[row][[0, -1], code].tolist() == pytest.approx(np.quantile(codes[:, code], [0.01, 0.99]), rel=1e-6)


def test_the_pictures_show_the_factor_that_a_code_has() -> None:
    data = lights()
    shuffled = torch.tensor([[0.0, 1, 0], [0, 0, 1], [1, 0, 0]])
    coding = Encoder().coding(model := Reader(data, shuffled), data)
    table = table_of(data, coding, SIZES)
    information = mutual_information(table.codes, table.factors) / entropies(table.factors)
    shown = pictures.seen(Scored({}, information, information), table.codes, tuple(SIZES))
    rows = [row.split(": ")[1] for row in shown["traversals.png"].rows]
    assert rows == ["third 1.00", "first 1.00", "second 1.00"]
    moving = pictures.moved(model, data, coding, table.codes, 0)
    drawn = moving["traversals.png"]
    assert drawn.shape == (30, 1, 1, 9) and moving["traversals.gif"].shape == (18, 30, 1, 1, 9)
    third = drawn[:10].flatten(1) > 0  # the row of the code that is the third factor
    assert (third[:, :5] == third[0, :5]).all() and third[:, 5:].long().argmax(1).tolist() == sorted(
        third[:, 5:].long().argmax(1).tolist()
    )
    assert set(third[:, 5:].long().argmax(1).tolist()) == {0, 1, 2, 3}


def test_only_the_factors_asked_for_are_scored() -> None:
    data = lights()
    half = Reader(data, torch.diag(torch.tensor([1.0, 1.0, 0.0])))
    coding, draws = Encoder().coding(half, data), Draws(200, 20, 0)
    every = scored(table_of(data, coding, SIZES), tuple(SIZES), draws).metrics
    two = {name: SIZES[name] for name in ("first", "second")}
    some = scored(table_of(data, coding, two), tuple(two), draws).metrics
    assert every["mig"]["value"] == pytest.approx(2 / 3, abs=1e-6)
    assert some["mig"]["value"] == pytest.approx(1.0, abs=1e-6) and list(some["mig"]["of_each"]) == ["first", "second"]
    assert some["factor_vae_score"]["value"] == 1.0 and every["factor_vae_score"]["value"] < 0.8


def test_a_conditional_model_is_given_the_label() -> None:
    data = lights(label="second")
    model, given = Reader(data), []
    model.spec = DataSpec(data.spec.shape, 2, 3, condition=Condition("label", 3))
    read = model.encode
    model.encode = lambda x, y=None: given.append(y) or read(x)
    table_of(data, Encoder().coding(model, data), SIZES)
    assert torch.equal(torch.cat(given), torch.arange(GRID) // 4 % 3)
    model.spec = DataSpec(data.spec.shape, 2, 3, condition=Condition("caption", 9, (4,)))
    with pytest.raises(ValueError, match="conditional on caption; expected label, or no condition"):
        Encoder().coding(model, data)


def test_what_does_not_fit_is_refused_before_the_model_is_loaded() -> None:
    with pytest.raises(
        ValueError, match="digits has no known factors; use a set that is made of some, such as sprites_small"
    ):
        SMALL.examine({"_target_": "genarena.data.digits.Digits"})
    SMALL.examine(NODE)
    with pytest.raises(
        ValueError, match="factors=scales: there is no such factor; did you mean scale.*there are shape, scale"
    ):
        replace(SMALL, factors=["scales"]).examine(NODE)
    with pytest.raises(ValueError, match=r"factors=\['x', 'x'\]: expected different values"):
        Disentanglement(factors=["x", "x"])
    with pytest.raises(ValueError, match="num_trees=1: expected at least 2"):
        Disentanglement(num_trees=1)
    data = lights()
    with pytest.raises(ValueError, match="the model has 200 codes; at most 128"):
        table_of(data, lambda x, values: torch.zeros(len(x), 200), SIZES)
    with pytest.raises(ValueError, match="24 of 24 codes are not finite"):
        table_of(data, lambda x, values: torch.full((len(x), 2), torch.nan), SIZES)
