"""One run, from a composed configuration to a row: build, fit, choose the weights, evaluate, record."""

import logging
import math
import sys
import time
import warnings
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import Callback, Trainer
from torch import Tensor

from genarena.build import build
from genarena.data.base import ArenaDataModule
from genarena.errors import DiskFull, Diverged, Untrusted, UserError, printable
from genarena.evaluation import cost, memory
from genarena.evaluation.evaluate import evaluate, protocol
from genarena.evaluation.pictures import save_neighbours, save_progress, save_reconstructions, save_samples
from genarena.evaluation.settings import EvaluationSettings
from genarena.models.base import GenerativeModel
from genarena.models.capabilities import Withholds
from genarena.ranks import exchange, processes, threads, world
from genarena.runs import checkpoint, interruption, provenance, results, stored_config
from genarena.runs.folder import RunFolder, load_weights
from genarena.runs.interruption import Interrupted
from genarena.runs.status import Status
from genarena.tracking import loggers, wandb_run
from genarena.tracking.base import Tracker
from genarena.training import sharding
from genarena.training.callbacks.budget import NEVER, Budget
from genarena.training.callbacks.checkpoints import Checkpoints, SealedCheckpointIO
from genarena.training.callbacks.curves import Curves
from genarena.training.callbacks.divergence import DivergenceGuard
from genarena.training.callbacks.ema import EMA
from genarena.training.callbacks.interruption import Interruption
from genarena.training.callbacks.progress import ProgressBar
from genarena.training.callbacks.pulse import Pulse
from genarena.training.callbacks.random_state import RandomState
from genarena.training.callbacks.sample_grid import SampleGrid
from genarena.training.callbacks.threads import Threads
from genarena.training.trainer import check_batch, check_model, how_trained, num_processes, trainer

GRID = 64  # images in final.png
# Options that train another model, and so make another line of the table; data that differs has another data id.
VARIANT = ("model.", "callbacks.", "experiment=", "data.flip=", "data.batch_size=", "trainer.precision=")
ONLY_SHOWN = ("callbacks.progress=", "callbacks.grid_size=")  # what a run shows on its way
HELD = (
    "root",
    "num_val",
    "mirror",
    "decode",
    "num_workers",
    "timeout",
)  # of a data set: where it lies and how it is read


def run(cfg: DictConfig) -> dict[str, Any]:
    """Train, evaluate, write `result.json`; returns the row. A run that fails writes a row too, and raises."""
    return run_resolved(OmegaConf.to_container(cfg, resolve=True))


def run_resolved(resolved: dict[str, Any]) -> dict[str, Any]:
    """`run` of a plain configuration: in this process, or in as many as it asks for."""
    node, num_ranks = resolved["trainer"], num_processes(resolved["trainer"])
    if num_ranks > 1 and not world.started_elsewhere():
        return processes.launch(resolved, num_ranks)
    with world.together(node["accelerator"], node["timeout"]):
        return _run(exchange.from_zero(lambda: resolved))


def _run(resolved: dict[str, Any]) -> dict[str, Any]:
    _quiet()
    threads.settle(resolved)
    pl.seed_everything(resolved["seed"], verbose=False)
    data: ArenaDataModule = build(resolved["data"], "data")
    with RunFolder.open(resolved["resume"]).bounded() if resolved["resume"] else nullcontext():
        model: GenerativeModel = build(resolved["model"], "model")
    settings = build(resolved["evaluation"], "evaluation")
    protocol(resolved["metrics"], settings)  # loads the metrics now: a mistake must not cost a training
    wandb_run.check(resolved["logger"])
    check_model(resolved["trainer"], model)
    exchange.same_state(model)
    exchange.zero_first(data.setup)
    check_batch(data.batch_size, data.train.size)
    folder = exchange.from_zero(lambda: _folder(resolved))
    processes.say(folder=str(folder.path))
    with nullcontext() if world.rank() else folder.locked():
        row = _new_row(resolved, data, model, settings, folder)
        if not resolved["resume"] and world.rank() == 0:
            folder.write_config(resolved)
            results.write_row(row, folder.result)  # of a run that is killed, this is what remains
        fails = partial(_record_failure, row, folder)
        with Status(None if world.rank() else folder.path, fails) as status:
            try:
                with loggers.opened(resolved["logger"], folder.path, resolved) as trackers:
                    model = _fit(resolved, data, model, folder, row, trackers, status)
                    status.write(state="evaluating")
                    _score(resolved, data, model, settings, folder, row, trackers)
            except BaseException as error:
                fails(error)
                raise
    if world.rank() == 0:
        print(summary(row))
        print(printable(f"run: {folder.path}"), flush=True)
    return row


