"""Balls and nearest neighbours on points whose answers are known by eye, and against plain double loops."""

import pytest
import torch

from genarena.statistics import neighbours
from genarena.statistics.neighbours import (
    mean_balls_entered,
    nearest,
    nearest_distances,
    share_balls_entered,
    share_inside_any,
    squared_radii,
)


def line(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)[:, None]


def test_radii_on_a_line() -> None:
    points = line(0.0, 1.0, 3.0, 7.0)
    assert squared_radii(points, 1).tolist() == [1.0, 1.0, 4.0, 16.0]
    assert squared_radii(points, 2).tolist() == [9.0, 4.0, 9.0, 36.0]
    with pytest.raises(ValueError, match="needs more than 4 points"):
        squared_radii(points, 4)


def test_balls_on_a_line() -> None:
    """Balls [-1, 1], [0, 2], [1, 5], [3, 11]: closed, so 1, at two edges and one centre, is in three of them."""
    centres = line(0.0, 1.0, 3.0, 7.0)
    radii = squared_radii(centres, 1)
    points = line(-2.0, 1.0, 4.0, 12.0)
    assert share_inside_any(points, centres, radii) == 0.5
    assert mean_balls_entered(points, centres, radii) == (0 + 3 + 2 + 0) / 4
    assert share_balls_entered(points, centres, radii) == 1.0
    assert share_balls_entered(line(-0.5, 12.0), centres, radii) == 0.25


def test_ties_stay_inside_whatever_the_offset(monkeypatch: pytest.MonkeyPatch) -> None:
    """A point exactly at its k-th neighbour's distance counts, also where rounding moves both and chunks differ."""
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(300, 16, generator=generator, dtype=torch.float64) + 100.0
    radii = squared_radii(points, 3)
    expected = sum(int(block.sum()) for block in neighbours.inside(points, points, radii))
    assert expected == 300 * 4  # each point's ball holds itself and exactly three others
    monkeypatch.setattr(neighbours, "ROWS", 7)
    assert sum(int(block.sum()) for block in neighbours.inside(points, points, radii)) == expected


@pytest.mark.parametrize("rows, columns", [(1024, 8192), (5, 7)])
def test_nearest_equals_brute_force(monkeypatch: pytest.MonkeyPatch, rows: int, columns: int) -> None:
    monkeypatch.setattr(neighbours, "ROWS", rows)
    monkeypatch.setattr(neighbours, "COLUMNS", columns)
    generator = torch.Generator().manual_seed(0)
    for draw in (
        lambda n: torch.randint(256, (n, 3, 4, 4), generator=generator, dtype=torch.uint8),
        lambda n: torch.randn(n, 2, generator=generator),
    ):
        queries, reference = draw(20), draw(50)
        difference = queries.double().flatten(1)[:, None] - reference.double().flatten(1)[None]
        assert nearest_distances(queries, reference).tolist() == pytest.approx(
            difference.norm(dim=2).min(1).values.tolist(), rel=1e-12
        )


def test_a_copy_is_at_distance_zero_exactly() -> None:
    generator = torch.Generator().manual_seed(0)
    reference = torch.randint(256, (200, 3, 16, 16), generator=generator, dtype=torch.uint8)
    assert nearest_distances(reference[[7, 3]], reference).tolist() == [0.0, 0.0]
    changed = reference[[7]].clone()
    changed[0, 0, 0, 0] ^= 1
    assert nearest_distances(changed, reference).item() == 1.0


def test_near_copies_of_bright_images_do_not_hide_a_copy() -> None:
    """Squared norms near 1e8 and distances of 1: single precision could not tell the copy from its neighbour."""
    generator = torch.Generator().manual_seed(0)
    originals = torch.randint(200, 256, (40, 3, 32, 32), generator=generator, dtype=torch.uint8)
    near = originals.clone()
    near[:, 0, 0, 0] -= 1
    assert nearest_distances(originals, torch.cat([near, originals])).tolist() == [0.0] * 40


def test_points_far_from_the_origin() -> None:
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(200, 4, generator=generator, dtype=torch.float64)
    queries = torch.randn(100, 4, generator=generator, dtype=torch.float64)
    near, far = (
        mean_balls_entered(queries * 1e-3 + offset, points * 1e-3 + offset, squared_radii(points * 1e-3 + offset, 3))
        for offset in (0.0, 1e3)
    )
    assert near == far


def test_the_nearest_few_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "COLUMNS", 3)
    reference = line(0.0, 10.0, 3.0, -1.0, 100.0, 3.5, 2.0)
    distances, index = nearest(line(3.1, 99.0), reference, k=3)
    assert index.tolist() == [[2, 5, 6], [4, 1, 5]]
    assert distances[0].tolist() == pytest.approx([0.1, 0.4, 1.1])
    assert nearest(line(0.0), line(7.0, 8.0), k=2)[1].tolist() == [[0, 1]]
