"""The layers of a model whose codes are measured: the best on validation examples, or one by name."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from genarena.models.capabilities import Represents
from genarena.options.hints import nearest
from genarena.tasks.base import Algorithm

BY = {"linear": "linear probe", "knn": "neighbours"}


@dataclass(frozen=True)
class Layers(Algorithm):
    """layer: its name; null: the best by the linear probe, and the best by neighbours, both on validation examples."""

    name = "layers"
    needs = Represents
    exactness = "heuristic"

    layer: str | None = None

    def refuse_unknown(self, layers: Collection[str]) -> None:
        """Raise ValueError if the layer asked for is none of the model's."""
        if self.layer is not None and self.layer not in layers:
            every = ", ".join(layers)
            raise ValueError(f"layer={self.layer}: no such layer{nearest(self.layer, layers)}; there are {every}")

    def chosen(self, scores: Mapping[str, Mapping[str, float]]) -> dict[str, tuple[str, ...]]:
        """Layer to the probes that it is best by, () if it was asked for. scores: layer to its accuracies on validation
        examples, by probe."""
        if self.layer is not None:
            return {self.layer: ()}
        found: dict[str, list[str]] = {}
        for by, words in BY.items():
            found.setdefault(max(scores, key=lambda name, by=by: scores[name][by]), []).append(words)
        return {name: tuple(words) for name, words in found.items()}


def told(words: Sequence[str]) -> str:
    """How a layer was chosen."""
    return f"best {' and '.join(words)} on validation" if words else "asked for"
