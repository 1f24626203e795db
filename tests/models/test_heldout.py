import torch

from genarena.config import compose
from genarena.data.digits import Digits
from genarena.models.baseline.heldout import Heldout
from genarena.run import run
from genarena.runs.folder import RunFolder
from genarena.spec import DataSpec


def test_samples_are_validation_examples_drawn_evenly() -> None:
    model, data = Heldout(DataSpec((1,)), capacity=40), torch.arange(60, dtype=torch.float32).view(-1, 1)
    model.withhold(data[:30])
    counts = model.sample(30_000).flatten().long().bincount(minlength=60)
    assert counts[30:].sum() == 0 and counts[:30].min() > 800  # 1,000 expected, 31 the standard deviation
    model.withhold(data)
    assert set(model.sample(2000).flatten().tolist()) == set(range(40))


def test_a_run_shows_the_validation_split_and_nothing_else(tmp_path) -> None:
    row = run(
        compose(
            [
                "model=heldout",
                "data=digits",
                "budget=smoke",
                f"runs_dir={tmp_path}",
                "callbacks.progress=false",
                "metrics=[nearest_neighbour_ratio]",
            ]
        )
    )
    assert row["cost"]["examples_seen"] == 0
    assert row["metrics"]["nearest_neighbour_ratio"]["copies"] == 0.0
    (path,) = tmp_path.glob("digits/heldout/*")
    _, model = RunFolder.open(path).rebuild()
    data = Digits(model.spec)
    data.setup()
    assert torch.equal(model.examples[: int(model.count)], data.val.x)
