"""Balls and nearest neighbours: answers known by eye, and float64 brute force on features that are hard for float32."""

import pytest
import torch
from torch import Tensor

from genarena.statistics import distances, neighbours
from genarena.statistics.neighbours import crossed, nearest, nearest_distances, squared_radii


def line(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)[:, None]


def brute(a: Tensor, b: Tensor) -> Tensor:
    """Squared distances (N, M) in float64, as sums of squared differences."""
    a, b = (rows.flatten(1).double() for rows in (a, b))
    return torch.stack([(b - row).square().sum(1) for row in a])


def brute_radii(points: Tensor, k: int) -> Tensor:
    return brute(points, points).fill_diagonal_(torch.inf).sort(1).values[:, k - 1]


def hard(name: str) -> tuple[Tensor, Tensor]:
    """Two sets of points that rounding, ties or sizes make difficult."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    def integers(high: int, *shape: int) -> Tensor:
        return torch.randint(high, shape, generator=generator, dtype=torch.uint8)

    few = normal(7, 5)
    return {
        "normal": (normal(150, 6), 0.7 * normal(130, 6) + 0.4),
        "wide": (normal(40, 5000).relu().float(), normal(50, 5000).relu().float()),
        "far from the origin": (normal(120, 8) * 1e-3 + 1e4, normal(110, 8) * 1e-3 + 1e4),
        "integers in a plane": (integers(6, 160, 2), integers(7, 140, 2)),
        "pixels": (integers(17, 90, 1, 4, 4), integers(17, 80, 1, 4, 4)),
        "bright pixels": (250 + integers(6, 60, 3, 16, 16), 250 + integers(6, 60, 3, 16, 16)),
        "a few points, many times": (few[integers(7, 130).long()], few[integers(5, 120).long()]),
        "collapsed": (normal(100, 5), few[:1].expand(90, -1)),
        "almost collapsed": (normal(60, 5), few[:1] + 1e-9 * normal(70, 5)),
        "in the middle of all": (normal(50, 300), 1e-3 * normal(60, 300)),
        "one far outlier": (torch.cat([normal(80, 4), 1e9 * normal(1, 4)]), normal(70, 4)),
        "very small": (1e-25 * normal(60, 3), 1e-25 * normal(50, 3)),
    }[name]


HARD = [
    "normal",
    "wide",
    "far from the origin",
    "integers in a plane",
    "pixels",
    "bright pixels",
    "a few points, many times",
    "collapsed",
    "almost collapsed",
    "in the middle of all",
    "one far outlier",
    "very small",
]


@pytest.fixture(params=[(512, 8192), (7, 11)], ids=["one block", "small blocks"])
def blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, size in zip(("ROWS", "COLUMNS"), request.param, strict=True):
        monkeypatch.setattr(neighbours, name, size)


@pytest.mark.parametrize("name", HARD)
def test_radii_are_those_of_float64(name: str, blocks: None) -> None:
    for points in hard(name):
        found = squared_radii(points, (1, 3, 5))
        for k, radii in zip((1, 3, 5), found, strict=True):
            assert radii.tolist() == pytest.approx(brute_radii(points, k).tolist(), rel=1e-12, abs=0.0)


@pytest.mark.parametrize("name", HARD)
def test_counts_are_those_of_float64(name: str, blocks: None) -> None:
    first, second = hard(name)
    ours = [{k: squared_radii(points, (k,))[0] for k in ks} for points, ks in ((first, (3, 5)), (second, (3,)))]
    between = brute(first, second)
    of_first, of_second = crossed(first, second, *ours)
    for k in (3, 5):
        inside = between <= brute_radii(first, k)[:, None] * (1 + 1e-9)
        assert torch.equal(of_first[k].balls, inside.sum(0))
        assert torch.equal(of_first[k].points, inside.sum(1))
    inside = between <= brute_radii(second, 3)[None] * (1 + 1e-9)
    assert torch.equal(of_second[3].balls, inside.sum(1))
    assert torch.equal(of_second[3].points, inside.sum(0))


@pytest.mark.parametrize("name", HARD)
def test_the_nearest_are_those_of_float64(name: str, blocks: None) -> None:
    reference, queries = hard(name)
    expected, order = brute(queries, reference).sqrt().sort(dim=1, stable=True)
    found, index = nearest(queries, reference, k=3)
    assert found.flatten().tolist() == pytest.approx(expected[:, :3].flatten().tolist(), rel=1e-12, abs=0.0)
    assert torch.equal(index, order[:, :3])  # of equally far points the first
    alone = nearest_distances(queries, reference)  # a root may be rounded in another way in a row of another length
    assert torch.allclose(alone, found[:, 0], rtol=1e-15, atol=0.0)


@pytest.mark.parametrize("name", HARD)
def test_the_bounds_hold(name: str) -> None:
    first, second = hard(name)
    a, b = distances.prepared(first, second)
    lower, slack = distances.bounds(a, b)
    lower, upper = lower.double(), lower.double() + slack[0].double()[:, None] + slack[1].double()
    true = brute(first, second) * a.scale**2
    assert bool((lower <= true).all())
    assert bool((true <= upper).all())
    assert a.single.norm(dim=1).max() <= 1.0


def test_only_what_is_in_doubt_is_computed_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 4 million pairs of ordinary features, fewer than one in a thousand is computed again in float64."""
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.randn(2000, 64, generator=generator) for _ in range(2))
    again = []
    original = distances.exact
    monkeypatch.setattr(
        neighbours, "exact", lambda a, b, row, column: again.append(len(row)) or original(a, b, row, column)
    )
    monkeypatch.setattr(neighbours, "every", lambda *_: pytest.fail("a whole block was computed in float64"))
    radii = [squared_radii(points, (3, 5)) for points in (first, second)]
    among = sum(again)
    assert 2 * 2 * 2000 <= among < 3 * 2 * 2000  # each radius of both sets, and few more
    crossed(first, second, {5: radii[0][1]}, {3: radii[1][0]})
    assert sum(again) - among < 4000


