"""Evaluates a run on disk again, on its own data, with other metrics or settings."""

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from genarena.build import build
from genarena.data.base import ArenaDataModule
from genarena.errors import UserError
from genarena.evaluation import cost, samplers
from genarena.evaluation.asked import options_of
from genarena.evaluation.evaluate import Evaluation, evaluate, protocol
from genarena.evaluation.settings import EvaluationSettings
from genarena.models.base import GenerativeModel
from genarena.ranks import exchange, world
from genarena.runs import evaluations, line, provenance, results, seals, stored_config
from genarena.runs.folder import RunFolder

Names = Sequence[str] | None
Changes = Mapping[str, Any] | None


def load_data(run: str | Path, root: str | None = None) -> ArenaDataModule:
    """The data set that a run was trained on, set up.

    root: the folder of its files, if it is not the run's. Raises UserError if the data there has another id.
    """
    cfg = stored_config.load(RunFolder.open(run).config)
    data: ArenaDataModule = build(cfg["data"] | ({"root": root} if root else {}), "data")
    exchange.zero_first(data.setup)
    if cfg.get("data_id") != data.facts["id"]:
        raise UserError(f"the data is {data.facts['id']} here, and the run was trained on {cfg.get('data_id')}")
    return data


def rescore(
    run: str | Path,
    metrics: Names = None,
    changes: Changes = None,
    root: str | None = None,
    device: str | None = None,
    sampler: Changes = None,
    options: Changes = None,
) -> dict[str, Any]:
    """The row of a run, with its metrics evaluated again. Files on disk do not change.

    metrics: None means those of the run.
    changes: fields of EvaluationSettings that differ from the run's; for `features`, only the entries that differ.
    root: see `load_data`.
    device: None means that of the run; another one draws other random numbers.
    sampler: another one for the same weights, e.g. {"sampler": "ddim", "sampler.nfe": 10}. The row then says so in `overrides`
        and `evaluation`, and has the costs of sampling with it: it is another line of the leaderboard.
    options: of evidence and of single metrics, where they differ from the run's, e.g. {"evidence.samples.num_samples": 5000,
        "metric.iw_nll_nats.draws": 100}.
    Raises UserError, before anything is measured, for missing weights of features, and for a folder whose configuration or
    weights are not those of its row.
    """
    folder = RunFolder.open(run)
    row = results.read_row(folder.result)
    device = device or row["cost"].get("device_type", "cpu")
    cfg, model = folder.rebuild(f"cuda:{world.rank_here()}" if device == "cuda" and world.joined() else device)
    row["line"] = _same_run(folder, row, cfg)
    choice = samplers.chosen(cfg, sampler) if sampler else None
    if choice:
        samplers.use(model, choice)
    metrics = cfg["metrics"] if metrics is None else metrics
    settings = _settings(cfg["evaluation"], changes or {})
    own = options_of(cfg) | dict(options or {})
    protocol(metrics, settings, own)  # a missing file of weights is found before the evaluation
    data, started = load_data(run, root), time.perf_counter()
    evaluation = evaluate(model, data, metrics, settings, own, row["seed"])
    seconds = round(time.perf_counter() - started, 3)
    row["data"]["split"] = settings.split
    measured = {
        "metrics": evaluation.metrics,
        "protocol": evaluation.protocol,
        "evaluated": provenance.environment(),
    }
    if choice is None:
        return row | measured
    measured["cost"] = exchange.from_zero(lambda: _cost(row["cost"], model, data, evaluation, seconds))
    name = evaluations.folder_of(folder.path, choice.name, choice.variant).name
    return evaluations.row_of(
        row, choice.variant, name, measured | {"line": line.with_sampler(row["line"], choice.node)}
    )


def _same_run(folder: RunFolder, row: dict[str, Any], cfg: dict[str, Any]) -> line.Line:
    """The line of the run, with the sources of today, and a warning if they changed. Raises UserError if its files are not
    those that the row is about."""
    now, then = line.of_stored(row["line"], cfg), row["line"]["settings"]
    changed = sorted(name for name in {*now["settings"], *then} if now["settings"].get(name) != then.get(name))
    if changed:
        here, there = now["settings"].get(changed[0]), then.get(changed[0])
        raise UserError(f"{folder.config}: changed since the run: {changed[0]} is {here}, and was {there}")
    weights = row.get("selected", {}).get("sha256")
    if weights and (found := seals.digests(folder.chosen)) and weights not in found:
        raise UserError(f"{folder.chosen}: other weights than those that the row of the run is about")
    before = row["line"]["sources"]
    edited = [name for name, digest in now["sources"].items() if before.get(name, digest) != digest]
    if edited and world.rank() == 0:
        print(f"warning: {', '.join(edited)} changed after training; the page says so", file=sys.stderr, flush=True)
    return now


def _cost(
    before: dict[str, Any], model: GenerativeModel, data: ArenaDataModule, evaluation: Evaluation, seconds: float
) -> dict[str, Any]:
    """The cost of the run, with that of its samples under the model's present sampler."""
    of_samples = {
        "nfe": model.nfe,
        "sample_seconds_per_image": evaluation.seconds_per_image,
        "evaluation_seconds": seconds,
    }
    return before | of_samples | cost.measure(model, data, before["examples_seen"], before["train_seconds"])


def _settings(stored: dict[str, Any], changes: Mapping[str, Any]) -> EvaluationSettings:
    known = ("_target_", *(field.name for field in fields(EvaluationSettings)))
    if strangers := [f"evaluation.{name}" for name in stored if name not in known]:
        raise UserError(f"the run was made by another version of genarena: its config.yaml has {strangers[0]}")
    features = stored.get("features", {"_target_": "genarena.evaluation.weights.FeatureSettings"})
    return build({**stored, **changes, "features": features | changes.get("features", {})}, "evaluation")
