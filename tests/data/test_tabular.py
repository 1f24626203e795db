"""Tables: the protocol of MAF, normalisation by what training may know, files that are refused by name."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from genarena.data.tabular import Tabular
from genarena.errors import DataError
from genarena.spec import DataSpec


def table(root: Path, path: str, columns: int) -> Tabular:
    data = Tabular(DataSpec((columns,)), root=str(root), num_dims=columns, path=path)
    data.setup()
    return data


def test_the_last_tenths_are_held_out_and_do_not_touch_the_statistics(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(3.0, 5.0, (1000, 4))
    rows[900:] += 1e6  # must not move what the others are normalised by
    np.save(tmp_path / "t.npy", rows)
    data = table(tmp_path, "t.npy", 4)
    assert (data.train.size, data.val.size, data.test.size) == (810, 90, 100)
    known = torch.cat([data.train.x, data.val.x]).double()
    assert known.mean(0).abs().max() < 1e-6
    assert (known.std(0, correction=0) - 1.0).abs().max() < 1e-6
    back = known.numpy() * rows[:900].std(0) + rows[:900].mean(0)
    assert np.allclose(back, rows[:900], atol=1e-4)  # in the order of the file
    assert data.test.x.min() > 1e4
    assert data.train.y is None


def test_log_scale_takes_likelihoods_to_the_raw_data(tmp_path: Path) -> None:
    """A Gaussian fitted to normalised rows, less `log_scale`, is the Gaussian fitted to raw ones."""
    rows = np.random.default_rng(1).normal([0.0, 5.0], [0.1, 30.0], (2000, 2))
    np.save(tmp_path / "t.npy", rows)
    data = table(tmp_path, "t.npy", 2)
    normal = torch.distributions.Normal(0.0, 1.0).log_prob(data.val.x.double()).sum(1) - data.log_scale
    known, raw = torch.from_numpy(rows[:1800]), torch.from_numpy(rows[1620:1800])
    fitted = torch.distributions.Normal(known.mean(0), known.std(0, correction=0)).log_prob(raw).sum(1)
    assert torch.allclose(normal, fitted, atol=1e-4)
    assert math.isclose(data.facts["log_scale"], data.log_scale, abs_tol=1e-6)


def test_npz_and_csv_hold_the_same_table(tmp_path: Path) -> None:
    rows = np.random.default_rng(2).normal(size=(100, 3)).round(6)
    np.save(tmp_path / "a.npy", rows)
    np.savez(tmp_path / "a.npz", rows)
    np.savez(tmp_path / "parts.npz", train=rows[:81], val=rows[81:90], test=rows[90:])
    lines = [",".join(map(str, row)) for row in rows.tolist()]
    (tmp_path / "a.csv").write_text("\n".join(["mass,speed,age", *lines]))
    (tmp_path / "plain.csv").write_text("\n".join(lines) + "\n\n")
    first, *others = [table(tmp_path, name, 3) for name in ("a.npy", "a.npz", "parts.npz", "a.csv", "plain.csv")]
    for other in others:
        for part in ("train", "val", "test"):
            assert torch.equal(getattr(first, part).x, getattr(other, part).x)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", "1,2\n3,x\n", "line 2 is not 2 numbers"),
        ("t.csv", "1,2\n3\n", "line 2 is not 2 numbers"),
        ("t.csv", "1,2\n" * 5, "5 rows are too few"),
        ("t.csv", "1,2\n2,nan\n" * 20, "20 values are not finite, the first in line 2, column 2"),
        ("t.csv", "1,2\n2,2\n" * 20, "column 2 is constant"),
        ("t.csv", "1,2,3\n2,4,1\n" * 20, "data.num_dims=2: .*t.csv has 3 columns"),
        ("t.npy", "<html>", "t.npy cannot be read as a table"),
        ("t.txt", "1,2", "ends in .npy, .npz, .csv or .tsv"),
        ("other", "", "t.csv: there is no such file"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_line(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message) as error:
        table(tmp_path, name if name.startswith("t.") else "t.csv", 2)
    assert "\n" not in str(error.value)


def test_a_pickle_in_an_array_file_is_not_executed(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "executed",))

    np.save(tmp_path / "t.npy", np.array([Bomb()], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="t.npy cannot be read as a table"):
        table(tmp_path, "t.npy", 2)
    assert not (tmp_path / "executed").exists()


def test_miniboone_rows_are_normalised(shared_data: Path) -> None:
    data = table(shared_data, "miniboone_prefix/data.npy", 43)
    assert (data.train.size, data.val.size, data.test.size) == (1234, 137, 152)
    assert torch.isfinite(data.test.x).all()
    assert data.facts["splits"]["test"] == 152
