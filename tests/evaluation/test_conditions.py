"""Conditions in an evaluation: samples are paired with test labels, likelihoods and rows say what they are given."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from genarena.config import compose
from genarena.data.batches import Split
from genarena.errors import UserError
from genarena.evaluation import features
from genarena.evaluation.asked import asked
from genarena.evaluation.evaluate import evaluate
from genarena.evaluation.evidence.samples import Samples
from genarena.evaluation.pictures import draw_samples
from genarena.evaluation.protocol import protocol
from genarena.evaluation.row import _variant
from genarena.evaluation.settings import EvaluationSettings
from genarena.evaluation.subject import Subject
from genarena.files.progress import Bars
from genarena.likelihood import Likelihood
from genarena.models.base import GenerativeModel
from genarena.runs.past import fingerprint
from genarena.spec import Batch, Condition, DataSpec
from tests.evaluation.test_evaluate import Halves

SPEC = DataSpec((1, 8, 8), 4, 2, condition="label")
SETTINGS = EvaluationSettings()
SIZES = {"evidence.samples.num_samples": 150, "evidence.examples.num_test": 60}
PROMPTED = SIZES | {"evidence.samples.conditions": "prompted"}


class Painter(GenerativeModel):
    """Samples of class y are bright in the upper half if y = 1, and not by the share `wrong` of the samples."""

    family = "baseline"
    likelihood = Likelihood.EXACT
    paper = ""
    conditional = True

    def __init__(self, spec: DataSpec, wrong: float = 0.0) -> None:
        super().__init__(spec)
        self.wrong, self.asked, self.scored = wrong, [], []

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        return {"loss": torch.zeros(())}

    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        self.asked.append(y)
        x = torch.randint(0, 3, (num_samples, *self.spec.shape), dtype=torch.uint8)
        shown = torch.where(torch.rand(num_samples) < self.wrong, 1 - y, y)
        x[shown == 1, :, :4] += 1
        return x

    def log_prob(self, x: Tensor, y: Tensor | None = None, num_samples: int = 1) -> Tensor:
        self.scored.append(y)
        return -100.0 - y.float()


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch) -> Halves:
    monkeypatch.setitem(features.RECIPE, "examples", 3000)
    module = Halves(SPEC)
    module.setup()
    return module


def test_sample_i_has_the_label_of_test_example_i(data: Halves) -> None:
    model = Painter(SPEC).eval()
    record = evaluate(model, data, ["class_accuracy", "bits_per_dim"], SETTINGS, SIZES, progress=False).metrics
    labels = data.test.y
    assert torch.equal(torch.cat(model.asked), torch.cat([labels, labels, labels[:30]]))
    assert torch.equal(torch.cat(model.scored), labels)
    assert record["class_accuracy"]["conditions"] == "paired: label of the test split, in turn"
    assert record["bits_per_dim"]["given"] == "label"
    assert "given" not in record["class_accuracy"]


def test_prompted_samples_take_a_fixed_list(data: Halves) -> None:
    """It depends neither on the batch size nor on the split; likelihoods stay those of the split's own labels."""
    model = Painter(SPEC).eval()
    record = evaluate(model, data, ["class_accuracy", "bits_per_dim"], SETTINGS, PROMPTED, progress=False).metrics
    assert torch.equal(torch.cat(model.asked), torch.arange(150) % 2)
    assert torch.equal(torch.cat(model.scored), data.test.y)
    assert record["class_accuracy"]["conditions"] == "prompted: 2 x label, in turn"
    assert record["class_accuracy"]["value"] == pytest.approx(record["class_accuracy"]["real"], abs=0.1)
    paired = protocol(["class_accuracy"], SETTINGS, SIZES, data)["metrics"]["class_accuracy"]
    assert record["class_accuracy"]["protocol"] != paired["id"]


def test_attributes_are_prompted_one_at_a_time() -> None:
    spec = dataclasses.replace(SPEC, num_attributes=3, condition="attributes")
    data = Halves(dataclasses.replace(SPEC, condition=None))
    data.setup()
    data.spec = spec
    subject = Subject(Painter(spec).eval(), data, SETTINGS, Bars(shown=False))
    samples = Samples(subject, Samples.Settings(conditions="prompted"), None)
    assert torch.equal(samples._conditions(0, 5), torch.eye(3, dtype=torch.long)[[0, 1, 2, 0, 1]])
    assert torch.equal(samples._conditions(2, 3), torch.eye(3, dtype=torch.long)[[2, 0, 1]])


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        (None, "models of this data have no condition"),
        (Condition("caption", 9, (4,)), "of caption conditions there is no list to go through; use paired"),
    ],
)
def test_what_cannot_be_prompted_is_refused(condition: Condition | None, words: str) -> None:
    """By the name of the option, whether it is that of all metrics or of one. A metric without samples does not care."""
    spec = dataclasses.replace(SPEC, condition=condition)
    for option in ("evidence.samples.conditions", "metric.recall.conditions"):
        with pytest.raises(UserError, match=rf"^{option}=prompted: {words}"):
            asked(["bits_per_dim", "recall"], {option: "prompted"}, spec)
        asked(["bits_per_dim"], {option: "prompted"}, spec)


