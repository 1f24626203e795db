"""fd_domain during training: few samples, validation examples, a fixed seed; it changes nothing of the training."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from genarena.config import compose
from genarena.evaluation.evaluate import evaluate
from genarena.evaluation.validation_quality import FEWEST, METRIC, MOST, DomainDistance, number, sample_quality
from genarena.models.baseline.uniform import Uniform
from genarena.run import run
from tests.run_folders import tensors, the_folder
from tests.small_world import SETTINGS, furnished


@pytest.mark.parametrize(("nfe", "samples"), [(1, MOST), (5, MOST), (10, 250), (20, FEWEST), (12288, FEWEST)])
def test_slow_samplers_draw_fewer(nfe: int, samples: int) -> None:
    assert number(nfe) == samples


def test_it_is_the_metric_on_the_validation_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = furnished(monkeypatch, tmp_path)
    data.val = data.test  # its own has too few images
    model = Uniform(data.spec).eval()
    settings = replace(SETTINGS, sample_seed=7)  # of the evaluation: not what chooses weights
    before = torch.get_rng_state()
    typed = {"evidence.samples.num_samples": 7, f"metric.{METRIC}.num_samples": 9}  # nor are those
    found = DomainDistance(data, settings, typed, num_val=10_000)(model)
    assert torch.equal(before, torch.get_rng_state())
    own = replace(settings, split="val", sample_seed=0)
    sizes = {"evidence.samples.num_samples": number(model.nfe), "evidence.examples.num_test": data.val.size}
    assert found == evaluate(model, data, [METRIC], own, sizes, progress=False).metrics[METRIC]["value"]
    assert found > 0.0


def test_only_a_run_that_asks_for_it_needs_the_classifier() -> None:
    one, other = ({"metrics": [name], "budget": {"num_val": 5}} for name in ("bits_per_dim", METRIC))
    assert sample_quality(one, None, SETTINGS) is None
    assert sample_quality(other, None, SETTINGS) is not None


def test_a_run_says_what_chose_its_weights_and_trains_as_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = iter([3.0, 1.0, 2.0, 4.0, 5.0, 6.0])

    def measure(self: DomainDistance, model: torch.nn.Module) -> float:
        torch.rand(3)  # the state of the training must be set anew afterwards
        assert not model.training
        return next(values)

    line = ["model=dcgan", "data=digits", "budget=smoke", "budget.examples=256", "model.training.batch_size=32"]
    line += ["callbacks.progress=false", "callbacks.grid_size=1", "logger=csv"]
    plain = run(compose([*line, "metrics=[]", f"runs_dir={tmp_path}/plain"]))
    monkeypatch.setattr(DomainDistance, "__call__", measure)
    monkeypatch.setattr("genarena.run.evaluate", lambda *args, **kwargs: _Nothing())
    row = run(compose([*line, "metrics=[fd_domain]", f"runs_dir={tmp_path}/judged"]))
    found = [(each["selected"]["by"], each["selected"]["share"]) for each in (plain, row)]
    assert found == [("last", 1.0), ("val/fd_domain", 0.25)]
    assert row["weights"].endswith("best val/fd_domain (at 25% of the budget)")
    one, other = (tensors(torch.load(the_folder(tmp_path / name).last)["state_dict"]) for name in ("plain", "judged"))
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
    text = next((tmp_path / "judged").rglob("metrics.csv")).read_text()
    assert "val/fd_domain" in text.splitlines()[0] and "examples" in text.splitlines()[0]


class _Nothing:
    """The evaluation of a run whose numbers do not matter."""

    metrics, fake, seconds_per_image, nonfinite_samples = {}, None, None, 0
