"""One protocol for every model: `evaluate(model, data, metrics, settings, options)`.

The parameters of a metric's `update` name the evidence that it needs (`genarena.evaluation.evidence`). Evidence is made at its
first use and shared: all metrics use the same samples of the model, and without such a metric none are drawn.
"""

import math
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from genarena.data.base import ArenaDataModule
from genarena.errors import printable
from genarena.evaluation.asked import Asked, Options, asked, needed
from genarena.evaluation.evidence.examples import Examples
from genarena.evaluation.evidence.samples import Samples
from genarena.evaluation.gathered import Evidence
from genarena.evaluation.other_data import ENTRY, of_other_data
from genarena.evaluation.protocol import protocol
from genarena.evaluation.records import noted
from genarena.evaluation.settings import EvaluationSettings
from genarena.evaluation.subject import ContractBroken, Subject
from genarena.files.progress import Bars
from genarena.metrics.base import Unavailable
from genarena.models.base import GenerativeModel
from genarena.ranks import exchange, world
from genarena.runs import results


@dataclass(frozen=True)
class Evaluation:
    """The results of an evaluation.

    metrics: name -> {"value": float, "n": int, ...} or {"value": None, "reason": str}.
    protocol: see `genarena.evaluation.protocol.protocol`.
    fake: the samples (N, *shape), the most that a metric took; None if no metric needed any.
    seconds_per_image: wall time per sample; None without samples.
    nonfinite_samples: how many samples are not finite.
    """

    metrics: dict[str, dict[str, Any]]
    protocol: dict[str, Any]
    fake: Tensor | None
    seconds_per_image: float | None
    nonfinite_samples: int


def evaluate(
    model: GenerativeModel,
    data: ArenaDataModule,
    metrics: Sequence[str],
    settings: EvaluationSettings,
    options: Options | None = None,
    run_seed: int = 0,
    progress: bool = True,
    debug: bool = False,
) -> Evaluation:
    """Score a model in eval mode on the test (or validation) split of a data set that is set up.

    options: `evidence.<kind>.<option>` and `metric.<name>.<option>` -> value.
    run_seed: that of the model's training; samples depend on it and on `settings.sample_seed`.

    In a job of several ranks all of them call it, with the same weights, and share the work. Each gets the whole result,
    which equals that of one process: seeds belong to blocks of samples or examples, not to ranks.
    The caller's random state does not change. A metric that fails, whatever the error, has the value None, and its record
    has the reason and `failed`; `debug` also prints the traceback. Raises ValueError if the model is in training mode or
    breaks its contract; UserError, before anything is measured, if a metric or an option does not exist or a file that the
    user named is missing.
    """
    if model.training:
        raise ValueError("evaluate takes a model in eval mode: call model.eval()")
    chosen, rules = asked(metrics, options, data.spec), protocol(metrics, settings, options, data)
    records = {}
    devices = [model.device] if model.device.type == "cuda" else []
    with Bars(progress and world.rank() == 0) as bars, torch.random.fork_rng(devices), torch.no_grad():
        evidence = Evidence(Subject(model, data, settings, bars, run_seed))
        for name in bars.track(chosen, "metrics"):
            records[name] = _record(name, chosen[name], evidence, debug) | {"protocol": rules["metrics"][name]["id"]}
    drawn = max(evidence.made("drawn"), key=lambda each: len(each.samples), default=None)
    return Evaluation(
        metrics=records,
        protocol=rules,
        fake=drawn and drawn.samples,
        seconds_per_image=drawn and drawn.seconds,
        nonfinite_samples=drawn.nonfinite if drawn else 0,
    )


def refusal(
    model: GenerativeModel,
    data: ArenaDataModule,
    metric: str,
    settings: EvaluationSettings,
    options: Options | None = None,
) -> str:
    """Why a metric of this model and data has no value; "" where it may have one, as far as is known before samples are
    drawn. All else that it needs is made."""
    chosen = asked([metric], options, data.spec)[metric]
    evidence = Evidence(Subject(model, data, settings, Bars(False))).under(chosen.evidence)
    try:
        with torch.no_grad():
            _require(chosen, evidence)
            evidence.make_without("drawn", needed(chosen.metric))
    except Unavailable as error:
        return str(error)
    return ""


