"""The generative classifier on two labelled Gaussians, whose Bayes classifier is in closed form."""

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal

from genarena.data.base import ArenaDataModule
from genarena.data.batches import Split
from genarena.evaluation.evaluate import evaluate
from genarena.evaluation.settings import EvaluationSettings
from genarena.likelihood import Likelihood
from genarena.metrics.base import Unavailable
from genarena.metrics.generative_accuracy import GenerativeAccuracy
from genarena.models.base import GenerativeModel
from genarena.models.classifying import Classifies
from genarena.models.diffusion.paths import Level
from genarena.spec import Batch, DataSpec
from tests.analytic import Mixture

WORLD = Mixture(weights=(0.5, 0.5), means=(-0.5, 0.7), spread=0.6)
BAYES = 0.5 * (1.0 + math.erf(1.2 / 2.0 / 0.6 / math.sqrt(2.0)))  # Phi(d / 2) at distance d in standard deviations
SPEC = DataSpec((1,), None, 2, condition="label")
NUM = 3000


class Labelled(ArenaDataModule):
    """x ~ N(mean of label y, 0.6^2), both labels equally likely."""

    name = "labelled-gaussians"

    def load(self) -> tuple[Split, Split, Split]:
        generator = torch.Generator().manual_seed(0)
        y = torch.randint(2, (NUM + 20,), generator=generator)
        x = torch.tensor(WORLD.means)[y] + WORLD.spread * torch.randn(len(y), generator=generator)
        split = Split(x[:, None], y)
        return split[:10], split[10:20], split[20:]


class Components(GenerativeModel):
    """log p(x | y) of the world; as a bound, `gap` times a draw less, the same for all labels if the draws are."""

    family = "baseline"
    paper = ""
    conditional = True

    def __init__(self, gap: float = 0.0, kind: Likelihood = Likelihood.EXACT) -> None:
        super().__init__(SPEC)
        self.gap, self.kind, self.asked = gap, kind, []

    @property
    def likelihood(self) -> Likelihood:
        return self.kind

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        return {"loss": torch.zeros(())}

    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        return torch.zeros(num_samples, 1)

    def log_prob(self, x: Tensor, y: Tensor | None = None, num_samples: int = 1) -> Tensor:
        self.asked.append(num_samples)
        exact = Normal(torch.tensor(WORLD.means, dtype=torch.float64)[y], WORLD.spread).log_prob(x[:, 0].double())
        return exact - self.gap * torch.rand(len(x))


@pytest.fixture(scope="module")
def data() -> Labelled:
    made = Labelled(SPEC)
    made.setup()
    return made


def scored(model: Components, data: Labelled, **options: int) -> dict:
    given = {f"metric.generative_accuracy.{name}": value for name, value in options.items()}
    found = evaluate(model.eval(), data, ["generative_accuracy"], EvaluationSettings(), given, progress=False)
    return found.metrics["generative_accuracy"]


def posterior(data: Labelled) -> Tensor:
    """p(y | x) (N, 2) by Bayes' rule, from the densities of the components."""
    x = data.test.x[:, 0].double()
    parts = torch.stack(
        [Normal(torch.tensor(m, dtype=torch.float64), WORLD.spread).log_prob(x).exp() for m in WORLD.means], 1
    )
    return parts / parts.sum(1, keepdim=True)


def test_it_is_the_bayes_classifier(data: Labelled) -> None:
    record, bayes = scored(Components(), data, num_test=NUM), posterior(data)
    own = bayes[torch.arange(NUM), data.test.y]
    assert record["value"] == pytest.approx((bayes.argmax(1) == data.test.y).double().mean().item(), abs=1e-12)
    assert record["cross_entropy_nats"] == pytest.approx(-own.log().mean().item(), abs=1e-6)
    assert abs(record["value"] - BAYES) < 3 * record["standard_error"]
    assert (record["n"], record["chance"], record["under"]) == (NUM, 0.5, "every label in turn")
    assert record["log_likelihoods"] == "exact" and "sign" not in record  # an accuracy is no bound


