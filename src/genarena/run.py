"""One run, from a composed configuration to a row: build, fit, choose the weights, evaluate, record."""

import sys
import time
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from genarena.build import build
from genarena.data.base import ArenaDataModule
from genarena.errors import DiskFull, Diverged, UserError, printable
from genarena.evaluation import cost, memory, samplers
from genarena.evaluation.asked import asked, options_of
from genarena.evaluation.evaluate import evaluate, protocol
from genarena.evaluation.final_pictures import save_final
from genarena.evaluation.pictures import save_progress
from genarena.evaluation.records import plain
from genarena.evaluation.row import line_of, new_row, summary
from genarena.evaluation.settings import EvaluationSettings
from genarena.evaluation.validation_quality import sample_quality
from genarena.models.base import GenerativeModel
from genarena.models.capabilities import Enumerates, Withholds
from genarena.models.first_stage import TwoStage
from genarena.models.recoding import Recodes
from genarena.ranks import exchange, processes, threads, world
from genarena.runs import checkpoint, classes, first_stage, results, same_data, seals
from genarena.runs.folder import RunFolder, build_model
from genarena.runs.interruption import Interrupted
from genarena.runs.resuming import Continuation, go_on, shown
from genarena.runs.status import Status
from genarena.tracking import loggers, wandb_run
from genarena.tracking.base import Tracker
from genarena.training.callbacks.sample_grid import SampleGrid
from genarena.training.fitting import Fitting, Observers, Plan
from genarena.training.trainer import check_batch, check_model, num_processes, quiet


def run(cfg: DictConfig) -> dict[str, Any]:
    """Train, evaluate, write `result.json`; returns the row. A run that fails writes a row too, and raises."""
    return run_resolved(OmegaConf.to_container(cfg, resolve=True))


def run_resolved(resolved: dict[str, Any]) -> dict[str, Any]:
    """`run` of a resolved configuration, in this process or in several, as the configuration asks for."""
    resolved = first_stage.resolved(classes.resolved(resolved))
    node, num_ranks = resolved["trainer"], num_processes(resolved["trainer"])
    if num_ranks > 1 and not world.started_elsewhere():
        return processes.launch(resolved, num_ranks)
    with world.together(node["accelerator"], node["timeout"]):
        return _run(exchange.from_zero(lambda: resolved))


def _run(resolved: dict[str, Any]) -> dict[str, Any]:
    """The work of each process of a run, in order."""
    quiet()
    threads.settle(resolved)
    pl.seed_everything(resolved["seed"], verbose=False)
    work = Run(resolved)
    with nullcontext() if world.rank() else work.folder.locked():
        work.begin()
        with Status(None if world.rank() else work.folder.path, work.fail) as status:
            try:
                with loggers.opened(resolved["logger"], work.folder.path, work.resolved) as trackers:
                    work.fit(status, trackers)
                    status.write(state="evaluating")
                    fake = work.evaluate()
                    work.record(trackers, fake)
            except BaseException as error:
                work.fail(error)
                raise
    if world.rank() == 0:
        print(summary(work.row))
        print(printable(f"run: {work.folder.path}"), flush=True)
    return work.row


