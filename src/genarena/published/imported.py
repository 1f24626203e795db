"""Scores images made elsewhere with the protocol of the table; they take the place of a model's samples."""

import hashlib
import re
import time
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from genarena import config
from genarena.data.base import ArenaDataModule
from genarena.data.batches import Split
from genarena.errors import UserError
from genarena.evaluation.asked import Options, asked, load_metric, needed
from genarena.evaluation.evaluate import evaluate, protocol
from genarena.evaluation.evidence.samples import Samples
from genarena.evaluation.settings import EvaluationSettings
from genarena.likelihood import Likelihood
from genarena.models.base import GenerativeModel
from genarena.models.capabilities import Enumerates
from genarena.runs import line, provenance, results
from genarena.spec import Batch, DataSpec
from genarena.statistics.rows import content_order

FAMILY = "imported"
AT_ONCE = 4096  # images that are hashed in one piece


class ImportedSamples(GenerativeModel, Enumerates):
    """Returns given images (N, C, H, W) as samples, in their order."""

    family = FAMILY
    likelihood = Likelihood.NONE
    paper = ""

    def __init__(self, images: Tensor, spec: DataSpec) -> None:
        super().__init__(spec)
        self.images = images

    @property
    def size(self) -> int:
        return len(self.images)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        raise TypeError("images made elsewhere have no loss")

    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        """The first `num_samples` images. Raises ValueError if there are fewer."""
        if num_samples > self.size:
            raise ValueError(f"{num_samples} images were asked for, there are {self.size}")
        return self.images[:num_samples]


class ImportedReference(ArenaDataModule):
    """A data set of given images (N, C, H, W), the reference for samples. All splits are the same; there are no labels."""

    name = "reference"

    def __init__(self, images: Tensor, spec: DataSpec) -> None:
        super().__init__(spec)
        self.images = images

    def load(self) -> tuple[Split, Split, Split]:
        return Split(self.images), Split(self.images), Split(self.images)


def chosen(images: Tensor, number: int) -> Tensor:
    """`number` of the images (N, C, H, W), ordered by a hash of their content: the first files of a folder may be of one class.

    Raises UserError if there are fewer.
    """
    if len(images) < number:
        raise UserError(f"there are {len(images):,} images, and the protocol takes {number:,}")
    return images[content_order(images)[:number]]


def everything(images: Tensor, data: ArenaDataModule) -> dict[str, int]:
    """The options under which all images and all test examples count."""
    return {"evidence.samples.num_samples": len(images), "evidence.examples.num_test": data.test.size}


def number_of_images(metrics: Sequence[str], options: Options | None) -> int:
    """The largest number of images that one of these metrics takes."""
    used = [each.evidence for name, each in asked(metrics, options).items() if about_images(name)]
    return max((each[Samples].num_samples for each in used if Samples in each), default=0)


def identity(images: Tensor, number: int) -> dict[str, Any]:
    """For the row: how many images were given and scored, and the sha256 of those scored, whatever their order."""
    scored = chosen(images, number)
    digest = hashlib.sha256(f"{images.dtype} {tuple(images.shape[1:])}".encode())
    for part in content_order(scored).split(AT_ONCE):
        digest.update(scored[part].numpy().tobytes())
    return {"given": len(images), "scored": number, "sha256": digest.hexdigest()}


def about_images(metric: str) -> bool:
    """Whether a metric needs only images (and the data), but no model."""
    return all(
        name.startswith(("real", "fake", "fresh", "train", "spec", "num_classifiers"))
        for name in needed(load_metric(metric))
    )


def check_askable(metrics: Sequence[str], has_training_set: bool) -> None:
    """Raise UserError if a metric needs a model, or a training set that is not given."""
    for name in metrics:
        if not about_images(name):
            raise UserError(
                f"metrics={name}: asks for {needed(load_metric(name))[0]}, which a model has and images do not"
            )
        if not has_training_set and any(piece.startswith("train") for piece in needed(load_metric(name))):
            raise UserError(f"metrics={name}: needs the training set, which a reference is not; take data=<name>")


def score(
    images: Tensor,
    data: ArenaDataModule,
    metrics: Sequence[str],
    settings: EvaluationSettings,
    options: Options | None = None,
) -> dict[str, dict[str, Any]]:
    """Records of the metrics on as many of the images (`chosen`) as each takes; null for metrics that need a model.

    options: `evidence.<kind>.<option>` and `metric.<name>.<option>` -> value.
    """
    images = chosen(images, number_of_images(metrics, options))
    answerable = [name for name in metrics if about_images(name)]
    model = ImportedSamples(images, data.spec).eval()
    found = evaluate(model, data, answerable, settings, options).metrics
    missing = {"value": None, "reason": "the images were made elsewhere: there is no model to ask"}
    rules = protocol(metrics, settings, options, data)["metrics"]
    return {name: found.get(name, missing | {"protocol": rules[name]["id"]}) for name in metrics}


def check_name(name: str) -> None:
    """Raise UserError for a name that cannot be the name of a folder or is that of a model in genarena."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}", name):
        raise UserError(f"name={name}: expected letters, digits and . _ + -")
    if name in config.available("model"):
        raise UserError(f"name={name}: is a model of genarena; images made elsewhere need a name of their own")


def imported_row(
    name: str,
    data: ArenaDataModule,
    metrics: dict[str, dict[str, Any]],
    settings: EvaluationSettings,
    options: Options,
    budget: dict[str, Any],
    seed: int,
    run: str,
) -> dict[str, Any]:
    """A row of the leaderboard, marked `imported`. The costs are unknown and therefore null."""
    return {
        "schema_version": results.SCHEMA_VERSION,
        "status": "ok",
        "imported": True,
        "model": name,
        "family": FAMILY,
        "paper": "",
        "data": {**data.facts, "split": "test"},
        "protocol": protocol(list(metrics), settings, options, data),
        "budget": {key: budget[key] for key in ("name", "minutes", "examples", "flops")},
        "seed": seed,
        "overrides": [],
        "line": line.of_images(name),
        "likelihood": str(Likelihood.NONE),
        "metrics": metrics,
        "cost": {
            "examples_seen": None,
            "train_seconds": None,
            "parameters": None,
            "sample_seconds_per_image": None,
            "peak_memory_mb": None,
        },
        **provenance.environment(),
        "run": run,
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