class Classifier(Components, Classifies):
    """p(y | x) of the world, and no likelihood."""

    def __init__(self, kind: Likelihood = Likelihood.NONE) -> None:
        super().__init__(kind=kind)

    def class_log_prob(self, x: Tensor) -> Tensor:
        return torch.stack([Normal(mean, WORLD.spread).log_prob(x[:, 0]) for mean in WORLD.means], 1).log_softmax(1)


def test_a_classifier_is_taken_at_its_word(data: Labelled) -> None:
    record, exact = scored(Classifier(), data, num_test=NUM), scored(Components(), data, num_test=NUM)
    same = ("value", "n", "standard_error", "chance", "split")
    assert {key: record[key] for key in same} == {key: exact[key] for key in same}
    assert record["cross_entropy_nats"] == pytest.approx(exact["cross_entropy_nats"], abs=1e-5)
    assert record["labels"] == "as frequent as the model has them" and "nll_nats_without_label" not in record


def test_a_classifier_with_a_likelihood_is_a_classifier(data: Labelled) -> None:
    """Its values are log p(y | x), whatever else it has."""
    record = scored(Classifier(Likelihood.EXACT), data, num_test=NUM)
    assert record == scored(Classifier(), data, num_test=NUM) | {"seconds": record["seconds"]}


def test_settings_are_those_that_were_used(data: Labelled) -> None:
    """A classifier draws nothing."""
    used = {name: scored(model, data)["settings"] for name, model in (("c", Classifier()), ("p", Components()))}
    assert used["p"] == used["c"] | {"label_likelihoods.draws": 1}
    assert used["c"] == {"label_likelihoods.num_test": 1_000, "label_likelihoods.at_most": 50_000}


def test_many_labels_leave_fewer_test_examples(data: Labelled) -> None:
    model = Components()
    record = scored(model, data, num_test=500, at_most=401)
    assert (record["n"], len(model.asked), record["split"]) == (200, 4, "test, 200 at random")  # two blocks, two labels
    assert record["value"] == scored(Components(), data, num_test=200)["value"]
    assert scored(Components(), data, at_most=1)["n"] == 1


def test_the_labels_add_up_to_the_density_of_the_mixture(data: Labelled) -> None:
    whole = WORLD.marginal(Level(1.0, 0.0)).log_prob(data.test.x[:, 0].double())
    record = scored(Components(), data, num_test=NUM)
    assert record["nll_nats_without_label"] == pytest.approx(-whole.mean().item(), abs=1e-6)


def test_the_draws_of_a_bound_do_not_decide_between_labels(data: Labelled) -> None:
    """A gap of up to 50 nats, which would drown the labels if each had draws of its own."""
    model = Components(50.0, Likelihood.LOWER_BOUND)
    record = scored(model, data, num_test=NUM, draws=7)
    assert record["value"] == scored(Components(), data, num_test=NUM)["value"]
    assert (record["log_likelihoods"], record["draws"], set(model.asked)) == ("lower_bound", 7, {7})


def test_labels_that_say_nothing_are_a_tie_and_wrong() -> None:
    metric = GenerativeAccuracy()
    metric.update(torch.zeros(4, 3, dtype=torch.float64), torch.tensor([0, 1, 2, 0]), Likelihood.EXACT, False)
    assert metric.compute() == 0.0
    assert metric.record()["cross_entropy_nats"] == pytest.approx(math.log(3.0))
    assert metric.record()["nll_nats_without_label"] == pytest.approx(0.0, abs=1e-12)


def test_no_value_without_a_likelihood_of_each_label(data: Labelled) -> None:
    for kind in (Likelihood.ESTIMATE, Likelihood.NONE):
        assert f"(likelihood: {kind.value})" in scored(Components(kind=kind), data)["reason"]
    broken = torch.tensor([[0.0, math.nan], [0.0, 1.0]], dtype=torch.float64)
    with pytest.raises(Unavailable, match="1 of 2 test examples"):
        GenerativeAccuracy().update(broken, torch.tensor([0, 1]), Likelihood.EXACT, False)