def test_products_are_in_float32_whatever_training_asked_for() -> None:
    torch.set_float32_matmul_precision("medium")
    try:
        with distances.exact_products():
            assert torch.get_float32_matmul_precision() == "highest"
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")


def test_radii_on_a_line() -> None:
    points = line(0.0, 1.0, 3.0, 7.0)
    assert squared_radii(points, (1, 2)).tolist() == [[1.0, 1.0, 4.0, 16.0], [9.0, 4.0, 9.0, 36.0]]
    with pytest.raises(ValueError, match="needs more than 4 points"):
        squared_radii(points, (1, 4))


def test_balls_on_a_line() -> None:
    """Balls [-1, 1], [0, 2], [1, 5], [3, 11]: closed, so 1, at two edges and one centre, is in three of them."""
    centres, points = line(0.0, 1.0, 3.0, 7.0), line(-2.0, 1.0, 4.0, 12.0)
    found, none = crossed(centres, points, {1: squared_radii(centres, (1,))[0]}, {})
    assert found[1].balls.tolist() == [0, 3, 2, 0]
    assert found[1].points.tolist() == [1, 1, 2, 1]
    assert none == {}


def test_a_copy_is_at_distance_zero_exactly() -> None:
    """Squared norms near 1e8, and distances of 1: products in single precision cannot tell the copy from its neighbour."""
    generator = torch.Generator().manual_seed(0)
    originals = torch.randint(200, 256, (40, 3, 32, 32), generator=generator, dtype=torch.uint8)
    near = originals.clone()
    near[:, 0, 0, 0] -= 1
    assert nearest_distances(originals, torch.cat([near, originals])).tolist() == [0.0] * 40
    assert nearest_distances(near[:1], originals).item() == 1.0


def test_no_queries() -> None:
    distances, index = nearest(line()[:0], line(1.0, 2.0), k=2)
    assert distances.shape == index.shape == (0, 2)
