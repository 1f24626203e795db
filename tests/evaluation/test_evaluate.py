"""The protocol on models whose scores are known: what is asked for is computed once, and nothing else."""

import dataclasses
import json
import math

import pytest
import torch
from torch import Tensor

from genarena.data.base import ArenaDataModule
from genarena.data.batches import Split
from genarena.errors import UserError
from genarena.evaluation import features, weights
from genarena.evaluation.asked import asked, load_metric, needed
from genarena.evaluation.evaluate import evaluate
from genarena.evaluation.evidence.base import kinds
from genarena.evaluation.gathered import Evidence
from genarena.evaluation.protocol import protocol
from genarena.evaluation.settings import EvaluationSettings
from genarena.likelihood import Likelihood
from genarena.metrics import names
from genarena.models.base import GenerativeModel
from genarena.models.capabilities import Emits, Integrates, Weighs
from genarena.models.energy.annealed_importance_sampling import effective_number
from genarena.models.energy.ebm import EBM
from genarena.spec import Batch, DataSpec

SPEC = DataSpec((1, 8, 8), 4, 2)
SETTINGS = EvaluationSettings()
SIZES = {"evidence.samples.num_samples": 170, "evidence.examples.num_test": 50}
OPTIONS = {"metric.iw_nll_nats.draws": 3, "metric.iw_nll_nats.num_test": 20}
OF_CODES = ("rate_nats", "distortion_nats", "active_units", "information_nats")
OF_SOUND = ("mr_stft", "mel_cepstral_distortion", "log_mel_l1", "pesq", "stoi", "dnsmos", "line_noise", "synthesis_khz")


def some(x: Tensor, number: int) -> Tensor:
    """The examples that an evaluation limited to so many looks at."""
    return x[torch.randperm(len(x), generator=torch.Generator().manual_seed(0))[:number]]


class Halves(ArenaDataModule):
    """Noise, with a brighter upper or lower half as its class; floats for a spec without levels."""

    name = "halves"

    def load(self) -> tuple[Split, Split, Split]:
        generator = torch.Generator().manual_seed(0)
        if not self.spec.is_discrete:
            return tuple(Split(torch.randn(n, *self.spec.shape, generator=generator)) for n in (300, 30, 60))
        x = torch.randint(0, 3, (390, *self.spec.shape), generator=generator, dtype=torch.uint8)
        y = torch.randint(2, (390,), generator=generator)
        x[y == 1, :, :4] += 1
        y = y if self.spec.num_classes else None
        return tuple(Split(x, y)[part] for part in (slice(0, 300), slice(300, 330), slice(330, 390)))


class Noise(GenerativeModel):
    """Uniform noise; counts its calls. A `LOWER_BOUND` instance adds noise to its log-probability."""

    family = "baseline"
    likelihood = Likelihood.EXACT
    paper = ""

    def __init__(self, spec: DataSpec) -> None:
        super().__init__(spec)
        self.calls: list[tuple] = []

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        return {"loss": torch.zeros(())}

    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        self.calls.append(("sample", num_samples))
        if not self.spec.is_discrete:
            return torch.randn(num_samples, *self.spec.shape)
        return torch.randint(self.spec.num_levels, (num_samples, *self.spec.shape), dtype=torch.uint8)

    def log_prob(self, x: Tensor, y: Tensor | None = None, num_samples: int = 1) -> Tensor:
        self.calls.append(("log_prob", len(x), num_samples))
        value = torch.full((len(x),), -self.spec.num_dims * math.log(self.spec.num_levels or math.e))
        return value - torch.rand(len(x)) / num_samples if self.likelihood is Likelihood.LOWER_BOUND else value


