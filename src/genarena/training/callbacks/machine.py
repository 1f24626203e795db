"""Records what the machine gave to a training, and says so while it is less than what was free."""

import sys
import time
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from genarena.errors import printable
from genarena.ranks import calibration, exchange, machine, threads, world
from genarena.runs.status import Status

EVERY = 5.0  # seconds between two looks during training
AGAIN = 60.0  # seconds between two lines on the terminal


class Machine(Callback):
    """CPU share, waits, load and speed of a training, without its validations.

    status: its entry `starved` says what is short at the moment; None where nothing is.
    minutes: of the budget. Only a budget in minutes depends on the speed, so only then the machine is calibrated (in at most
        a hundredth of the minutes at each end, not counted) and the terminal is told.
    """

    def __init__(self, title: str, status: Status, minutes: float | None) -> None:
        self.title, self.status, self.minutes = title, status, minutes
        self.meter = machine.Meter()
        self.speeds: list[float] = []  # GFLOP/s at the start and the end of each part of a resumed run
        self.load: list[float] = []
        self.starved: str | None = None
        self._threads = torch.get_num_threads()
        self._seen = dict(self.meter.totals)
        self._looked, self._said = time.monotonic(), -AGAIN

    @property
    def facts(self) -> dict[str, Any]:
        """The entry `machine` of a row."""
        totals = self.meter.totals
        used = totals["cpu"] / totals["thread_seconds"] if totals["thread_seconds"] else None
        waited = totals["waited"] / totals["wall"] if totals["wall"] else None
        return {
            "cpu_share": None if used is None else round(used, 4),
            "waited": None if waited is None else round(waited, 4),
            "threads": int(totals["threads"]) or self._threads,
            "load": [round(load, 3) for load in (self.load or [machine.load()])],
            "gflops": [round(speed, 1) for speed in (self.speeds[:1] + self.speeds[-1:])],
            "starved": self.starved,
        }

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.load = [*self.load[:1], machine.load()][:1]
        self._calibrate(pl_module.device)
        self._threads = torch.get_num_threads()
        self.meter.start()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        due = time.monotonic() - self._looked >= EVERY
        if due or torch.get_num_threads() != self._threads:
            self._count()
            self.meter.start()
        if due:
            self._look(pl_module.device)

    def _look(self, device: torch.device) -> None:
        now = machine.difference(self.meter.totals, self._seen)
        self._looked, self._seen = time.monotonic(), dict(self.meter.totals)
        self.status.facts["starved"] = said = self._verdict(machine.granted(now), device)
        if said and self.minutes and not world.rank() and time.monotonic() - self._said > AGAIN:
            self._said = time.monotonic()
            advice = "its result will not be ranked if it stays so; budgets in FLOPs or examples do not depend on that"
            text = f"warning: {self.title} is starved: {said}; {advice}"
            print(printable(text), file=sys.stderr, flush=True)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._count()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == "fit":
            self.meter.start()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """All ranks come here: a run is starved if one of them is."""
        self._count()
        self.load = [*self.load, machine.load()]
        before = torch.get_num_threads()
        threads.take(int(self.meter.totals["threads"]) or None)
        self._calibrate(pl_module.device)
        own = self._verdict(machine.granted(self.meter.totals), pl_module.device) or self._slow(pl_module.device)
        threads.take(before)
        self.starved = next(filter(None, exchange.gathered(own)), None)
        self.status.facts["starved"] = self.starved

    def _count(self) -> None:
        """Count the time until now, with the number of threads before a change."""
        self.meter.stop(self._threads)
        self._threads = torch.get_num_threads()

    def _calibrate(self, device: torch.device) -> None:
        if self.minutes:
            self.speeds.append(calibration.steady(device, min(calibration.SECONDS, 0.6 * self.minutes)))

    def _verdict(self, share: float, device: torch.device) -> str | None:
        """What is short, in words; None if enough was given. On a GPU the share of the CPU does not tell."""
        if share >= machine.ENOUGH or device.type != "cpu":
            return None
        return f"it got {share:.0%} of the CPU time that it could use: others use its cores, or a limit holds it back"

    def _slow(self, device: torch.device) -> str | None:
        if not self.speeds:
            return None
        best, slowest = calibration.best(device, self.speeds), min(self.speeds)
        if slowest >= calibration.ENOUGH * best:
            return None
        return f"{device.type.upper()} at {slowest / best:.0%} of its speed: {slowest:,.0f} of {best:,.0f} GFLOP/s"

    def state_dict(self) -> dict[str, Any]:
        return {"totals": dict(self.meter.totals), "speeds": self.speeds, "load": self.load[:1]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.meter.totals |= state_dict["totals"]
        self.speeds, self.load = list(state_dict["speeds"]), list(state_dict["load"])
        self._seen = dict(self.meter.totals)
