"""What a score adds: its area against those of the methods without a trained model, on the same examples."""

from collections.abc import Mapping

from torch import Tensor

from genarena.statistics import detection
from genarena.tasks.base import Line, Record
from genarena.tasks.detecting import report
from genarena.tasks.detecting.floors import LESS
from genarena.tasks.detecting.likelihood import NLL, Complexity

Pair = tuple[Tensor, Tensor]  # scores inside and outside
CODEC = ("png length", "png length, negative", *LESS)  # what complexity is made of, without a trained model
FAILURE = "known failure: the other data is likelier than the model's own"
NOTHING = "adds nothing"


def compared(lines: Mapping[str, Line], scores: Mapping[str, Pair], floors: Mapping[str, Pair]) -> dict[str, Line]:
    """The lines with the gap of their area to the best of the floors, and a remark where it says something.

    Complexity is compared with `CODEC`, other scores with all. It adds nothing if its area is not above the best of them. A
    likelihood fails if its area is below one half by more than its interval.
    """
    areas = {name: _area(pair) for name, pair in floors.items()}
    made = {}
    for name, line in lines.items():
        among = [each for each in floors if name != Complexity.name or each in CODEC]
        if not among:
            made[name] = line
            continue
        best = max(among, key=areas.__getitem__)
        gap = report.gap(scores[name], floors[best])
        margin = {"over": best, "value": gap.value, "ci95_half_width": gap.half_width}
        record = line.metrics["auroc"] | {"margin": margin}
        made[name] = Line(dict(line.metrics) | {"auroc": record}, line.paper, _remark(name, record, areas[best]))
    return made


def _area(pair: Pair) -> float:
    return detection.auroc(*report.comparable(*pair)).value


def _remark(name: str, record: Record, floor: float) -> str:
    value, half, over = record["value"], record["ci95_half_width"], record["margin"]["over"]
    if name == Complexity.name and record["margin"]["value"] <= 0:
        return f"{NOTHING}: {over} has {floor:.3f} without the model"
    return FAILURE if name == NLL.name and value + half < 0.5 else ""