class WeighedNoise(Noise, Weighs):
    """Exact up to the noise of its weights, which average to one: w = P(x) U[0, 2]."""

    likelihood = Likelihood.LOWER_BOUND

    def log_weights(self, x: Tensor, y: Tensor | None = None, num_samples: int = 1) -> Tensor:
        self.calls.append(("log_weights", len(x), num_samples))
        exact = -self.spec.num_dims * math.log(self.spec.num_levels) + 0.001 * x.flatten(1).sum(1)
        return exact + torch.log(2.0 * torch.rand(num_samples, len(x)))

    def estimator(self, num_samples: int = 1) -> dict:
        return {"method": "weights", "importance_samples": num_samples}


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch) -> Halves:
    monkeypatch.setitem(features.RECIPE, "examples", 3000)
    module = Halves(SPEC)
    module.setup()
    return module


def run(
    model: GenerativeModel,
    data: ArenaDataModule,
    *metrics: str,
    settings: EvaluationSettings = SETTINGS,
    options: dict = OPTIONS,
):
    return evaluate(model.eval(), data, metrics, settings, SIZES | options, progress=False)


def without_seconds(metrics: dict[str, dict]) -> dict[str, dict]:
    """The records without how long they took."""
    return {name: {key: entry[key] for key in entry if key != "seconds"} for name, entry in metrics.items()}


def test_uniform_scores_log2_of_the_levels(data: Halves) -> None:
    entry = run(Noise(SPEC), data, "bits_per_dim").metrics["bits_per_dim"]
    assert entry["value"] == pytest.approx(2.0, rel=1e-6)
    assert entry["standard_error"] == pytest.approx(0.0, abs=1e-12)
    facts = {"n": 50, "likelihood": "exact", "sign": "=", "split": "test, 50 at random", "draws": 1}
    assert {name: entry[name] for name in facts} == facts


def test_only_what_is_asked_for_is_computed_and_once(data: Halves) -> None:
    model = Noise(SPEC)
    assert run(model, data, "bits_per_dim", "nll_nats").fake is None
    assert model.calls == [("log_prob", 50, 1)]
    model.calls.clear()
    evaluation = run(model, data, "nearest_neighbour_ratio", "recall", "fd_domain", "sampling_seconds")
    assert model.calls == [("sample", 100), ("sample", 70)]
    assert evaluation.fake.shape == (170, 1, 8, 8)
    assert evaluation.seconds_per_image == evaluation.metrics["sampling_seconds"]["value"] > 0


def test_a_metric_may_take_more_or_fewer_than_the_others(data: Halves) -> None:
    """Fewer samples are the first of more, so that its number is that of an evaluation in which all take as many."""
    names = ["nearest_neighbour_ratio", "sampling_seconds", "nll_nats", "bits_per_dim"]
    own = {"metric.nearest_neighbour_ratio.num_samples": 130, "metric.nll_nats.num_test": 20}
    model = Noise(SPEC)
    found = run(model, data, *names, options=own)
    assert model.calls == [
        *(("sample", count) for count in (100, 30, 100, 70)),
        ("log_prob", 20, 1),
        ("log_prob", 50, 1),
    ]
    sizes = {name: record["n"] for name, record in found.metrics.items()}
    assert sizes == {"nearest_neighbour_ratio": 130, "sampling_seconds": 170, "nll_nats": 20, "bits_per_dim": 50}
    assert len(found.fake) == 170  # the most
    every = {"evidence.samples.num_samples": 130, "evidence.examples.num_test": 20}
    alone = run(model, data, *names, options=every | {"metric.nearest_neighbour_ratio.num_test": 50})
    assert torch.equal(alone.fake, found.fake[:130])
    for name in names[::2]:
        one, other = (without_seconds(each.metrics)[name] for each in (found, alone))
        assert one == other  # with the id of its protocol
    assert alone.metrics["bits_per_dim"]["protocol"] != found.metrics["bits_per_dim"]["protocol"]


