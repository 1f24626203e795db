"""Strengths are chosen on validation images; what is not finite is counted; infinite values are no numbers of a row."""

import torch
from torch import Tensor

from genarena.statistics.image_quality import mean_squared_error
from genarena.tasks import operators, restoring
from genarena.tasks.base import Algorithm
from genarena.tasks.denoise import Denoise
from genarena.tasks.restoring import Classical, Images

TASK = Denoise(sigma=[0.1])
SHRINK = Classical("shrink", lambda y, sigma, strength: 0.5 + strength * (y - 0.5), lambda sigma: (0.2, 0.6, 1.0))


def images(spread: float, num: int = 40) -> Images:
    generator = torch.Generator().manual_seed(0)
    x, noise = torch.randn(2, num, 1, 4, 4, generator=generator, dtype=torch.float64)
    return Images(0.5 + spread * x, noise)


def test_the_strength_is_chosen_on_validation_images() -> None:
    """The best one is spread^2 / (spread^2 + sigma^2): of the validation images, whatever the test images are."""
    for spread, best in ((0.05, 0.2), (0.12, 0.6), (1.0, 1.0)):
        for other in (0.05, 0.12, 1.0):
            made = restoring.with_classical(TASK, SHRINK, images(other), images(spread))
            assert made.strengths == {0.1: best}
            wanted = SHRINK.restore(images(other).noisy(0.1), 0.1, best)
            assert torch.equal(made.images[0.1], operators.to_8_bit(wanted))


def test_what_is_not_finite_is_counted_and_scored_as_the_mean_image() -> None:
    def breaking(model: None, y: Tensor, sigma: float, condition: None) -> Tensor:
        y = y.clone()
        y[3, 0, 1, 1] = torch.nan
        return y

    class Anywhere:
        device = "cpu"

    test, val = images(0.1), images(0.2)
    made = restoring.with_model(TASK, Algorithm("breaks", object, "heuristic", breaking), Anywhere(), test, val)
    assert made.failures == {0.1: 1}
    assert torch.equal(made.images[0.1][3], operators.to_8_bit(val.x.mean(0)))
    record = restoring.scores(made, test.x)["psnr_0.1"]
    assert (record["failures"], record["n"]) == (1, 40)
    values = -10 * mean_squared_error(made.images[0.1], test.x).log10()
    assert record["value"] == values.mean().item()
    assert (
        abs(record["ci95_half_width"] - 2.0227 * values.std().item() / 40**0.5) < 1e-5
    )  # t quantile, 39 degrees of freedom


def test_a_condition_reaches_the_model_with_its_image() -> None:
    labels = torch.arange(250)
    test = Images(torch.rand(250, 1, 4, 4, dtype=torch.float64), torch.zeros(250, 1, 4, 4), labels)
    seen = []

    class Anywhere:
        device = "cpu"

    def noting(model: None, y: Tensor, sigma: float, condition: Tensor) -> Tensor:
        seen.append((y, condition))
        return y

    restoring.with_model(TASK, Algorithm("notes", object, "exact", noting), Anywhere(), test, test)
    assert torch.equal(torch.cat([condition for _, condition in seen]), labels)
    assert torch.equal(torch.cat([y for y, _ in seen]), test.x)


def test_an_infinite_value_is_no_number() -> None:
    test = Images(torch.zeros(3, 1, 4, 4, dtype=torch.float64), torch.zeros(3, 1, 4, 4))
    made = restoring.with_classical(TASK, Classical("noisy", lambda y, sigma, _: y), test, test)
    record = restoring.scores(made, test.x)["psnr_0.1"]
    assert record["value"] is None and record["reason"] == "3 of 3 images are restored exactly: infinite"


def test_the_margin_is_paired_and_over_the_best() -> None:
    base = torch.arange(10, dtype=torch.float64) ** 2  # images differ far more than methods do
    wobble = torch.tensor([0.5, -0.5] * 5, dtype=torch.float64)
    found = restoring.margin(base + 2 + wobble, {"worse": base - 9, "best": base})
    assert found["over"] == "best" and abs(found["value"] - 2.0) < 1e-12
    assert abs(found["ci95_half_width"] - 2.2622 * (2.5 / 9) ** 0.5 / 10**0.5) < 1e-4
    assert restoring.margin(base / 0.0, {"best": base}) is None
