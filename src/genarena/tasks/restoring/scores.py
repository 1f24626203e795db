"""All scores of what a method made of the test images, for each way to use it: `mean`, the mean of the draws or the estimate of
a method without draws; and `draw`, the first draw of each image, with the calibration of all draws."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from genarena.tasks.base import Line
from genarena.tasks.linear.problem import Problem
from genarena.tasks.restoring.calibration import calibration
from genarena.tasks.restoring.fidelity import fidelity
from genarena.tasks.restoring.images import Images
from genarena.tasks.restoring.perceptual import Perceptual
from genarena.tasks.restoring.realism import Realism
from genarena.tasks.restoring.records import METRICS, Score, Scores, margin, record
from genarena.tasks.restoring.restored import Restored

TRUTH = "test images"  # the line of the originals


@dataclass(frozen=True)
class Judge:
    """Scores restorations of `test`. problem: what is observed, a lane per image, in units of [0, 1]."""

    test: Images
    problem: Problem
    realism: Realism
    perceptual: Perceptual

    def scores(self, made: Restored) -> dict[str, Scores]:
        """`mean`, and `draw` where there are draws."""
        num_draws = 1 if made.draws is None else made.draws.shape[1]
        found = {"mean": self._seen(made.mean) | cost(made, num_draws)}
        if made.draws is not None:
            drawn = self._seen(made.draws[:, 0]) | calibration(made.draws, self.test.x, self.problem)
            found["draw"] = drawn | cost(made, 1)
        return found

    def of_truth(self) -> Line | None:
        """What the originals get where it is no constant; None where that cannot be measured."""
        found = self.realism.scores(self.test.x)
        known = {name: score for name, score in found.items() if not score.reason}
        if not known:
            return None
        return replace(self.line({"psnr": Score(reason="the originals themselves")} | known), is_real=True)

    def line(self, found: Scores, paper: str = "", floors: Mapping[str, Scores] | None = None) -> Line:
        """Records in the order of the table. floors: of the same kind, by name, over the best of which the margins are."""
        num = len(self.test.x)
        records = {name: record(name, found[name], num) for name in METRICS if name in found}
        for name, made in records.items():
            if floors is not None:
                others = {floor: each[name] for floor, each in floors.items() if name in each}
                made["margin"] = margin(name, found[name], others)
        return Line(records, paper)

    def _seen(self, x: Tensor) -> Scores:
        return fidelity(x, self.test.x) | self.perceptual.scores(x, self.test.x) | self.realism.scores(x)


def cost(made: Restored, num_draws: int) -> Scores:
    """Evaluations and seconds of `num_draws` draws of an image; failures, which are scored as the mean validation image."""
    all_draws = 1 if made.draws is None else made.draws.shape[1]
    found = {"seconds": Score(value=made.seconds * num_draws / all_draws), "failures": Score(value=made.failures)}
    return found | ({"nfe": Score(value=made.facts["nfe"] * num_draws)} if "nfe" in made.facts else {})
