"""Floors on data with known answers; and, with the real sets, the values of the literature's pairs."""

import os
from pathlib import Path

import pytest
import torch

from genarena.data.digits import Digits
from genarena.data.fashion_mnist import FashionMNIST
from genarena.data.mnist import MNIST
from genarena.spec import DataSpec
from genarena.statistics.detection import auroc
from genarena.tasks.detecting import floors
from genarena.tasks.detecting.floors import Floors
from genarena.tasks.detecting.sets import Examples, pair

SPEC = DataSpec((1, 8, 8), 17, 10)
GREY = DataSpec((1, 28, 28), 256, 10)
ROOT = Path(os.environ.get("GENARENA_DATA", "data"))
OF_SEEDS = {"isolation forest": 0.03}  # how far the areas of two forests are from each other
MEASURED = {  # 5,000 against 5,000
    ("fashion_mnist", "mnist"): {
        "full gaussian": 0.853,
        "diagonal gaussian": 0.641,
        "full gaussian, typicality": 0.716,
        "png length": 0.014,
        "png length, negative": 0.986,
        "full gaussian - png": 0.995,
        "full gaussian - webp": 0.996,
        "diagonal gaussian - png": 0.984,
        "pca residual": 0.966,
        "isolation forest": 0.913,
        "knn": 0.976,
        "pca mahalanobis": 0.928,
        "mean pixel": 0.124,
        "total variation": 0.343,
    },
    ("fashion_mnist", "kmnist"): {
        "full gaussian": 0.960,
        "diagonal gaussian": 0.825,
        "full gaussian, typicality": 0.948,
        "png length": 0.295,
        "png length, negative": 0.705,
        "full gaussian - png": 0.985,
        "full gaussian - webp": 0.991,
        "diagonal gaussian - png": 0.823,
        "pca residual": 0.989,
        "isolation forest": 0.919,
        "knn": 0.984,
        "pca mahalanobis": 0.928,
        "mean pixel": 0.255,
        "total variation": 0.762,
    },
    ("mnist", "fashion_mnist"): {
        "full gaussian": 1.0,
        "diagonal gaussian": 0.999,
        "png length": 0.986,
        "pca residual": 0.989,
        "isolation forest": 0.619,
        "knn": 0.980,
        "pca mahalanobis": 0.622,
        "mean pixel": 0.876,
        "total variation": 0.657,
    },
    ("mnist", "kmnist"): {
        "full gaussian": 1.0,
        "diagonal gaussian": 0.998,
        "png length": 0.969,
        "pca residual": 0.996,
        "isolation forest": 0.814,
        "knn": 0.986,
        "pca mahalanobis": 0.849,
        "mean pixel": 0.747,
        "total variation": 0.880,
    },
}


@pytest.fixture(scope="module")
def fitted() -> tuple[Digits, Floors]:
    data = Digits(spec=SPEC)
    data.setup()
    return data, Floors(data)


def area(floor: Floors, name: str, inside: Examples, outside: Examples) -> float:
    return auroc(*(floor.score(name, each).numpy() for each in (inside, outside))).value


def test_floors_find_noise_and_chance_does_not(fitted: tuple[Digits, Floors]) -> None:
    data, floor = fitted
    inside, outside = pair(data, "noise", 500)
    for name in ("full gaussian", "diagonal gaussian", "pca residual", "knn", "png length", "total variation"):
        assert area(floor, name, inside, outside) > 0.97, name
    assert 0.3 < area(floor, "uniform random", inside, outside) < 0.7
    assert area(floor, "png length, negative", inside, outside) == 1 - area(floor, "png length", inside, outside)


def test_no_score_depends_on_the_other_images(fitted: tuple[Digits, Floors]) -> None:
    data, floor = fitted
    inside, _ = pair(data, "noise", 40)
    some = Examples(inside.x[7:9].flip(0), SPEC)
    for name, score in floor.scores.items():
        whole, alone = score(Examples(inside.x, SPEC)), score(some)
        assert torch.allclose(alone.double(), whole[7:9].flip(0).double(), rtol=1e-5, atol=1e-5), name


def test_values_of_floors_by_hand() -> None:
    x = torch.zeros(2, 1, 2, 3, dtype=torch.uint8)
    x[1, 0] = torch.tensor([[0, 4, 4], [0, 0, 0]])
    examples = Examples(x, DataSpec((1, 2, 3), 5))
    assert floors.mean_pixel(examples).tolist() == [0.0, pytest.approx(2 / 6)]
    assert floors.total_variation(examples).tolist() == [0.0, pytest.approx(3 / 6)]  # one across, two down


@pytest.mark.slow
@pytest.mark.parametrize("inside", ["fashion_mnist", "mnist"])
def test_floors_of_the_known_pairs(inside: str) -> None:
    """Within 0.005, or the error of two samples of 5,000, or of what is random in the floor."""
    missing = [name for name in ("MNIST", "FashionMNIST", "KMNIST") if not (ROOT / name / "raw").is_dir()]
    if missing:
        pytest.skip(f"{', '.join(missing)} is not below GENARENA_DATA")
    data = {"mnist": MNIST, "fashion_mnist": FashionMNIST}[inside](spec=GREY, root=str(ROOT))
    data.setup()
    floor = Floors(data)
    for (name, other), wanted in MEASURED.items():
        if name != inside:
            continue
        pairs = pair(data, other, 5_000)
        assert len(pairs[0]) == len(pairs[1]) == 5_000
        for key, value in wanted.items():
            found = auroc(*(floor.score(key, each).numpy() for each in pairs))
            assert abs(found.value - value) <= max(0.005, found.half_width, OF_SEEDS.get(key, 0.0)), (
                name,
                other,
                key,
                found,
            )