def test_everything_that_can_be_had_is_json_and_the_rest_says_why(data: Halves) -> None:
    evaluation = run(Noise(SPEC), data, *names())
    json.dumps(evaluation.metrics, allow_nan=False)
    null = {name for name, entry in evaluation.metrics.items() if entry["value"] is None}
    assert null == {
        "fid",
        "fid_infinity",
        "kid",
        "inception_score",
        "vendi",
        "fd_dinov2",
        "fd_efficientnet",
        "fd_clip",
        "fd_domain",
        "class_accuracy",
        "attribute_accuracy",
        "fd_domain_per_class",
        "generative_accuracy",
        "caption_retrieval",
        "clip_score",
        "energy_distance",
        "c2st",
        "kl_to_truth_nats",
        "iw_nll_nats",
        "iw_bounds",
        "ode_nll_nats",
        "ode_bits_per_dim",
        "ais_nll_nats",
        "nats_per_frame",
        *OF_CODES,
        *OF_SOUND,
    }
    assert all("\n" not in evaluation.metrics[name]["reason"] for name in null)
    assert (
        "needs at least 2,049 test examples and 2,049 samples (with fewer the covariance"
        in evaluation.metrics["fid"]["reason"]
    )
    assert all(isinstance(entry["n"], int) for name, entry in evaluation.metrics.items() if name not in null)
    assert evaluation.metrics["recall"]["backbone"]["test_accuracy"] > 0.9
    assert evaluation.metrics["recall"]["n"] == 50  # of the 170 samples as many as there are test examples
    assert evaluation.metrics["recall"]["n_real"] == 50


def test_repeatable_and_the_random_state_is_left_alone(data: Halves) -> None:
    model = Noise(SPEC)
    model.likelihood = Likelihood.LOWER_BOUND
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first = run(model, data, "nll_nats", "precision")
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(6)
    second = run(model, data, "precision", "nll_nats")  # neither the caller's state nor the order matters
    assert torch.equal(first.fake, second.fake)
    assert without_seconds(first.metrics) == without_seconds(second.metrics)
    other = run(model, data, "nll_nats", settings=EvaluationSettings(sample_seed=1))
    assert other.metrics["nll_nats"]["value"] != first.metrics["nll_nats"]["value"]


def test_importance_weights_only_where_they_tighten_a_bound(data: Halves) -> None:
    for name in ("iw_nll_nats", "iw_bounds"):
        assert "no lower bound" in run(Noise(SPEC), data, name).metrics[name]["reason"]
        unweighed = Noise(SPEC)
        unweighed.likelihood = Likelihood.LOWER_BOUND
        assert "do not tighten" in run(unweighed, data, name).metrics[name]["reason"]
        fine = WeighedNoise(SPEC)
        fine.draws_matter = False
        assert "the noise within a level alone" in run(fine, data, name).metrics[name]["reason"] and not fine.calls
    model = WeighedNoise(SPEC)
    entry = run(model, data, "iw_nll_nats").metrics["iw_nll_nats"]
    assert model.calls == [("log_prob", 20, 3)]
    assert (entry["n"], entry["draws"], entry["split"], entry["sign"]) == (20, 3, "test, 20 at random", "<=")
    assert entry["estimator"] == {"method": "weights", "importance_samples": 3}


def test_the_bound_as_a_curve_over_draws_in_bounded_memory(data: Halves) -> None:
    options = {"metric.iw_bounds.k": [1, 10, 1950], "metric.iw_bounds.num_test": 40}
    model = WeighedNoise(SPEC)
    entry = run(model, data, "iw_bounds", options=options).metrics["iw_bounds"]
    assert model.calls == 40 * [*19 * [("log_weights", 1, 100)], ("log_weights", 1, 50)]
    brightness = 0.001 * data.test.x[:40].flatten(1).sum(1).double()
    exact = 64 * math.log(4) - brightness.mean().item()
    assert entry["k"] == [1, 10, 1950]
    # E -log U[0, 2] = 1 - log 2, with a standard deviation of 1; the last bound has next to none
    assert entry["nats"][0] - exact == pytest.approx(1.0 - math.log(2.0), abs=4.0 / 40**0.5)
    assert entry["nats"][0] > entry["nats"][1] > entry["nats"][2] == entry["value"] == pytest.approx(exact, abs=0.02)
    assert entry["effective_draws"] == pytest.approx(0.75 * 1950, rel=0.02)  # E[w]^2 / E[w^2] = 3/4
    facts = {"n": 40, "draws": 1950, "split": "test, 40 at random", "likelihood": "lower_bound", "sign": "<="}
    assert {name: entry[name] for name in facts} == facts