def test_accuracy_is_the_share_that_shows_its_label(data: Halves) -> None:
    many = SIZES | {"evidence.samples.num_samples": 2000}
    right, third = (
        evaluate(Painter(SPEC, wrong).eval(), data, ["class_accuracy"], SETTINGS, many, progress=False).metrics[
            "class_accuracy"
        ]
        for wrong in (0.0, 1 / 3)
    )
    assert right["real"] > 0.9 and right["value"] == pytest.approx(right["real"], abs=0.06)
    expected = right["value"] * 2 / 3 + (1 - right["value"]) / 3
    assert third["value"] == pytest.approx(expected, abs=0.045)  # four standard errors


def test_the_balanced_accuracy_of_attributes_is_that_of_what_is_shown(data: Halves) -> None:
    """As CelebA: two attributes and no labels. Of samples of which a third shows the other attributes, and of real ones."""
    for name in ("train", "val", "test"):
        split = getattr(data, name)
        setattr(data, name, Split(split.x, torch.stack([split.y, 1 - split.y], dim=1)))
    data.spec = dataclasses.replace(SPEC, num_classes=None, num_attributes=2, condition="attributes")
    data._checksum = data._hash()

    class Shower(Painter):
        def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
            return super().sample(num_samples, y[:, 0])

    many = SIZES | {"evidence.samples.num_samples": 2000}
    right, third = (
        evaluate(Shower(data.spec, wrong).eval(), data, ["attribute_accuracy"], SETTINGS, many, progress=False).metrics[
            "attribute_accuracy"
        ]
        for wrong in (0.0, 1 / 3)
    )
    assert right["real"] > 0.9 and right["value"] == pytest.approx(right["real"], abs=0.06)
    assert right["conditions"] == "paired: attributes of the test split, in turn" and right["attributes"] == "2 of 2"
    expected = right["value"] * 2 / 3 + (1 - right["value"]) / 3
    assert abs(third["value"] - expected) < 4.0 * third["standard_error"] < 0.05


def test_unconditional_rows_have_no_accuracy() -> None:
    spec = dataclasses.replace(SPEC, condition=None)
    data = Halves(spec)
    data.setup()

    class Plain(Painter):
        def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
            return super().sample(num_samples, torch.zeros(num_samples, dtype=torch.long))

    found = evaluate(Plain(spec).eval(), data, ["class_accuracy"], SETTINGS, SIZES, progress=False)
    record = found.metrics["class_accuracy"]
    assert record["value"] is None and "trained without conditions" in record["reason"]


def test_a_grid_has_a_row_per_class(tmp_path: Path) -> None:
    spec = DataSpec((1, 28, 28), 2, 5, condition="label")

    class Bars(Painter):
        def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
            return (y.view(-1, 1, 1, 1) % 2).expand(-1, *spec.shape).to(torch.uint8)

    drawn = draw_samples(Bars(spec), 16, None, tmp_path / "grid.png")
    assert len(drawn) == 15
    picture = np.array(Image.open(tmp_path / "grid.png"))[2:, 2:]
    assert picture.shape == (5 * 30, 3 * 30)
    assert [[int(picture[30 * row, 30 * column]) for column in range(3)] for row in range(5)] == [
        [255 * (row % 2)] * 3 for row in range(5)
    ]


def test_the_condition_is_part_of_a_line_and_of_no_data_id(data: Halves) -> None:
    line = ["model=vae", "data=digits", "budget=smoke"]
    plain, given = (
        {**compose([*line, *more]), "choices": {"overrides": []}, "extended": None}
        for more in ([], ["data.condition=label"])
    )
    assert _variant(plain) == [] and _variant(given) == ["data.condition=label"], "also if a YAML sets it"
    unconditional = Halves(dataclasses.replace(SPEC, condition=None))
    unconditional.setup()
    assert unconditional.facts["id"] == data.facts["id"]


def test_a_run_of_an_earlier_version_is_still_found() -> None:
    """Its stored configuration has no `condition`."""
    from omegaconf import OmegaConf

    cfg = OmegaConf.to_container(compose(["model=vae", "data=digits"]), resolve=True)
    given = OmegaConf.to_container(compose(["model=vae", "data=digits", "data.condition=label"]), resolve=True)
    older = OmegaConf.to_container(OmegaConf.create(cfg))
    for node in (older["data"], older["data"]["spec"], older["model"]["spec"]):
        del node["condition"]
    assert fingerprint(older) == fingerprint(cfg) != fingerprint(given)


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (None, "has no labels"),
        (torch.zeros(390, 3, dtype=torch.long), "has 3 attributes of each example"),
    ],
)
def test_data_that_does_not_have_the_condition_is_refused(y: Tensor | None, words: str) -> None:
    from genarena.errors import DataError

    class Other(Halves):
        def load(self) -> tuple[Split, Split, Split]:
            return tuple(Split(part.x, None if y is None else y[: part.size]) for part in super().load())

    with pytest.raises(DataError, match=f"data.condition=label: .*{words}"):
        Other(SPEC).setup()
