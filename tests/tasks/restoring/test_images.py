"""Noise and masks belong to the image; draws have streams of their own; failures are scored."""

import torch

from genarena.data.batches import Split
from genarena.spec import Condition, DataSpec
from genarena.tasks.linear.degradations import degradation
from genarena.tasks.linear.operator import Operator
from genarena.tasks.linear.problem import Problem
from genarena.tasks.posterior.base import Draws, PosteriorSampler
from genarena.tasks.restoring import restored
from genarena.tasks.restoring.images import Images

SPEC = DataSpec((1, 8, 8), 17)


def images(num: int = 40) -> Images:
    x = torch.randint(0, 17, (num, 1, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return Images.of(Split(x), num, SPEC)


def test_noise_and_masks_belong_to_the_image() -> None:
    few, many = images(), images()
    chosen = [3, 17]
    part = Images(many.x[chosen], [many.contents[k] for k in chosen])
    for name in ("denoise_0.25", "inpaint_random"):
        whole, small = few.observed(degradation(name), 0), part.observed(degradation(name), 0)
        assert torch.equal(whole.y[chosen], small.y)
        assert torch.equal(
            whole.operator.rows(torch.tensor(chosen)).observed.expand(2, 1, 8, 8),
            small.operator.observed.expand(2, 1, 8, 8),
        )
        assert not torch.equal(few.observed(degradation(name), 1).y, whole.y)
    n = (few.observed(degradation("denoise_0.25"), 0).y - few.x) / 0.25
    assert abs(n.mean()) < 3 / n.numel() ** 0.5 and abs(n.var() - 1) < 3 * (2 / n.numel()) ** 0.5


def test_draws_of_an_image_have_one_observation_and_noise_of_their_own() -> None:
    problem = images(5).observed(degradation("inpaint_random"), 0, num_draws=3)
    assert len(problem) == 15
    assert torch.equal(problem.y[3], problem.y[5]) and not torch.equal(problem.y[2], problem.y[3])
    drawn = problem.noise.normal(problem.y)
    assert not torch.equal(drawn[3], drawn[4])
    alone = images(5).observed(degradation("inpaint_random"), 0, num_draws=3).rows(slice(4, 5))
    assert torch.equal(alone.noise.normal(alone.y), drawn[4:5])


class Breaks(PosteriorSampler):
    name, needs, exactness = "breaks", object, "heuristic"

    def draw(self, model: object, problem: Problem) -> Draws:
        x = problem.y.clone()
        x[6] = torch.nan  # the first draw of image 3
        return Draws(x, nfe=2, facts={"acceptance": torch.ones(len(x))})

    def refusal(self, operator: Operator, sigma: float) -> str:
        return ""


class Anywhere:
    device = "cpu"


def test_what_is_not_finite_is_counted_and_scored_as_the_mean_image() -> None:
    test, fill = images(20), torch.full((1, 8, 8), 0.5, dtype=torch.float64)
    made = restored.with_model(Breaks(), Anywhere(), test, fill, degradation("denoise_0.1"), 0, num_draws=2)
    assert made.failures == 1 and made.facts == {"nfe": 2.0, "acceptance": 1.0}
    assert torch.equal(made.draws[3, 0], fill)
    assert made.draws[3, 1].isfinite().all() and not torch.equal(made.draws[3, 1], fill)


def test_models_of_captions_are_given_the_first_caption_of_each_image() -> None:
    x = torch.arange(5, dtype=torch.uint8).view(5, 1, 1, 1).expand(5, 1, 8, 8)
    split = Split(x, torch.zeros(5, dtype=torch.int64), torch.arange(5 * 2 * 3).view(5, 2, 3))
    spec = DataSpec((1, 8, 8), 17, 10, condition=Condition("caption", 30, (3,)))
    found = Images.of(split, 5, spec)
    first = (16 * found.x[:, 0, 0, 0]).round().long()  # the level is the number of the image
    assert torch.equal(found.condition, split.captions[first, 0])
