import torch

from genarena.config import compose
from genarena.data.digits import Digits
from genarena.evaluation.asked import load_metric
from genarena.evaluation.evaluate import evaluate
from genarena.evaluation.evidence.samples import Samples
from genarena.evaluation.gathered import Evidence
from genarena.evaluation.settings import EvaluationSettings
from genarena.evaluation.subject import Subject
from genarena.files.progress import Bars
from genarena.models.baseline.heldout import Heldout
from genarena.run import run
from genarena.runs.folder import RunFolder
from genarena.spec import DataSpec
from genarena.statistics.manifolds import Manifolds, Reference


def test_samples_are_validation_examples_drawn_evenly() -> None:
    model, data = Heldout(DataSpec((1,)), capacity=40), torch.arange(60, dtype=torch.float32).view(-1, 1)
    model.withhold(data[:30])
    counts = model.sample(30_000).flatten().long().bincount(minlength=60)
    assert counts.tolist() == [1000] * 30 + [0] * 30
    assert sorted(model.sample(30).flatten().tolist()) == list(range(30))
    model.withhold(data)
    assert set(model.sample(2000).flatten().tolist()) == set(range(40))
    firsts = torch.stack([model.sample(1) for _ in range(4000)]).flatten().long().bincount(minlength=40)
    assert firsts.min() > 50  # 100 expected, 10 the standard deviation


def test_no_example_is_drawn_twice_in_an_evaluation() -> None:
    """There are fewer held-out images than samples asked for, and more than a block holds: each comes once, n says how many.

    With replacement 88 of these 180 images would repeat, as their own nearest neighbours, and recall would fall to 0.16.
    """
    data = Digits(DataSpec((1, 8, 8), 17, 10))
    data.setup()
    model = Heldout(data.spec).eval()
    model.withhold(data.val.x)
    for asked, drawn in ((1000, 180), (150, 150)):
        subject = Subject(model, data, EvaluationSettings(), Bars(shown=False))
        evidence = Evidence(subject, {Samples: Samples.Settings(num_samples=asked)})
        fake = evidence.get("fake")
        assert len(fake) == len(fake.flatten(1).unique(dim=0)) == drawn
        recall = load_metric("recall")()
        real = data.test.x[torch.randperm(360, generator=torch.Generator().manual_seed(0))[:drawn]]
        recall.update(Manifolds(real.flatten(1).float(), fake.flatten(1).float()), Reference(None))
        assert recall.compute() > 0.85
        assert evidence.get("sampler")["n"] == drawn
    found = evaluate(model, data, ["fid"], EvaluationSettings(), {"evidence.samples.num_samples": 150}, progress=False)
    assert found.metrics["fid"]["reason"].endswith("there are 360 test examples and 150 samples")


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


def test_of_sound_with_its_recording_it_is_that() -> None:
    x = torch.arange(1024, dtype=torch.int32)[None, None]
    assert torch.equal(Heldout(DataSpec((1, 1024), 65_536)).recode(x), x)