def test_a_decoder_alone_has_an_estimate_with_its_noise_stated(data: Halves) -> None:
    class Grey(Noise, Emits):
        """G(z) = 0 whatever z is: P(x) is the product of the masses of N(0, sigma^2), and chains are exact."""

        likelihood, latent_dim = Likelihood.NONE, 2

        def emit(self, z: Tensor, y: Tensor | None = None) -> Tensor:
            return 0.0 * z[:, :1, None, None].expand(-1, 1, 8, 8)

    own = {"num_test": 30, "chains": 3, "steps": 4, "sigma": 0.5}
    options = {f"metric.ais_nll_nats.{option}": value for option, value in own.items()}
    entry = run(Grey(SPEC), data, "ais_nll_nats", options=options).metrics["ais_nll_nats"]
    edges = torch.tensor([-math.inf, -2.0 / 3.0, 0.0, 2.0 / 3.0, math.inf], dtype=torch.float64) / 0.5
    log_mass = torch.special.ndtr(edges).diff().log()
    exact = -log_mass[some(data.test.x, 30).long()].flatten(1).sum(1).mean().item()
    assert entry["value"] == pytest.approx(exact, rel=1e-5)
    facts = {"n": 30, "split": "test, 30 at random", "likelihood": "estimate", "sign": "~"}
    assert {name: entry[name] for name in facts} == facts
    made = entry["estimator"]
    assert (made["observation_noise"], made["ais_chains"], made["ais_steps"]) == (0.5, 3, 4)
    assert made["effective_chains"] == pytest.approx(3.0)
    assert made["sandwich"]["gap"] == pytest.approx(0.0, abs=1e-4)


@pytest.mark.parametrize(("effective", "trusted"), [(32.0, True), (8.0, True), (7.9, False), (2.06, False)])
def test_a_likelihood_from_few_effective_chains_is_no_number(data: Halves, effective: float, trusted: bool) -> None:
    class Annealed(Noise):
        likelihood = Likelihood.ESTIMATE

        def estimator(self, num_samples: int = 1) -> dict:
            return {"method": "AIS", "ais_chains": 32, "ais_steps": 9, "effective_chains": effective}

    model = Annealed(SPEC)
    metrics = run(model, data, "bits_per_dim", "nll_nats").metrics
    for entry in metrics.values():
        assert (entry["value"] is not None) == trusted
        assert entry["estimator"]["effective_chains"] == effective
    if not trusted:
        assert model.calls == []
        assert f"{effective:.3g} effective of 32 chains" in metrics["bits_per_dim"]["reason"]
        assert "model.ais_steps (now 9)" in metrics["nll_nats"]["reason"]


def test_an_energy_so_steep_that_its_chains_disagree_has_no_likelihood(data: Halves) -> None:
    torch.manual_seed(0)
    model = EBM(SPEC, temperature=1e-4, buffer_size=8, ais_steps=5)
    model.observe(Batch(data.train.x))
    entry = run(model, data, "bits_per_dim").metrics["bits_per_dim"]
    assert model.partition().effective_chains < 8.0
    assert (entry["value"], entry.get("failed")) == (None, None) and "effective of 32 chains" in entry["reason"]


