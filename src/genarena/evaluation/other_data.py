"""Which metrics are about another kind of data: a row says so, and nobody is told that an image has no pitch."""

from collections.abc import Callable, Mapping

from genarena.evaluation.evidence.base import Kind, used
from genarena.evaluation.evidence.chosen_space import ChosenSpace
from genarena.evaluation.evidence.domain import Domain
from genarena.evaluation.evidence.heard import HeardSound
from genarena.evaluation.evidence.synthesis import Synthesis
from genarena.evaluation.evidence.vectors import Vectors
from genarena.spec import DataSpec

NEEDS: Mapping[type[Kind], Callable[[DataSpec], bool]] = {
    ChosenSpace: lambda spec: not spec.is_sound,
    Domain: lambda spec: spec.is_image,
    HeardSound: lambda spec: spec.is_sound,
    Synthesis: lambda spec: spec.is_sound,
    Vectors: lambda spec: spec.is_vector,
}
ENTRY = "other_data"  # of the record of a metric


def of_other_data(names: list[str], spec: DataSpec) -> bool:
    """Whether a metric that needs these pieces of evidence is never about data of this kind, whatever the model is."""
    return any(not fits(spec) for kind, fits in NEEDS.items() if kind in used(names))