def summary(row: dict[str, Any]) -> str:
    """The metrics of a row, one per line."""
    title = f"{row['model']} on {row['data']['id']}, seed {row['seed']}, {row['cost']['examples_seen']:,} examples"
    return "\n".join([title, *metric_lines(row["metrics"])])


def metric_lines(metrics: dict[str, dict[str, Any]]) -> list[str]:
    """Name and value of each metric, or the reason why there is none."""
    lines = []
    for name, record in metrics.items():
        shown = (
            f"{record.get('sign', '')}{record['value']:.5g}"
            if record["value"] is not None
            else f"- ({record['reason']})"
        )
        lines.append(f"  {name:26s} {shown}")
    return lines


def _quiet() -> None:
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    warnings.filterwarnings("ignore", category=FutureWarning, module="torch")


def _folder(resolved: dict[str, Any]) -> RunFolder:
    if resolved["resume"]:
        folder = RunFolder.open(resolved["resume"])
        _must_agree(stored_config.load(folder.config), resolved, folder.path)
    else:
        names = resolved["choices"]
        folder = RunFolder.create(Path(resolved["runs_dir"]), names["data"], names["model"], resolved["seed"])
    return folder


def _must_agree(stored: dict[str, Any], resolved: dict[str, Any], path: Path) -> None:
    """A run can go on with a longer budget or another logger, not with another model, data set or seed."""
    for key in ("seed", "model", "data"):
        there, here = stored[key], resolved[key]
        if isinstance(there, dict):
            there, here = ({k: v for k, v in node.items() if k not in HELD} for node in (there, here))
        if there != here:
            raise UserError(f"resume={path}: that run was started with another {key}: {_difference(there, here)}")


def _difference(there: Any, here: Any) -> str:
    if isinstance(there, dict) and isinstance(here, dict):
        for key in sorted({*there, *here}):
            if there.get(key) != here.get(key):
                return f"{key} {_difference(there.get(key), here.get(key))}"
    return f"was {there}, is {here}"


# -- fit ---------------------------------------------------------------------------------------------------------------


