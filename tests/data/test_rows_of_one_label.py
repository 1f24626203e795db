"""Tables of which one label is learned: the splits have its rows alone, and the others keep their units."""

from pathlib import Path

import numpy as np
import pytest
import torch

from genarena.data.breast_cancer import BreastCancer
from genarena.data.diabetes import Diabetes
from genarena.data.tabular import Tabular
from genarena.errors import DataError
from genarena.spec import DataSpec


def benign(only: int | None = 1, **options: object) -> BreastCancer:
    data = BreastCancer(DataSpec((30,), num_classes=2), only=only, **options)
    data.setup()
    return data


def raw(data: BreastCancer, x: torch.Tensor) -> set[tuple[float, ...]]:
    rows = x.double() * data.raw_scale + data.raw_center
    return {tuple(float(f"{value:.4g}") for value in row) for row in rows.tolist()}


def test_splits_have_one_label_and_statistics_of_it_alone() -> None:
    whole, data = benign(None), benign()
    y = torch.cat([split.y for split in (whole.train, whole.val, whole.test)])
    assert len(data.others) == int((y == 0).sum()) == 212
    assert sum(split.size for split in (data.train, data.val, data.test)) == int((y == 1).sum()) == 357
    assert all((split.y == 1).all() for split in (data.train, data.val, data.test))
    assert data.train.x.mean(0).abs().max() < 1e-5 and (data.train.x.std(0, correction=0) - 1).abs().max() < 1e-4
    malignant = {part: getattr(whole, part).x[getattr(whole, part).y == 0] for part in ("train", "val", "test")}
    assert raw(data, data.others) == raw(whole, torch.cat([*malignant.values()]))
    assert data.others.mean() > 0.5  # tumours are larger
    assert data.facts["id"] != whole.facts["id"] and data.facts["cut"] == {"class": 1}


def test_holes_change_the_units_of_the_others_too() -> None:
    data = BreastCancer(DataSpec((30,), num_classes=2, missing="mcar"), only=1, missing="mcar")
    data.setup()
    assert raw(data, data.others) == raw(benign(), benign().others)


def test_a_column_of_labels_by_name_by_number_and_in_an_npz_file(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(200, 2)).round(4)
    labels = (np.arange(200) % 10 == 0).astype(int)
    lines = [f"{a},{label},{b}" for (a, b), label in zip(rows.tolist(), labels, strict=True)]
    (tmp_path / "t.csv").write_text("\n".join(["mass,Class,age", *lines]))
    (tmp_path / "plain.csv").write_text("\n".join(lines))
    np.savez(tmp_path / "t.npz", X=rows, y=labels)
    made = []
    for path, label in (("t.csv", "Class"), ("t.csv", 2), ("plain.csv", 2), ("t.npz", "y"), ("t.npz", 3)):
        made.append(Tabular(DataSpec((2,)), root=str(tmp_path), num_dims=2, path=path, label=label, only=0))
        made[-1].setup()
        for part in ("train", "val", "test"):
            assert torch.equal(getattr(made[-1], part).x, getattr(made[0], part).x)
        assert torch.equal(made[-1].others, made[0].others)
    found = made[0].others.double() * made[0].raw_scale + made[0].raw_center
    assert np.allclose(found.numpy(), rows[::10], atol=1e-6)
    assert sum(getattr(made[0], part).size for part in ("train", "val", "test")) == 180
    assert made[0].facts["id"].startswith("tabular-class0-") and made[0].train.y is None


def test_labels_that_cannot_be_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("\n".join(["a,class", *(f"{k}.5,{k % 2}" for k in range(40))]))

    def table(**options: object) -> None:
        Tabular(DataSpec((1,)), root=str(tmp_path), num_dims=1, path="t.csv", **options).setup()

    for options, said in (
        (
            {"label": "clas", "only": 0},
            "data.label=clas: .* has no such column; did you mean class.*; there are a, class",
        ),
        ({"label": 3, "only": 0}, "data.label=3: .* has no such column; there are a, class"),
        ({"label": "class", "only": 2}, "data.only=2: expected one of several labels; tabular has 0, 1"),
        ({"label": "class"}, "data.label=class: it needs data.only too"),
        ({"only": 1}, "data.only=1: it needs data.label too"),
    ):
        with pytest.raises(DataError, match=said):
            table(**options)
    with pytest.raises(DataError, match="data.only=1: diabetes has no labels"):
        Diabetes(DataSpec((10,)), only=1).setup()
    with pytest.raises(DataError, match="data.only=7: expected one of several labels; breast_cancer has 0, 1"):
        benign(7)
    np.savez(tmp_path / "bad.npz", X=np.ones((5, 2)), y=np.ones(4))
    with pytest.raises(DataError, match=r"X has shape \(5, 2\) and y \(4,\): expected a label per row"):
        Tabular(DataSpec((2,)), root=str(tmp_path), num_dims=2, path="bad.npz").setup()
