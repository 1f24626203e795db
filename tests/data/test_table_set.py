"""Training with holes: which rows have them, what they change in the id, and what is refused."""

import math

import pytest
import torch
from omegaconf import OmegaConf

from genarena import config
from genarena.build import build
from genarena.data.table_set import TableSet
from genarena.errors import DataError, UserError
from genarena.models.flow.realnvp import RealNVP
from genarena.spec import DataSpec


def made(name: str = "wine", **options: object) -> TableSet:
    given = ["model=gaussian", f"data={name}", *(f"data.{key}={value}" for key, value in options.items())]
    node = OmegaConf.to_container(config.compose(config.check(given)), resolve=True)["data"]
    data = build(node, "data")
    data.setup()
    return data


@pytest.mark.parametrize("mechanism", ["mcar", "mnar_self"])
def test_only_what_a_model_learns_from_has_holes(mechanism: str) -> None:
    plain, data = made(), made(missing=mechanism, missing_rate=0.4)
    hidden = data.training_split.x.isnan()
    assert abs(hidden.float().mean().item() - 0.4) < 0.03
    assert data.shown["val"].x.isnan().any()
    for part in ("train", "val", "test"):
        x = getattr(data, part).x
        assert x.isfinite().all()
        assert torch.equal(data.complete[part], getattr(plain, part).x)  # the same rows, standardised otherwise
        assert torch.allclose(torch.corrcoef(x.T), torch.corrcoef(plain.complete[part].T), atol=1e-5)
    observed = data.training_split.x
    assert observed.nanmean(0).abs().max() < 1e-5
    assert torch.allclose(observed.square().nanmean(0), torch.ones(13), atol=1e-4)
    assert torch.equal(observed[~hidden], data.train.x[~hidden])
    assert torch.equal(hidden, plain.hidden("train", mechanism, 0.4, 0))  # holes do not depend on what is trained


def test_the_validation_batches_have_holes() -> None:
    class Trainer:
        lightning_module = type("Module", (), {"lockstep": False})
        global_rank, world_size = 0, 1

    for options, holes in (({}, False), ({"missing": "mcar"}, True)):
        data = made(**options)
        data.trainer = Trainer
        assert next(iter(data.val_dataloader())).x.isnan().any().item() is holes


def test_the_id_is_that_of_the_holes() -> None:
    ids = [
        made(**options).facts["id"]
        for options in (
            {},
            {"missing": "mcar"},
            {"missing": "mcar", "missing_rate": 0.5},
            {"missing": "mcar", "missing_seed": 1},
            {"missing": "mnar_quantile"},
        )
    ]
    assert len(set(ids)) == 5
    assert made(missing_rate=0.5).facts["id"] == ids[0]
    assert made(missing="mnar_quantile", missing_rate=0.5).facts["id"] == ids[4]


def test_targets_belong_to_the_rows() -> None:
    data, few = made("diabetes"), made("diabetes", max_test=20)
    assert data.train.y is None and data.targets("train").dtype == torch.float64
    for row, target in zip(few.test.x, few.targets("test"), strict=True):
        assert target in data.targets("test")[(data.test.x == row).all(1)]
    assert len(few.targets("test")) == 20
    slope = torch.corrcoef(torch.stack([data.train.x[:, 2].double(), data.targets("train")]))[0, 1]
    assert slope.item() == pytest.approx(0.586, abs=0.06)  # body mass index, as in the whole set
    assert torch.equal(made("iris").targets("test"), made("iris").test.y)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="data.missing=mcar: RealNVP needs every entry of x"):
        RealNVP(DataSpec((3,), missing="mcar"))
    with pytest.raises(DataError, match=r"data.missing=mcar: rate=1: expected a number between 0 and 1"):
        made(missing="mcar", missing_rate=1.0)
    with pytest.raises(ValueError, match="integer levels have no NaN"):
        DataSpec((1, 8, 8), 17, missing="mcar")
    with pytest.raises(UserError, match="data.missing=mca: expected mcar, mar"):
        config.check(["model=gaussian", "data=wine", "data.missing=mca"])
    assert math.isfinite(made(missing="not_miwae").train.x.sum().item())