def _fit(
    resolved: dict[str, Any],
    data: ArenaDataModule,
    model: GenerativeModel,
    folder: RunFolder,
    row: dict[str, Any],
    trackers: list[Tracker],
    status: Status,
) -> GenerativeModel:
    """Train to the end of the budget; the model with the weights to be evaluated, the same on every rank, on its device."""
    memory.reset_peak()
    if isinstance(model, Withholds):
        model.withhold(data.val.x)
    minutes, examples = resolved["budget"]["minutes"], resolved["budget"]["examples"]
    if model.max_epochs is not None:  # a whole number of batches, as the loader drops the incomplete one
        enough = model.max_epochs * (data.train.size // data.batch_size or 1) * min(data.batch_size, data.train.size)
        examples = min(examples or enough, enough)
    budget = Budget(minutes, examples, resolved["budget"]["validations"] if minutes else None)
    checkpoints = Checkpoints(folder.checkpoints, model.selection)
    pulse = Pulse(status, budget, resolved["trainer"]["timeout"])
    checkpoints.saved = pulse.saved
    fitter = _trainer(resolved, data, model, folder, budget, checkpoints, pulse, trackers)
    follower = Threads(threads.keeps_number(resolved))
    fitter.callbacks.append(follower)
    row["precision"] = str(fitter.precision)
    row["trainer"] = how_trained(resolved["trainer"], row["precision"])
    resume = None
    if resolved["resume"]:
        resume = exchange.from_zero(checkpoints.newest)
        if resume is None and status.facts["checkpoint"]:
            raise Untrusted(f"{folder.checkpoints}: the run had written checkpoints, and they are gone")
        if world.rank() == 0:
            said = f"goes on from {resume}" if resume else "no checkpoint yet, starts again"
            print(printable(f"resume: {said}"), flush=True)
    try:
        if examples != 0:
            with interruption.held():
                fitter.fit(model, datamodule=data, ckpt_path=resume)
    except SystemExit:  # how Lightning ends after Ctrl-C
        raise KeyboardInterrupt from None
    finally:
        row["cost"] |= {
            "examples_seen": budget.examples_seen,
            "train_seconds": round(budget.seconds, 3),
            "peak_memory_mb": memory.peak_mb(),
            "train_seconds_by_threads": follower.seconds,
        }
        row["nonfinite"] = {"skipped_steps": model.nonfinite_steps, "learning_rate_scale": model.lr_scale}
    if model.lockstep:  # evaluated as a replica on every device: what did not fit was the training
        model = _put_together(resolved, model)
    row["weights"] = exchange.from_zero(lambda: _choose_weights(model, checkpoints, folder))
    exchange.same_state(model.to(fitter.strategy.root_device))
    return model


def _put_together(resolved: dict[str, Any], sharded: GenerativeModel) -> GenerativeModel:
    """The same model in plain tensors, on the CPU."""
    model: GenerativeModel = build(resolved["model"], "model")
    model.load_state_dict(sharding.whole(sharded.state_dict()))
    model.batches_seen = sharded.batches_seen
    return model


def _trainer(
    resolved: dict[str, Any],
    data: ArenaDataModule,
    model: GenerativeModel,
    folder: RunFolder,
    budget: Budget,
    checkpoints: Checkpoints,
    pulse: Pulse,
    trackers: list[Tracker],
) -> Trainer:
    options = resolved["callbacks"]
    title = f"{resolved['choices']['model']} on {data.name}"
    callbacks: list[Callback] = [RandomState(resolved["seed"])]  # first: puts the generators aside before others draw
    callbacks += [
        SampleGrid(folder.samples, options["grid_size"], save_progress)
    ]  # draws while the averaged weights are in place
    if model.settings.ema_decay:
        callbacks += [EMA(model.settings.ema_decay, model.settings.accumulate)]
    callbacks += [Curves()]
    callbacks += [DivergenceGuard(checkpoints, options["max_skips"], options["max_rollbacks"], options["lr_factor"])]
    callbacks += [checkpoints]
    callbacks += [ProgressBar(title, budget)] if options["progress"] else []
    interval = _validation_interval(resolved["budget"], budget.examples, data.batch_size)
    callbacks += [budget]  # its clock starts when the others are done
    callbacks += [pulse, Interruption(checkpoints, interval)]  # last: saves what all others did for this batch
    return trainer(
        resolved["trainer"],
        model,
        SealedCheckpointIO(),
        default_root_dir=folder.path,
        callbacks=callbacks,
        logger=trackers,
        val_check_interval=interval,
    )


def _validation_interval(settings: dict[str, Any], examples: int | None, batch_size: int) -> int:
    """In batches. Where the budget is in minutes, the budget itself says when to validate."""
    if settings["minutes"]:
        return NEVER
    return max(1, math.ceil(examples / batch_size / settings["validations"]))


def _choose_weights(model: GenerativeModel, checkpoints: Checkpoints, folder: RunFolder) -> str:
    """Best on validation where the model names a key, else the last; averaged where the model averages."""
    kind = f"EMA {model.settings.ema_decay:g}" if model.settings.ema_decay else "plain"
    chosen = f"{kind}, last"
    if model.selection and checkpoints.best_value < math.inf:
        try:
            load_weights(model, checkpoints.best)
            chosen = f"{kind}, best {model.selection} (at {checkpoints.best_progress:.0%} of the budget)"
        except Untrusted as error:
            print(f"warning: {error}; the last weights are taken instead", file=sys.stderr, flush=True)
            chosen = f"{kind}, last (best.ckpt was damaged)"
    checkpoint.save({"state_dict": model.state_dict()}, folder.chosen)
    checkpoint.save_weights(model.state_dict(), folder.safetensors)
    return chosen


# -- record ------------------------------------------------------------------------------------------------------------


def _new_row(
    resolved: dict[str, Any],
    data: ArenaDataModule,
    model: GenerativeModel,
    settings: EvaluationSettings,
    folder: RunFolder,
) -> dict[str, Any]:
    budget = resolved["budget"]
    given = [override.lstrip("+") for override in resolved["choices"]["overrides"]]
    shown = [override for override in given if override.startswith(VARIANT) and not override.startswith(ONLY_SHOWN)]
    return {
        "schema_version": results.SCHEMA_VERSION,
        "status": "failed",
        "error": "did not finish: it runs, or was killed",
        "model": resolved["choices"]["model"],
        "family": model.family,
        "paper": model.paper,
        "data": {**data.facts, "split": settings.split},
        "protocol": protocol(resolved["metrics"], settings),
        "budget": {key: budget[key] for key in ("name", "minutes", "examples")},
        "seed": resolved["seed"],
        "overrides": shown,
        "likelihood": str(model.likelihood),
        "metrics": {},
        "cost": {
            "examples_seen": 0,
            "train_seconds": 0.0,
            "parameters": sum(p.numel() for p in model.parameters()),
            "sample_seconds_per_image": None,
            "peak_memory_mb": 0.0,
            "nfe": model.nfe,
            "batch_size": data.batch_size,
            "world_size": world.size(),
            "effective_batch_size": data.batch_size * model.settings.accumulate,
            "learning_rates": [
                group["lr"] for optimizer in model.configure_optimizers() for group in optimizer.param_groups
            ],
        },
        "sources": provenance.sources(type(model)),
        **provenance.environment(),
        "run": folder.path.name,
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def _score(
    resolved: dict[str, Any],
    data: ArenaDataModule,
    model: GenerativeModel,
    settings: EvaluationSettings,
    folder: RunFolder,
    row: dict[str, Any],
    trackers: list[Tracker],
) -> None:
    started = time.perf_counter()
    memory.reset_peak()
    evaluation = evaluate(model.eval(), data, resolved["metrics"], settings)
    row["metrics"] = evaluation.metrics
    row["cost"] |= {
        "sample_seconds_per_image": evaluation.seconds_per_image,
        "evaluation_seconds": round(time.perf_counter() - started, 3),
        "evaluation_peak_memory_mb": memory.peak_mb(),
    }

    def finish() -> dict[str, Any]:
        _draw(data, model, settings, folder, evaluation.fake)
        row["cost"] |= cost.measure(model, data, row["cost"]["examples_seen"], row["cost"]["train_seconds"])
        return row["cost"]

    row["cost"] = exchange.from_zero(finish)
    row["status"] = "ok"
    del row["error"]
    if world.rank() == 0:
        results.write_row(row, folder.result)
        files = [folder.config, folder.result, folder.chosen, *map(checkpoint.seal, (folder.result, folder.chosen))]
        loggers.log_row(trackers, row, folder.samples, [path for path in files if path.is_file()], model.batches_seen)


def _draw(
    data: ArenaDataModule, model: GenerativeModel, settings: EvaluationSettings, folder: RunFolder, fake: Tensor | None
) -> None:
    """Pictures of the samples (`fake`; None: no metric asked for any), of their neighbours and of reconstructions."""
    if data.spec.is_drawable:
        if fake is None:
            torch.manual_seed(settings.sample_seed)
            with torch.no_grad():
                fake = model.sample(GRID).cpu()
        save_samples(fake[: GRID if data.spec.is_image else None], data.spec, folder.samples / "final.png")
    if data.spec.is_image and data.spec.is_discrete and data.shown_beside_samples is not None:
        save_neighbours(fake, data.shown_beside_samples, data.spec, folder.samples / "neighbours.png")
    held_out = getattr(data, settings.split)[: GRID // 2].x
    save_reconstructions(model, held_out, folder.samples / "reconstructions.png")


def _record_failure(row: dict[str, Any], folder: RunFolder, error: BaseException) -> None:
    """Write the failed row; one that is finished stays, whatever became of going on with the run."""
    if world.rank():
        return
    row["error"] = _reason(error)
    row["status"] = "diverged" if isinstance(error, Diverged) else "failed"
    with suppress(OSError, DiskFull) if isinstance(error, OSError | DiskFull) else nullcontext():
        if not folder.finished:
            results.write_row(row, folder.result)
    print(printable(f"run: {folder.path}"), flush=True)


def _reason(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [""]
    if isinstance(error, KeyboardInterrupt | Interrupted):
        return lines[0] or "interrupted"
    return f"{type(error).__name__}: {lines[0]}"


if __name__ == "__main__":  # as one of the processes that `processes.launch` starts
    processes.take_part(run_resolved)
