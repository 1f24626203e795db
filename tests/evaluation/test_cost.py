"""FLOPs against counts made by hand; what cannot be measured is null with its reason and loses no run."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from genarena.evaluation import cost, memory
from genarena.likelihood import Likelihood
from genarena.models.base import GenerativeModel
from genarena.spec import Batch
from genarena.training import flops
from tests.training.callbacks.toy import SPEC, Mean, ToyData, TwoPlayers


class Network(GenerativeModel):
    """x -> 3 -> 2, squared; a sample takes `nfe` passes of the second layer."""

    family, likelihood, paper = "toy", Likelihood.NONE, "-"
    nfe = 5

    def __init__(self) -> None:
        super().__init__(SPEC)
        self.first, self.second = nn.Linear(2, 3), nn.Linear(3, 2)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        return {"loss": (self.second(self.first(batch.x)) - batch.x).square().sum()}

    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        for _ in range(self.nfe):
            x = self.second(torch.randn(num_samples, 3))
        return x


@pytest.fixture
def data() -> ToyData:
    data = ToyData(SPEC, batch_size=8)
    data.setup()
    return data


def test_training_flops_by_hand(data: ToyData) -> None:
    # forward 2*2*3 + 2*3*2 per example; backward: both weights 12 + 12, and the input of the second layer 12
    assert flops.per_example(Network(), data.train[:16].batch(None)) == 12 + 12 + 12 + 12 + 12
    assert cost.measure(Network(), data, 640, 4.0)["train_flops"] == 60 * 640


def test_a_loss_with_a_gradient_inside_is_counted(data: ToyData) -> None:
    class Penalised(Network):
        def loss(self, batch: Batch) -> dict[str, Tensor]:
            x = batch.x.clone().requires_grad_()
            (slope,) = torch.autograd.grad(self.first(x).square().sum(), x)
            return {"loss": self.second(self.first(slope)).sum()}

    # first(x) forward and back to x: 12 + 12; then as above, with nothing above the detached slope
    assert flops.per_example(Penalised(), data.train[:16].batch(None)) == 24 + 60


def test_flops_of_a_sample_count_every_network_evaluation(data: ToyData) -> None:
    assert cost.flops_per_sample(Network(), data) == 5 * 2 * 3 * 2


def test_adversarial_flops_count_the_generator_once_in_n_critic_batches(data: ToyData) -> None:
    model = TwoPlayers()
    batch = data.train[:16].batch(None)
    # critic: G(1) forward 2*1*2, D forward on fake and real 2 * 2*2*1, their weight gradients 2 * 4
    critic = 4 + 8 + 8
    # generator: G 4, D 4, back through D to its input 4, weight of G 4; none for the frozen weight of D
    generator = 4 + 4 + 4 + 4
    assert flops.per_example(model, batch) == critic + generator
    model.n_critic = 4
    assert flops.per_example(model, batch) == critic + generator / 4
    assert all(p.requires_grad and p.grad is None for p in model.parameters())


def test_the_measurement_changes_neither_weights_nor_random_state(data: ToyData) -> None:
    model = Network().eval()
    before, state = [p.detach().clone() for p in model.parameters()], torch.get_rng_state()
    found = cost.measure(model, data, 64, 2.0)
    assert found["examples_per_second"] == 32.0
    assert found["sample_seconds_batch_1"] > 0
    assert found["device"] == cost.processor()
    assert found["unmeasured"] == {}
    assert all(torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))
    assert torch.equal(state, torch.get_rng_state())
    assert not model.training


def test_the_measurement_changes_no_buffer(data: ToyData) -> None:
    class Observes(Network):
        def __init__(self) -> None:
            super().__init__()
            self.norm = torch.nn.BatchNorm1d(2)
            self.register_buffer("count", torch.zeros(()))

        def observe(self, batch: Batch) -> None:
            self.count += 1

        def loss(self, batch: Batch) -> dict[str, Tensor]:
            return super().loss(Batch(self.norm(batch.x)))

    model = Observes()
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    assert cost.measure(model, data, 64, 2.0)["unmeasured"] == {}
    assert all(torch.equal(buffer, before[name]) for name, buffer in model.named_buffers())


def test_what_cannot_be_measured_is_null_with_its_reason(data: ToyData) -> None:
    class Broken(Mean):
        def loss(self, batch: Batch) -> dict[str, Tensor]:
            raise RuntimeError("no such operation\nat all")

        def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
            raise ValueError("not one by one")

    found = cost.measure(Broken(), data, 0, 0.0)
    assert [found[key] for key in ("train_flops", "sample_flops", "sample_seconds_batch_1", "examples_per_second")] == (
        [None] * 4
    )
    assert found["unmeasured"]["train_flops"] == "RuntimeError: no such operation"
    assert found["unmeasured"]["sample_seconds_batch_1"] == "ValueError: not one by one"


def test_memory_is_counted_above_the_libraries(data: ToyData, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process of 900 MB, of which 40 are the model's; training takes 25 more."""
    model = nn.Linear(10 * 2**20, 1, bias=False)  # 40 MB
    monkeypatch.setattr(memory, "reset_peak", lambda: None)
    monkeypatch.setattr(memory.psutil.Process, "memory_info", lambda self: SimpleNamespace(rss=900 * 2**20))
    peak = memory.Peak(model)
    monkeypatch.setattr(memory, "peak_mb", lambda: 925.0)
    assert peak.facts == {"peak_memory_mb": pytest.approx(65.0), "process_memory_mb": 925.0}


def test_what_sampling_needs_is_a_cost(data: ToyData) -> None:
    found = cost.measure(TwoPlayers(), data, 64, 2.0)
    assert (found["generator_parameters"], found["sampling_state"]) == (
        4,
        4,
    )  # the generator: 1 x 2 weights and 2 biases


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("drawn", None),
        ("kept", "two seeds gave the same samples"),
        ("handed out again", "two draws with the same seed gave different samples"),
        ("numpy", "two draws with the same seed gave different samples"),
    ],
)
def test_draws_that_depend_on_more_or_less_than_the_seed_are_said(data: ToyData, how: str, said: str | None) -> None:
    class Sly(Network):
        kept, calls = torch.randn(100, 2), 0

        def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
            self.calls += how == "handed out again"
            if how == "numpy":
                return torch.from_numpy(np.random.randn(num_samples, 2)).float()
            return super().sample(num_samples) if how == "drawn" else self.kept[self.calls : self.calls + num_samples]

    assert cost.measure(Sly(), data, 640, 4.0)["odd"] == said


@pytest.mark.parametrize("how", ["of the example", "of the batch", "of the seed"])
def test_an_exact_likelihood_depends_on_the_example_alone(data: ToyData, how: str) -> None:
    class Exact(Network):
        likelihood = Likelihood.EXACT

        def log_prob(self, x: Tensor, y: Tensor | None = None, num_samples: int = 1) -> Tensor:
            x = (x - x.mean(0)) / x.std(0) if how == "of the batch" else x
            return -x.square().sum(1) - (torch.rand(len(x)) if how == "of the seed" else 0.0)

    said = cost.measure(Exact(), data, 640, 4.0)["odd"]
    assert said is None if how == "of the example" else "said to be exact changed" in said
