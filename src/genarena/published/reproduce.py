"""Reproduces published numbers: `conf/experiment/<name>.yaml` has a setting and the number that it must reach.

If there is a finished run with exactly this setting, it is used; an unfinished one is resumed.
"""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from genarena import config
from genarena.build import build
from genarena.errors import ArenaError, UserError
from genarena.evaluation.asked import load_metric, options_of
from genarena.evaluation.evaluate import evaluate
from genarena.evaluation.settings import EvaluationSettings
from genarena.evaluation.weights import FeatureSettings
from genarena.files import foreign
from genarena.files.atomic import replace_atomically
from genarena.options.overrides import written
from genarena.published.experiment import setting
from genarena.published.imported import ImportedReference, everything, score
from genarena.run import run
from genarena.runs import results
from genarena.runs.folder import RunFolder
from genarena.runs.past import find_run

REPRODUCED = "reproduced.json"  # file in the run folder: the number beside the published one, for the leaderboard


@dataclass(frozen=True)
class Published:
    """The published number of an experiment.

    value, tolerance: a result reaches `value` if it is at most `tolerance` worse.
    reference: the images that samples are compared with: "test", or "train" for all official training images, which papers
        use for FID.
    """

    metric: str
    value: float
    tolerance: float
    source: str
    differs: str
    cost: str
    reference: str = "test"

    def __post_init__(self) -> None:
        if self.reference not in ("test", "train") or not self.tolerance > 0.0:
            raise ValueError(
                f"published.reference={self.reference}, tolerance={self.tolerance}: expected test or train, > 0"
            )

    def reached(self, value: float) -> bool:
        worse = self.value - value if load_metric(self.metric).higher_is_better else value - self.value
        return worse <= self.tolerance


@dataclass(frozen=True)
class Outcome:
    """The result of one experiment. record: the record of its metric, with a value, or null and a reason."""

    name: str
    published: Published
    record: dict[str, Any]
    folder: Path | None = None  # folder of the run

    @property
    def reached(self) -> bool:
        return self.record["value"] is not None and self.published.reached(self.record["value"])

    @property
    def text(self) -> str:
        wanted = f"published {self.published.value:g}, tolerance {self.published.tolerance:g} ({self.published.source})"
        if self.record["value"] is None:
            return f"not reached  {self.name}: {self.published.metric} not measured: {self.record['reason']}; {wanted}"
        word = "reached" if self.reached else "not reached"
        sign = self.record.get("sign", "=")
        return f"{word:12s} {self.name}: {self.published.metric} {sign} {self.record['value']:.5g}, {wanted}; {self.folder}"


def published(cfg: dict[str, Any]) -> Published:
    """The published number in the configuration of an experiment."""
    return Published(**cfg["published"])


def reproduce(name: str, overrides: Sequence[str] = ()) -> Outcome:
    """Run, resume or reuse one experiment and measure its published metric. An ArenaError becomes the reason in the outcome."""
    cfg = setting(name, overrides)
    wanted = published(cfg)
    try:
        path = find_run(cfg)
        if path is None or not RunFolder(path).finished:
            if wanted.reference == "train":
                _probe(cfg, wanted)
            resume = [written("resume", path)] if path else []
            run(config.compose(config.check([f"experiment={name}", *overrides, *resume])))
            path = find_run(cfg)
        outcome = Outcome(name, wanted, _measured(cfg, wanted, RunFolder(path)), path)
        _keep(outcome)
        return outcome
    except ArenaError as error:
        return Outcome(name, wanted, {"value": None, "reason": str(error)})


def _keep(outcome: Outcome) -> None:
    """Write what was measured into the run folder; a null is measured again the next time."""
    if outcome.folder is None or outcome.record["value"] is None:
        return
    content = {
        "experiment": outcome.name,
        "command": f"python scripts/reproduce.py name={outcome.name}",
        "published": dataclasses.asdict(outcome.published),
        "reached": outcome.reached,
        "record": outcome.record,
    }
    text = json.dumps(content, indent=2)
    replace_atomically(outcome.folder / REPRODUCED, lambda temporary: temporary.write_text(text + "\n"))


# -- training images as the reference ----------------------------------------------------------------------------------


def _measured(cfg: dict[str, Any], wanted: Published, folder: RunFolder) -> dict[str, Any]:
    if wanted.reference == "test":
        missing = {"value": None, "reason": "the row has no such metric"}
        return results.read_row(folder.result)["metrics"].get(wanted.metric, missing)
    stored = folder.path / REPRODUCED
    if stored.is_file():
        return _stored(stored)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    _, model = folder.rebuild(device)
    reference = _training_images(cfg)
    settings = EvaluationSettings(features=_networks(cfg))
    options = options_of(cfg) | everything(reference.test.x, reference)
    found = evaluate(model, reference, [wanted.metric], settings, options, cfg["seed"])
    return {**found.metrics[wanted.metric], "split": "train + val"}


def _stored(path: Path) -> dict[str, Any]:
    """The record of an earlier measurement. Raises UserError or Untrusted if it is invalid."""
    try:
        record = foreign.parse_json(foreign.read(path))["record"]
        float(record["value"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(f"{path} cannot be read: {error}; remove it, and the metric is measured again") from error
    return record


def _training_images(cfg: dict[str, Any]) -> ImportedReference:
    """All official training images: a run's training set and its validation set."""
    data = build(cfg["data"], "data")
    data.setup()
    reference = ImportedReference(torch.cat([data.train.x, data.val.x]), data.spec)
    reference.setup()
    return reference


def _networks(cfg: dict[str, Any]) -> FeatureSettings:
    return build(cfg["evaluation"]["features"], "features")


def _probe(cfg: dict[str, Any], wanted: Published) -> None:
    """Raise UserError, before a long training, if the features of the metric cannot be computed on this machine."""
    images = _training_images(cfg)
    few = ImportedReference(images.test.x[:4], images.spec)
    few.setup()
    settings = EvaluationSettings(features=_networks(cfg))
    record = score(few.test.x, few, ["kid"], settings, everything(few.test.x, few))["kid"]
    if record["value"] is None:
        raise UserError(f"{wanted.metric} cannot be measured: {record['reason']}")