def _record(name: str, metric: Asked, evidence: Evidence, debug: bool) -> dict[str, Any]:
    """The record of one metric. Its `seconds` include the making of evidence that no earlier metric has used."""
    began = time.perf_counter()
    try:
        record = _measured(metric, evidence)
    except Exception as error:
        if isinstance(error, ContractBroken) or not exchange.known_to_all(error):
            raise
        record = {"value": None, "reason": _failed(name, error, debug), "failed": True}
    return record | {"seconds": round(time.perf_counter() - began, 3)}


def _measured(asked: Asked, evidence: Evidence) -> dict[str, Any]:
    names, evidence = needed(asked.metric), evidence.under(asked.evidence)
    try:
        _require(asked, evidence)
        pieces = {name: evidence.get(name) for name in names}
        settings = asked.used(evidence.read_for(names))
        facts = evidence.provenance(names) | ({"settings": settings} if settings else {})
    except Unavailable as error:
        absent, facts = error, {ENTRY: True} if of_other_data(names, evidence.subject.data.spec) else {}
        return exchange.from_zero(lambda: _absent(asked.metric.__name__, absent) | facts)
    return exchange.from_zero(lambda: _computed(asked, pieces, facts))


def _require(asked: Asked, evidence: Evidence) -> None:
    """Raise Unavailable if there are fewer samples or test examples than the metric needs, before they are made."""
    metric, there = asked.metric, {}
    if Examples in asked.evidence:
        there["test examples"] = metric.min_examples, evidence.get("test").size
    if Samples in asked.evidence:
        there["samples"] = max(metric.min_examples, metric.min_samples), evidence.get("num_samples")
    if any(count < least for least, count in there.values()):
        wanted = " and ".join(f"{least:,} {what}" for what, (least, _) in there.items())
        found = " and ".join(f"{count:,} {what}" for what, (_, count) in there.items())
        raise Unavailable(
            f"needs at least {wanted}{f' ({metric.too_few})' if metric.too_few else ''}; there are {found}"
        )


def _computed(asked: Asked, pieces: dict[str, Any], facts: dict[str, Any]) -> dict[str, Any]:
    metric = asked.metric()
    metric.settings = asked.own
    try:
        metric.update(**pieces)
        value = float(metric.compute())
        if not math.isfinite(value):
            raise Unavailable(f"the value is {value}")
        own = dict(metric.record())
    except Unavailable as error:
        return _absent(asked.metric.__name__, error)
    meaning = {name: getattr(metric, name) for name in ("title", "unit", "higher_is_better", "towards_real", "range")}
    return _checked(asked.metric.__name__, {**own, "value": value, **meaning, **facts})


def _absent(name: str, error: Unavailable) -> dict[str, Any]:
    """The record of a metric that has no value, and says why."""
    error.with_traceback(None)  # the error is kept for later metrics; its frames would keep tensors alive
    return _checked(name, {**error.facts, "value": None, "reason": str(error)})


def _checked(name: str, record: dict[str, Any]) -> dict[str, Any]:
    """The record as JSON that a row can hold. Raises TypeError or ValueError for one that no row can hold."""
    record = noted(record)
    results.check_metric(name, record)
    return record


def _failed(name: str, error: Exception, debug: bool) -> str:
    """The reason of a failure, for the row. It is also printed on stderr, because the protocol expects a value."""
    lines = str(error).strip().splitlines()
    reason = printable(f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__, keep="")
    if world.rank() == 0:
        if debug:
            traceback.print_exception(error)
        print(f"warning: metric {name} has no value: {reason}", file=sys.stderr, flush=True)
    error.with_traceback(None)  # as above
    return reason