def test_the_error_of_log_z_is_understated_where_few_chains_are_effective() -> None:
    """Weights w = exp(s e), e ~ N(0, 1), of mean exp(s^2 / 2): the claim behind the least share of effective chains."""
    torch.manual_seed(0)
    spread = torch.linspace(0.2, 4.0, 39, dtype=torch.float64).repeat_interleave(4000)
    log_weights = spread[:, None] * torch.randn(len(spread), 32, dtype=torch.float64)
    error = torch.logsumexp(log_weights, 1) - math.log(32) - spread.square() / 2
    effective = effective_number(log_weights, 1)
    stated = (1.0 / effective - 1.0 / 32).sqrt()

    def understated(low: float, high: float) -> float:
        some = (effective >= low) & (effective < high)
        return (error[some].square().mean().sqrt() / stated[some].mean()).item()

    assert 3.0 < understated(8.0, 9.0) < 4.5
    assert understated(4.0, 8.0) > 4.0
    assert understated(16.0, 32.0) < 2.0
    assert error[effective < 8.0].mean() < -0.5  # too small a log Z, too large a likelihood


def test_no_observation_noise_is_added_to_a_bijection(data: Halves) -> None:
    class Grey(Noise, Emits):
        latent_dim, bijective = 64, True

        def emit(self, z: Tensor, y: Tensor | None = None) -> Tensor:
            raise AssertionError("chains through a model with a likelihood of its own")

    entry = run(Grey(SPEC), data, "ais_nll_nats").metrics["ais_nll_nats"]
    assert entry["value"] is None and "has a density of its own" in entry["reason"]


def test_a_probability_flow_is_an_estimate_with_its_solver_stated(data: Halves) -> None:
    class Flow(Noise, Integrates):
        def ode_log_prob(
            self, x: Tensor, tolerance: float, num_probes: int, dequantisation: str, y: Tensor | None = None
        ) -> tuple[Tensor, dict]:
            self.calls.append((len(x), tolerance, num_probes, dequantisation))
            return torch.full((len(x),), -64 * math.log(2.0)), {"method": "ODE", "nfe": len(x)}

    model = Flow(SPEC)
    own = {"num_test": 48, "tolerance": 1e-3, "probes": 2, "dequantisation": "uniform"}
    both = {f"evidence.probability_flow.{option}": value for option, value in own.items()}
    metrics = run(model, data, "ode_bits_per_dim", "ode_nll_nats", options=both).metrics
    assert model.calls == [(32, 1e-3, 2, "uniform"), (16, 1e-3, 2, "uniform")]  # solved once for both
    apart = both | {"metric.ode_nll_nats.tolerance": 1e-4}
    run(model, data, "ode_bits_per_dim", "ode_nll_nats", options=apart)
    assert [call[1] for call in model.calls[2:]] == [1e-3, 1e-3, 1e-4, 1e-4]  # each with its own tolerance
    assert metrics["ode_bits_per_dim"]["value"] == pytest.approx(1.0)
    assert metrics["ode_nll_nats"]["value"] == pytest.approx(64 * math.log(2.0))
    for entry in metrics.values():
        assert (entry["n"], entry["split"], entry["sign"]) == (48, "test, 48 at random", "~")
        assert entry["estimator"] == {"method": "ODE", "nfe": 24.0, "batch_size": 32}
    for known in (("uniform",), ("model", "uniform")):  # noise of its own only where the model has it
        model.dequantisations = known
        run(model, data, "ode_nll_nats", options={"metric.ode_nll_nats.num_test": 5})
        assert model.calls[-1] == (5, 1e-5, 1, known[0])


def test_no_likelihood_and_broken_likelihoods(data: Halves) -> None:
    model = Noise(SPEC)
    model.likelihood = Likelihood.NONE
    record = run(model, data, "nll_nats").metrics["nll_nats"]
    assert (record["value"], record["reason"]) == (None, "Noise has no likelihood")
    model.likelihood = Likelihood.EXACT
    model.log_prob = lambda x, y, num_samples: torch.where(torch.arange(len(x)) == 0, torch.nan, torch.zeros(len(x)))
    assert "1 of 50 test examples" in run(model, data, "bits_per_dim").metrics["bits_per_dim"]["reason"]
    model.log_prob = lambda x, y, num_samples: torch.zeros(len(x), 1)
    with pytest.raises(ValueError, match=r"log_prob gave shape \(50, 1\), expected \(50,\)"):
        run(model, data, "nll_nats")


