"""Quality against the number of network evaluations, for every sampler that fits a trained model.

Each point is measured `repeats` times, with other seeds of sampling and the same weights and test examples. Its interval is
that of the mean over seeds (Student's t). It holds for these weights and this number of samples: distances such as
`fd_domain` are larger for fewer samples, by as much for every sampler.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from genarena import config
from genarena.build import build
from genarena.data.base import ArenaDataModule
from genarena.errors import UserError
from genarena.evaluation import samplers
from genarena.evaluation.asked import Options, asked
from genarena.evaluation.evaluate import evaluate, refusal
from genarena.evaluation.figures import figure, png
from genarena.evaluation.settings import EvaluationSettings
from genarena.files.atomic import replace_atomically
from genarena.files.progress import Bars
from genarena.models.base import GenerativeModel
from genarena.models.sampler import Sampler
from genarena.options.hints import nearest
from genarena.statistics.intervals import mean, t_half_width

NAME = "nfe_curve"
USUAL = (5, 10, 20, 50)  # evaluations per sample, as far as the model's schedule has so many


@dataclass(frozen=True)
class Point:
    """nfe: evaluations made per sample, at most those asked for. values: None, and a `reason`, where a metric has none.
    half_width: half the 95% interval of the mean; None for one value."""

    sampler: str
    nfe: int
    values: tuple[float | None, ...]
    mean: float | None
    half_width: float | None
    seconds_per_sample: float | None
    reason: str | None = None


@dataclass(frozen=True)
class Plan:
    """What is measured: metric of `num_samples` samples, `repeats` times. choices: (name of its file, sampler) of each point.
    left_out: why a sampler has no point at a number of evaluations."""

    metric: str
    num_samples: int
    repeats: int
    choices: tuple[tuple[str, Sampler], ...]
    left_out: tuple[str, ...]


def plan(
    model: GenerativeModel,
    metric: str | None,
    names: Sequence[str] | None,
    nfe: Sequence[int] | None,
    sizes: tuple[int, int],
) -> Plan:
    """Of a model in eval mode. metric: None: fd_domain of images, energy_distance of other data. names: samplers, files of
    `conf/sampler`; None: all that fit. nfe: evaluations per sample; None: `USUAL`. sizes: samples, and repeats.

    Raises UserError for a metric that is not about samples, a model whose samplers have no `nfe`, an unknown or unfit sampler,
    and an `nfe` that no sampler can make.
    """
    metric = metric or ("fd_domain" if model.spec.is_image else "energy_distance")
    if "samples.num_samples" not in asked([metric])[metric].settings:
        raise UserError(f"metric={metric}: it does not depend on samples, nor on how they are drawn")
    found, own, choices, reasons = _fitting(model, names), model.sampler, {}, {}
    for name, sampler in found.items():
        for number in nfe or USUAL:
            try:
                chosen = replace(sampler, nfe=number)
                model.use(chosen)
                choices[name, model.nfe] = chosen
            except ValueError as error:
                reasons[name, number] = str(error)
    model.use(own)
    for number in nfe or ():
        if all((name, number) in reasons for name in found):
            raise UserError(f"nfe={number}: {next(text for (_, at), text in reasons.items() if at == number)}")
    left_out = tuple(f"{name} at {number}: {text}" for (name, number), text in reasons.items())
    return Plan(metric, *sizes, tuple((name, chosen) for (name, _), chosen in choices.items()), left_out)


def _fitting(model: GenerativeModel, names: Sequence[str] | None) -> dict[str, Sampler]:
    """Those with an option `nfe`; of files that differ in it alone, the first."""
    known = config.available("sampler")
    if strangers := [name for name in names or () if name not in known]:
        raise UserError(
            f"samplers={strangers[0]}: there is no such sampler; available: {', '.join(known)}{nearest(strangers[0], known)}"
        )
    nodes, seen = {name: samplers.named(name) for name in known}, []
    fitting = {name: build(node, "sampler") for name, node in nodes.items() if node.get("nfe", 0) != 0}
    fitting = {name: made for name, made in fitting.items() if model.samplers and isinstance(made, model.samplers)}
    if not fitting:
        raise UserError(f"run: {type(model).__name__} has no sampler whose number of network evaluations can be chosen")
    if unfit := [name for name in names or () if name not in fitting]:
        raise UserError(f"samplers={unfit[0]}: does not fit {type(model).__name__}; that takes {', '.join(fitting)}")
    found = {}
    for name in names or fitting:
        alike = {key: value for key, value in nodes[name].items() if key != "nfe"}
        if names or ("betas" not in alike and alike not in seen):
            found[name] = fitting[name]
        seen.append(alike)
    return found


def measured(
    model: GenerativeModel, data: ArenaDataModule, asked_for: Plan, settings: EvaluationSettings, options: Options
) -> Iterator[Point]:
    """A point for each choice, in the order of the plan; the model keeps the sampler it has. options: of evidence and of the
    metric. Raises UserError for a metric that this model or data has no value of, before samples are drawn where that is known
    by then, else when two samplers have the same reason at all their points."""
    own, points = model.sampler, []
    options = {**options, "evidence.samples.num_samples": asked_for.num_samples}
    if reason := refusal(model, data, asked_for.metric, settings, options):
        raise UserError(f"metric={asked_for.metric}: {reason}")
    try:
        with Bars(True) as bars:
            for name, sampler in bars.track(asked_for.choices, "points"):
                model.use(sampler)
                seeds = [replace(settings, sample_seed=seed) for seed in range(asked_for.repeats)]
                made = [evaluate(model, data, [asked_for.metric], each, options, progress=False) for each in seeds]
                points.append(_point(name, model.nfe, [each.metrics[asked_for.metric] for each in made], made[-1]))
                yield points[-1]
                samplers, reasons = {point.sampler for point in points}, {point.reason for point in points}
                if len(samplers) == 2 and len(reasons) == 1 and None not in reasons:
                    raise UserError(f"metric={asked_for.metric}: {points[0].reason}")
    finally:
        model.use(own)


def _point(name: str, nfe: int, records: Sequence[Mapping[str, Any]], last: Any) -> Point:
    values = tuple(record["value"] for record in records)
    if any(value is None for value in values):
        reason = next(record.get("reason") for record in records if record["value"] is None)
        return Point(name, nfe, values, None, None, last.seconds_per_image, reason)
    half_width = t_half_width(values) if len(values) > 1 else None
    return Point(name, nfe, values, mean(values), half_width, last.seconds_per_image)


def write(points: Sequence[Point], asked_for: Plan, facts: Mapping[str, Any], folder: Path) -> list[Path]:
    """nfe_curve.json, .csv and .png in the folder. Points that the plan has and that are not there were interrupted. Raises
    UserError if the metric has no value at any point."""
    if all(point.mean is None for point in points):
        raise UserError(f"metric={asked_for.metric}: no value at any point: {points[0].reason}")
    record = {
        **facts,
        "metric": asked_for.metric,
        "num_samples": asked_for.num_samples,
        "repeats": asked_for.repeats,
        "interval": "95%, of the mean over seeds of sampling (Student's t); null for one seed",
        "points": [asdict(point) for point in points],
        "left_out": asked_for.left_out,
        "interrupted": [f"{name} at {sampler.nfe}" for name, sampler in asked_for.choices[len(points) :]],
    }
    files = {
        "json": json.dumps(record, indent=2).encode(),
        "csv": _csv(points).encode(),
        "png": _drawn(points, asked_for, str(facts["title"])),
    }
    paths = [folder / f"{NAME}.{ending}" for ending in files]
    for path, content in zip(paths, files.values(), strict=True):
        replace_atomically(path, lambda temporary, content=content: temporary.write_bytes(content))
    return paths


def _csv(points: Sequence[Point]) -> str:
    text, columns = io.StringIO(), ("sampler", "nfe", "mean", "half_width", "seconds_per_sample")
    table = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    table.writeheader()
    table.writerows(asdict(point) for point in points)
    return text.getvalue()


def _drawn(points: Sequence[Point], asked_for: Plan, title: str) -> bytes:
    """A line per sampler, both axes logarithmic where all values are positive."""
    made = figure(7.5, 5.0)
    axes = made.add_subplot()
    shown = [point for point in points if point.mean is not None]
    for place, name in enumerate(dict.fromkeys(point.sampler for point in shown)):
        own = sorted((point for point in shown if point.sampler == name), key=lambda point: point.nfe)
        widths = [point.half_width or 0.0 for point in own]
        axes.errorbar(
            [point.nfe for point in own],
            [point.mean for point in own],
            yerr=widths,
            marker="osD^vP*X<>"[place % 10],
            capsize=2,
            label=name,
        )
    if shown and min(point.mean - (point.half_width or 0.0) for point in shown) > 0.0:
        axes.set_yscale("log")
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set(xlabel="network evaluations per sample", ylabel=asked_for.metric, title=title)
    axes.grid(alpha=0.3, which="both")
    axes.legend(loc="best", fontsize=8)
    return png(made)
