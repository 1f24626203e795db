"""What a model has that its file does not write."""

from torch import Tensor, nn

from genarena.likelihood import Likelihood
from genarena.models.base import GenerativeModel
from genarena.spec import Batch, DataSpec


class Bound(GenerativeModel):
    """A model of which nobody says how it comes by its bound."""

    family, likelihood, paper = "vae", Likelihood.LOWER_BOUND, "none"

    def __init__(self, spec: DataSpec) -> None:
        super().__init__(spec)
        self.scale = nn.Linear(1, 1)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        return {"loss": self.scale.weight.sum()}

    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        return self.scale.weight.new_zeros(num_samples, *self.spec.shape)

    def log_prob(self, x: Tensor, y: Tensor | None = None, num_samples: int = 1) -> Tensor:
        return x.flatten(1).sum(1)


class Exact(Bound):
    """The same with an exact likelihood."""

    likelihood = Likelihood.EXACT


def test_a_bound_that_says_nothing_is_not_called_closed_form() -> None:
    spec = DataSpec(shape=(2,), num_levels=None)
    assert Exact(spec).estimator() == {"method": "closed form"}
    assert Bound(spec).estimator() == {"method": "not known: Bound does not write estimator()"}