class Run:
    """One run: its parts, its folder, its row, and its steps in order."""

    def __init__(self, resolved: dict[str, Any]) -> None:
        """Build and check everything, so that mistakes are found before anything is written or trained."""
        self.resolved = dict(resolved)
        samplers.check(resolved)
        self.data: ArenaDataModule = build(resolved["data"], "data")
        with RunFolder.open(resolved["resume"]).bounded() if resolved["resume"] else nullcontext():
            self.model: GenerativeModel = build_model(resolved)
        self.settings: EvaluationSettings = build(resolved["evaluation"], "evaluation")
        asked(resolved["metrics"], options_of(resolved), self.data.spec)  # loads the metrics
        protocol(resolved["metrics"], self.settings, options_of(resolved))  # finds the weights of networks
        wandb_run.check(resolved["logger"])
        check_model(resolved["trainer"], self.model)
        exchange.same_state(self.model)
        prepare(self.model, self.data)
        self.data_facts = same_data.facts(self.data.facts["id"], resolved["data"], self.data.location())
        self.folder: RunFolder = exchange.from_zero(self._folder)
        processes.say(folder=str(self.folder.path))

    def _folder(self) -> RunFolder:
        if self.resolved["resume"]:
            return RunFolder.open(self.resolved["resume"])
        names = self.resolved["choices"]
        return RunFolder.create(Path(self.resolved["runs_dir"]), names["data"], names["model"], self.resolved["seed"])

    def begin(self) -> None:
        """Start the row; the folder is locked. When a finished run is extended, its row stays until its weights change."""
        self.start = Continuation(None, [], changed=False)
        if self.resolved["resume"]:
            self.start = exchange.from_zero(self._go_on)
        self.resolved["extended"] = self.start.extended or None
        self.row = new_row(self.resolved, self.model, self.data, self.settings) | {"run": self.folder.path.name}
        if world.rank() == 0:
            self._announce()
            if not (self.resolved["resume"] and self.folder.finished):
                self.write()

    def _go_on(self) -> Continuation:
        each = partial(cost.flops_per_example, self.model, self.data)
        return go_on(self.folder, self.resolved, self.data_facts["data_id"], each)

    def _announce(self) -> None:
        if not self.resolved["resume"]:
            return
        newest = self.start.checkpoint
        said = f"goes on from {newest}" if newest else "no checkpoint yet, starts again"
        print(printable(f"resume: {said}"), flush=True)
        if self.start.changed and self.start.extended:
            was, now = shown(self.start.extended[-1]), shown(self.resolved["budget"])
            print(f"resume: extended from {was} to {now}: no longer the run of its first line", flush=True)

    def write(self) -> None:
        """Write `config.yaml` and `result.json`, which agree about budget and data. Call it on rank 0 only."""
        self.folder.write_config(self.resolved | self.data_facts | {"resume": None})
        self.row = plain(self.row)  # a cost that is not finite must not lose the row
        results.write_row(self.row, self.folder.result)

    def fit(self, status: Status, trackers: list[Tracker]) -> None:
        """Train to the end of the budget. Then the model is in eval mode on its device, with the weights to be evaluated."""
        pictures = SampleGrid(self.folder.samples, self.resolved["callbacks"]["grid_size"], save_progress)
        title = f"{self.resolved['choices']['model']} on {self.data.name}"
        quality = sample_quality(self.resolved, self.data, self.settings)
        observers = Observers(title, status, trackers, pictures, quality)
        peak = memory.Peak(self.model)
        fitting = Fitting(self.model, self.data, Plan.of(self.resolved), self.folder.checkpoints, observers)
        self.row |= fitting.how
        self.row["line"] = line_of(self.resolved, self.data_facts["data_id"], fitting.how["trainer"])
        try:
            fitting.fit(self.start.checkpoint)
        finally:
            self.row["cost"] |= fitting.cost | peak.facts
            self.row |= {"nonfinite": fitting.nonfinite, "machine": fitting.machine.facts}
        self.flops_per_example = fitting.flops_per_example
        self.model, self.row["weights"] = fitting.choose(lambda: build(self.resolved["model"], "model"))
        self.row["selected"] = fitting.selected
        exchange.from_zero(self._keep_weights)

    def _keep_weights(self) -> None:
        if self.start.changed:  # an earlier row is about other weights
            self.write()
        checkpoint.save({"state_dict": self.model.state_dict()}, self.folder.chosen)
        checkpoint.save_weights(self.model.state_dict(), self.folder.safetensors)
        self.row["selected"]["sha256"] = seals.digests(self.folder.chosen)[0]

    def evaluate(self) -> Tensor | None:
        """Measure the metrics and the costs. Returns the samples (N, *shape); None if no metric needed any."""
        started = time.perf_counter()
        peak = memory.Peak(self.model)
        metrics, seed, debug = (self.resolved[key] for key in ("metrics", "seed", "debug"))
        options = options_of(self.resolved)
        evaluation = evaluate(self.model, self.data, metrics, self.settings, options, seed, debug=debug)
        self.row["metrics"] = evaluation.metrics
        self.row["nonfinite"]["samples"] = evaluation.nonfinite_samples
        self.row["cost"] |= {
            "sample_seconds_per_image": evaluation.seconds_per_image,
            "evaluation_seconds": round(time.perf_counter() - started, 3),
            **{f"evaluation_{name}": size for name, size in peak.facts.items()},
        }
        return evaluation.fake

    def record(self, trackers: list[Tracker], fake: Tensor | None) -> None:
        """Draw the pictures, and write the row of a finished run."""
        seen, seconds = (self.row["cost"][key] for key in ("examples_seen", "train_seconds"))

        def finish() -> dict[str, Any]:
            try:
                save_final(self.model, self.data, self.settings, self.resolved["seed"], fake, self.folder.samples)
            except (RuntimeError, ValueError) as error:  # no pictures, but the numbers are valid
                print(printable(f"warning: no more pictures: {_reason(error)}"), file=sys.stderr, flush=True)
            return self.row["cost"] | cost.measure(self.model, self.data, seen, seconds, self.flops_per_example)

        self.row["cost"] = exchange.from_zero(finish)
        self.row["status"] = "ok"
        del self.row["error"]
        if world.rank() == 0:
            self.write()
            folder = self.folder
            files = [folder.config, folder.result, folder.chosen, *map(checkpoint.seal, (folder.result, folder.chosen))]
            present = [path for path in files if path.is_file()]
            loggers.log_row(trackers, self.row, folder.samples, present, self.model.batches_seen)

    def fail(self, error: BaseException) -> None:
        """Write the row of a failed run. The row of a finished run stays, even if its extension fails."""
        if world.rank():
            return
        self.row |= {"error": _reason(error), "status": "diverged" if isinstance(error, Diverged) else "failed"}
        try:
            if not self.folder.finished:
                results.write_row(plain(self.row), self.folder.result)
        except Exception as another:  # it must not hide why the run failed; a full disk still is full
            if not isinstance(error, OSError | DiskFull):
                print(printable(f"warning: the row is not written: {_reason(another)}"), file=sys.stderr, flush=True)
        print(printable(f"run: {self.folder.path}"), flush=True)


def prepare(model: GenerativeModel, data: ArenaDataModule) -> None:
    """Set up the data, and check that the batch size fits the number of processes. Gives the validation split to a
    held-out reference (`Withholds`). Raises UserError or DataError, in one line, also for a contender that asks for what only
    references get.
    """
    exchange.zero_first(data.setup)
    check_batch(data.batch_size, data.train.size)
    if isinstance(model, TwoStage):
        model.first_stage.check_data(data.facts["id"])
    if isinstance(model, Withholds | Enumerates | Recodes) and model.family != "baseline":
        raise UserError(
            f"{type(model).__name__}: only a reference (family baseline) is a Withholds, an Enumerates or a Recodes"
        )
    if isinstance(model, Withholds):
        model.withhold(data.val.x)


def _reason(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [""]
    if isinstance(error, KeyboardInterrupt | Interrupted):
        return lines[0] or "interrupted"
    return f"{type(error).__name__}: {lines[0]}"


if __name__ == "__main__":  # in a process that `processes.launch` starts
    processes.take_part(run_resolved)