@pytest.mark.parametrize(
    "samples, text",
    [
        (lambda n: torch.zeros(n, 1, 8, 8), "float32"),
        (lambda n: torch.zeros(n, 1, 8, 9, dtype=torch.uint8), "8, 9"),
        (lambda n: torch.full((n, 1, 8, 8), 4, dtype=torch.uint8), "level 4, the data has levels 0 to 3"),
    ],
)
def test_samples_in_another_space_are_an_error(data: Halves, samples, text: str) -> None:
    model = Noise(SPEC)
    model.sample = lambda num_samples, y=None: samples(num_samples)
    with pytest.raises(ValueError, match=text):
        run(model, data, "sampling_seconds")


def test_vectors_are_their_own_features() -> None:
    spec = DataSpec((2,))
    data = Halves(spec)
    data.setup()
    metrics = run(Noise(spec), data, *names()).metrics
    null = {name for name, entry in metrics.items() if entry["value"] is None}
    assert null == {
        "bits_per_dim",
        "iw_nll_nats",
        "fid",
        "fid_infinity",
        "kid",
        "inception_score",
        "fd_dinov2",
        "fd_efficientnet",
        "fd_clip",
        "fd_domain",
        "kd_domain",
        "class_histogram_kl",
        "class_accuracy",
        "attribute_accuracy",
        "fd_domain_per_class",
        "generative_accuracy",
        "caption_retrieval",
        "clip_score",
        "vendi",
        "c2st",
        "kl_to_truth_nats",
        "iw_bounds",
        "ode_nll_nats",
        "ode_bits_per_dim",
        "ais_nll_nats",
        "nats_per_frame",
        *OF_CODES,
        *OF_SOUND,
    }
    assert metrics["recall"]["backbone"] == {"name": "identity"}
    assert metrics["precision"]["value"] > 0.6  # the same Gaussian


def test_samples_that_are_not_finite_are_counted_and_shown() -> None:
    spec = DataSpec((2,))
    data = Halves(spec)
    data.setup()
    model = Noise(spec)
    model.sample = lambda n, y=None: torch.where(torch.arange(n)[:, None] == 1, torch.nan, torch.zeros(n, 2))
    evaluation = run(model, data, "recall", "nearest_neighbour_ratio", "sampling_seconds")
    assert evaluation.nonfinite_samples == 2  # one per block
    recall = evaluation.metrics["recall"]
    assert (recall["value"], recall["reason"]) == (None, "2 of 170 samples are not finite")
    assert evaluation.metrics["nearest_neighbour_ratio"]["value"] is None
    assert evaluation.fake.isnan().any()
    assert evaluation.metrics["sampling_seconds"]["nonfinite_samples"] == 2


def test_a_set_without_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "find_spec", lambda name: None)  # no package with weights
    spec = DataSpec((1, 8, 8), 4)
    data = Halves(spec)
    data.setup()
    metrics = run(Noise(spec), data, "recall", "fd_domain", "nearest_neighbour_ratio").metrics
    assert "no EfficientNet-Lite0 weights" in metrics["recall"]["reason"]
    assert "need images of integer levels with labels" in metrics["fd_domain"]["reason"]
    assert metrics["nearest_neighbour_ratio"]["value"] > 0.5


def test_every_record_has_the_id_of_its_protocol(data: Halves) -> None:
    """Also that of a metric without a value."""
    evaluation = run(Noise(SPEC), data, "nll_nats", "fid", "nearest_neighbour_ratio")
    rules = protocol(["nll_nats", "fid", "nearest_neighbour_ratio"], SETTINGS, SIZES | OPTIONS, data)
    assert evaluation.protocol == rules
    assert evaluation.metrics["fid"]["value"] is None
    assert {name: record["protocol"] for name, record in evaluation.metrics.items()} == {
        name: each["id"] for name, each in rules["metrics"].items()
    }


