"""Draws come in fixed blocks, whose seeds are those of the evaluation and of the run."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from genarena import api
from genarena.config import check, compose
from genarena.errors import UserError
from genarena.evaluation.blocks import block_size, blocks_of
from genarena.evaluation.evaluate import Evaluation, evaluate
from genarena.evaluation.settings import EvaluationSettings
from genarena.likelihood import Likelihood
from genarena.models.base import GenerativeModel
from genarena.models.baseline.uniform import Uniform
from genarena.models.capabilities import Weighs
from genarena.run import run
from genarena.spec import DataSpec
from tests.small_world import SPEC, Halves

METRICS = ["nearest_neighbour_ratio", "bits_per_dim", "iw_nll_nats", "iw_bounds"]
OPTIONS = {
    "evidence.examples.num_test": 150,
    "evidence.importance_curve.k": [1, 250],
    "evidence.importance_curve.num_test": 3,
    "evidence.importance_weighted.draws": 2,
    "evidence.importance_weighted.num_test": 150,
}


class Random(Uniform, Weighs):
    """Everything that it says is drawn."""

    likelihood = Likelihood.LOWER_BOUND

    def log_prob(self, x: Tensor, y: Tensor | None = None, num_samples: int = 1) -> Tensor:
        return torch.randn(len(x))

    def log_weights(self, x: Tensor, y: Tensor | None = None, num_samples: int = 1) -> Tensor:
        return torch.randn(num_samples, len(x))


@pytest.fixture(scope="module")
def data() -> Halves:
    module = Halves(SPEC)
    module.setup()
    return module


def evaluated(model: GenerativeModel, data: Halves, run_seed: int, num_samples: int = 250, **more: int) -> Evaluation:
    options = OPTIONS | {"evidence.samples.num_samples": num_samples}
    return evaluate(model.eval(), data, METRICS, EvaluationSettings(**more), options, run_seed, progress=False)


def test_a_block_follows_from_the_shape_of_the_data() -> None:
    sizes = {(2,): 100, (1, 8, 8): 100, (3, 64, 64): 100, (3, 256, 256): 10, (3, 1024, 1024): 1}
    assert {shape: block_size(DataSpec(shape, 256)) for shape in sizes} == sizes
    assert blocks_of(230, SPEC) == [slice(0, 100), slice(100, 200), slice(200, 230)]
    with pytest.raises(UserError, match=r"evaluation\.batch_size"):
        check(["model=uniform", "data=digits", "evaluation.batch_size=10"])


def test_more_samples_begin_with_the_same_blocks(data: Halves) -> None:
    few, many = (evaluated(Random(SPEC), data, 0, num_samples=count).fake for count in (200, 330))
    assert torch.equal(few, many[:200])
    assert not torch.equal(many[:100], many[100:200])


def test_runs_of_other_seeds_draw_other_noise(data: Halves) -> None:
    """Of `uniform`, whose training leaves nothing random. Every number that is drawn differs; the same seed repeats it."""
    first, again, other = (evaluated(Random(SPEC), data, seed) for seed in (0, 0, 1))
    third = evaluated(Random(SPEC), data, 0, sample_seed=1)
    assert torch.equal(first.fake, again.fake)
    assert len({each.fake.numpy().tobytes() for each in (first, other, third)}) == 3
    for name in METRICS:
        values = [each.metrics[name]["value"] for each in (first, again, other, third)]
        assert values[0] == values[1]
        assert len(set(values)) == 3, name


def test_a_run_scored_again_has_its_numbers_bit_for_bit(tmp_path: Path) -> None:
    """With the seed of the run; under another `sample_seed`, others."""
    common = ["data=digits", "budget=smoke", "budget.examples=64", "callbacks.progress=false", "logger=none"]
    names = ["nearest_neighbour_ratio", "nll_nats", "iw_nll_nats", "sampling_seconds"]
    small = ["model.channels=8", "model.hidden=16", f"runs_dir={tmp_path}", f"metrics=[{','.join(names)}]"]
    rows = [run(compose(["model=vae", *common, *small, f"seed={seed}"])) for seed in (3, 4)]
    folders = [next(tmp_path.glob(f"digits/vae/*-seed{seed}")) for seed in (3, 4)]
    for row, folder in zip(rows, folders, strict=True):
        again, other = api.rescore(folder), api.rescore(folder, changes={"sample_seed": 1})
        for name in names[:3]:
            assert again["metrics"][name]["value"] == row["metrics"][name]["value"] != other["metrics"][name]["value"]
        seeds = {"sample_seed": 0, "run_seed": row["seed"]}
        assert row["metrics"]["sampling_seconds"]["seeds"] == again["metrics"]["sampling_seconds"]["seeds"] == seeds
    samples = api.sample(folders[0], 64, seed=3)
    assert not torch.equal(samples, api.sample(folders[0], 64, seed=4))
