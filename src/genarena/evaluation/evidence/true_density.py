"""The density that data was drawn from, where it is known."""

from torch import Tensor

from genarena.evaluation.evidence.base import Kind, piece
from genarena.metrics.base import Unavailable


class TrueDensity(Kind):
    """Of data that is drawn from formulas (`toy2d`, `toy_audio`)."""

    @piece
    def true_log_prob(self, real: Tensor) -> Tensor:
        """(N,) float64 nats of test examples."""
        data = self.subject.data
        if data.spec.condition is not None:
            raise Unavailable(f"the density of {data.name} given its {data.spec.condition.kind} is not known")
        values = data.log_density(real)
        if values is None:
            raise Unavailable(f"the density that {data.name} was drawn from is not known")
        return values