@pytest.mark.parametrize("wrong", [{"split": "train"}, {"sample_seed": 2.0}, {"sample_seed": -1}])
def test_settings_out_of_range(wrong: dict) -> None:
    with pytest.raises(ValueError, match=f"evaluation.{next(iter(wrong))}="):
        EvaluationSettings(**wrong)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"metric.iw_nll_nats.draws": True}, "metric.iw_nll_nats.draws=True: expected int"),
        ({"metric.ais_nll_nats.sigma": 0.0}, "metric.ais_nll_nats.sigma=0.0: expected a positive number"),
        ({"metric.ode_nll_nats.tolerance": "small"}, "metric.ode_nll_nats.tolerance=small: expected float"),
        (
            {"metric.ode_nll_nats.dequantisation": "gauss"},
            "metric.ode_nll_nats.dequantisation=gauss: expected model, uniform",
        ),
        ({"metric.iw_bounds.k": [10, 1]}, "metric.iw_bounds.k=[10, 1]: expected rising"),
        ({"metric.iw_bounds.k": []}, "metric.iw_bounds.k=[]: expected rising"),
        ({"evidence.importance_curve.k": [1, 2.5]}, "evidence.importance_curve.k=[1, 2.5]: expected a list, each"),
        ({"evidence.samples.num_samples": 0}, "evidence.samples.num_samples=0: expected at least 1"),
        ({"evidence.examples.num_test": 2.0}, "evidence.examples.num_test=2.0: expected int"),
        ({"metric.recall.kk": 3}, "metric.recall.kk: there is no such option; did you mean metric.recall.k?"),
        ({"metric.recal.k": 3}, "metric.recal.k: there is no such option; did you mean metric.recall.k?"),
        (
            {"evidence.samples.num_sample": 3},
            "evidence.samples.num_sample: there is no such option; did you mean evidence.samples.num_samples?",
        ),
        ({"metric.recall.depth": 3}, "metric.recall.depth: there is no such option; metric.recall has "),
        ({"evidence.xyz.abc": 3}, "evidence.xyz.abc: there is no such option; there is evidence.<annealed_importance"),
    ],
)
def test_options_of_metrics_that_are_wrong(options: dict, said: str) -> None:
    with pytest.raises(UserError) as refused:
        asked(["recall", "ais_nll_nats", "iw_nll_nats", "iw_bounds", "ode_nll_nats"], options)
    assert str(refused.value).startswith(said)


def test_training_mode_is_refused(data: Halves) -> None:
    with pytest.raises(ValueError, match="eval mode"):
        evaluate(Noise(SPEC).train(), data, ["nll_nats"], SETTINGS)


def test_every_piece_of_evidence_is_asked_for() -> None:
    by_metrics = {piece for name in names() for piece in needed(load_metric(name))}
    by_pieces = {part for kind in kinds() for parts in kind.pieces().values() for part in parts}
    assert by_metrics | by_pieces == set(Evidence.names())


def test_validation_is_another_protocol_that_never_looks_at_the_test_split() -> None:
    data, model = Halves(SPEC), Noise(SPEC).eval()
    data.setup()
    chosen = ["bits_per_dim", "nearest_neighbour_ratio", "sampling_seconds"]
    on_val = dataclasses.replace(SETTINGS, split="val")
    assert {rules["split"] for rules in protocol(chosen, on_val)["metrics"].values()} == {"val"}
    whole = Halves(SPEC)
    whole.setup()
    whole.test, data.test = whole.val, None
    found, expected = (
        evaluate(model, at, chosen, how, SIZES).metrics for at, how in ((data, on_val), (whole, SETTINGS))
    )
    assert found["bits_per_dim"]["value"] == expected["bits_per_dim"]["value"]
    assert (found["bits_per_dim"]["split"], found["bits_per_dim"]["n"]) == ("val", 30)
    with pytest.raises(ValueError, match="evaluation.split=train: expected test, val"):
        dataclasses.replace(SETTINGS, split="train")
