"""The row of a run: its entries before training, and how it is printed."""

import time
from typing import Any

import torch

from genarena.data.base import ArenaDataModule
from genarena.evaluation.asked import options_of
from genarena.evaluation.evaluate import protocol
from genarena.evaluation.other_data import ENTRY
from genarena.evaluation.settings import EvaluationSettings
from genarena.models.base import GenerativeModel
from genarena.nets.sizes import chosen_in
from genarena.ranks import world
from genarena.runs import first_stage, line, provenance, results

# Options that change the trained model or its samples make another line of the table; other data has another data id.
VARIANT = (
    "model.",
    "net=",
    "net.",
    "sampler=",
    "sampler.",
    "callbacks.",
    "experiment=",
    "data.flip=",
    "data.mutate=",
    "data.batch_size=",
    "data.text=",
)
VARIANT += ("trainer.precision=",)
ONLY_SHOWN = ("callbacks.progress=", "callbacks.grid_size=")  # change only what is shown

FIRST = ("model", "run", "sha256", "seed", "line")  # of the run that a model stands on


def new_row(
    resolved: dict[str, Any], model: GenerativeModel, data: ArenaDataModule, settings: EvaluationSettings
) -> dict[str, Any]:
    """The row of a run before training. Its status is `failed`: if the process is killed, this row remains.

    resolved: the composed configuration; `extended` in it lists earlier budgets of the run.
    """
    first = resolved.get(first_stage.OPTION)
    return {
        "schema_version": results.SCHEMA_VERSION,
        "status": "failed",
        "error": "did not finish: it runs, or was killed",
        "model": resolved["choices"]["model"],
        "family": model.family,
        "paper": model.paper,
        "data": {**data.facts, "split": settings.split},
        "protocol": protocol(resolved["metrics"], settings, options_of(resolved), data),
        "budget": _budget(resolved),
        "seed": resolved["seed"],
        "overrides": _variant(resolved),
        "line": line_of(resolved, data.facts["id"], resolved["trainer"]),
        "likelihood": str(model.likelihood),
        "chosen": chosen_in(model, resolved["model"]),
        "metrics": {},
        "cost": _known_cost(model, data) | ({first_stage.OPTION: first["cost"]} if first else {}),
        **({first_stage.OPTION: {key: first[key] for key in FIRST}} if first else {}),
        **provenance.environment(),
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def line_of(resolved: dict[str, Any], data_id: str, trainer: dict[str, Any]) -> dict[str, Any]:
    """The line of a run on this machine. trainer: how it is trained, as its row says; before that, as asked for."""
    shown = {key: trainer[key] for key in ("strategy", "precision", "compile", "channels_last")}
    return line.of_run(resolved, data_id, shown | {"world_size": world.size(), "threads": torch.get_num_threads()})


def _budget(resolved: dict[str, Any]) -> dict[str, Any]:
    budget = {key: resolved["budget"][key] for key in ("name", "minutes", "examples", "flops")}
    return budget | ({"extended": resolved["extended"]} if resolved.get("extended") else {})


def _variant(resolved: dict[str, Any]) -> list[str]:
    """How this line of a table differs from the shipped model: options, and changes of the budget during training."""
    given = [override.lstrip("+") for override in resolved["choices"]["overrides"]]
    if first := resolved.get(first_stage.OPTION):  # which model it stands on, not where that lies
        option = f"model.{first_stage.OPTION}="
        given = [f"{option}{first['line']}" if text.startswith(option) else text for text in given]
    condition = resolved["data"].get("condition")
    shown = [override for override in given if override.startswith(VARIANT) and not override.startswith(ONLY_SHOWN)]
    shown += [f"data.condition={condition}"] if condition else []  # also where a YAML sets it
    return shown + [f"extended at {former['examples_seen']:,} examples" for former in resolved.get("extended") or []]


def _known_cost(model: GenerativeModel, data: ArenaDataModule) -> dict[str, Any]:
    """Costs that are known before training; zero or None for all others."""
    optimizers = model.configure_optimizers()
    return {
        "examples_seen": 0,
        "train_seconds": 0.0,
        "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "sample_seconds_per_image": None,
        "peak_memory_mb": 0.0,
        "nfe": model.nfe,
        "batch_size": data.batch_size,
        "world_size": world.size(),
        "effective_batch_size": data.batch_size * model.settings.accumulate,
        "learning_rates": [group["lr"] for optimizer in optimizers for group in optimizer.param_groups],
    }


def summary(row: dict[str, Any]) -> str:
    """Model, data, seed and examples of a row, what the model chose for the data, then its metrics, one per line."""
    title = f"{row['model']} on {row['data']['id']}, seed {row['seed']}, {row['cost']['examples_seen']:,} examples"
    chosen = ", ".join(f"{name}={value}" for name, value in row.get("chosen", {}).items())
    return "\n".join([title, *([f"  chosen for this data: {chosen}"] if chosen else []), *metric_lines(row["metrics"])])


def metric_lines(metrics: dict[str, dict[str, Any]]) -> list[str]:
    """Lines with the name and the value of each metric, then each reason why some have none, once. Metrics of another kind of
    data are left out, unless no other was asked for."""
    shown = {name: record for name, record in metrics.items() if not record.get(ENTRY)}
    metrics = shown or metrics
    absent: dict[str, list[str]] = {}
    for name, record in metrics.items():
        if record["value"] is None:
            absent.setdefault(record["reason"], []).append(name)
    found = [f"  {name:26s} {_shown(record)}" for name, record in metrics.items() if record["value"] is not None]
    return found + [f"  no {', '.join(names)}: {reason}" for reason, names in absent.items()]


def _shown(record: dict[str, Any]) -> str:
    return f"{record.get('sign', '')}{record['value']:.5g}"
