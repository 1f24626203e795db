"""A metric as it is asked for: its class, its settings, and those of the evidence that it needs."""

import importlib
import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from genarena.errors import UserError
from genarena.evaluation.evidence import base as evidence
from genarena.metrics import check, check_option, module_of
from genarena.metrics.base import ArenaMetric
from genarena.options import values
from genarena.options.settings import Settings
from genarena.runs.line import dotted
from genarena.spec import DataSpec

Options = Mapping[str, Any]  # `evidence.<kind>.<option>` or `metric.<name>.<option>` -> value
Part = TypeVar("Part", bound=Settings)


@dataclass(frozen=True)
class Asked:
    """own: the settings of the metric. evidence: those of each kind of evidence that it uses and that has some."""

    metric: type[ArenaMetric]
    own: Settings
    evidence: Mapping[type[evidence.Kind], Settings]

    @property
    def settings(self) -> dict[str, Any]:
        """`<option>` of the metric, and `<kind>.<option>` of its evidence -> value, JSON-able."""
        return self._of_evidence | self.own.plain

    def used(self, read: Collection[str]) -> dict[str, Any]:
        """The same without options of evidence that are not `read`."""
        return {name: value for name, value in self._of_evidence.items() if name in read} | self.own.plain

    @property
    def _of_evidence(self) -> dict[str, Any]:
        return dotted({kind.file(): part.plain for kind, part in self.evidence.items()})


def options_of(cfg: Mapping[str, Any]) -> Options:
    """The options in the nodes `evidence` and `metric` of a resolved configuration."""
    return dotted({part: cfg.get(part) or {} for part in ("evidence", "metric")})


def asked(metrics: Sequence[str], options: Options | None = None, spec: DataSpec | None = None) -> dict[str, Asked]:
    """Each metric, once. An option of evidence is that of every metric, unless the metric has its own value.

    Raises UserError for an unknown metric or option, for a value that an option cannot have, and for one that does not fit the
    data that `spec` describes.
    """
    options = options or {}
    for key in options:
        check_option(key)
    return {name: _asked(name, options, spec) for name in check(metrics)}


def _asked(name: str, options: Options, spec: DataSpec | None) -> Asked:
    metric, own = load_metric(name), f"metric.{name}"

    def made(kind: type[evidence.Kind]) -> Settings:
        places = f"evidence.{kind.file()}", own
        return _made(kind.Settings, places, options, lambda settings: spec and kind.check(settings, spec))

    kinds = [kind for kind in evidence.used(needed(metric)) if kind.Settings]
    return Asked(metric, _made(metric.Settings, [own], options), {kind: made(kind) for kind in kinds})


def _made(
    part: type[Part], places: Sequence[str], options: Options, check: Callable[[Part], object] = lambda settings: None
) -> Part:
    """The settings with the options of these places; where two have one, that of the last place counts."""
    keys = {
        field.name: key for place in places for field in fields(part) if (key := f"{place}.{field.name}") in options
    }
    for name, key in keys.items():
        if expected := values.refusal(options[key], values.hints(part)[name]):
            raise UserError(f"{key}={options[key]}: expected {expected}")
    try:
        settings = part(**{name: options[key] for name, key in keys.items()})
        check(settings)
    except ValueError as error:
        name, equals, said = str(error).partition("=")
        raise UserError(f"{keys[name]}{equals}{said}") from error
    return settings


def load_metric(name: str) -> type[ArenaMetric]:
    """The metric class of `genarena/metrics/<name>.py`. Raises UserError if there is no such file, if it has not
    exactly one metric class, or if the class has no title or record, or needs unknown evidence."""
    check([name])
    module = importlib.import_module(module_of(name))
    members = [
        member for member in vars(module).values() if inspect.isclass(member) and member.__module__ == module.__name__
    ]
    found = [member for member in members if issubclass(member, ArenaMetric)]
    if len(found) != 1:
        raise UserError(f"metrics={name}: {module_of(name)} has {len(found)} metric classes, expected one")
    if not getattr(found[0], "title", ""):
        raise UserError(f"metrics={name}: its class has no title, the heading of its column")
    if getattr(found[0].record, "__isabstractmethod__", False):
        raise UserError(f"metrics={name}: its class has no `record`, which gives n, the number of examples")
    unknown = set(needed(found[0])) - set(evidence.kind_of())
    if unknown:
        there = ", ".join(evidence.kind_of())
        raise UserError(f"metrics={name}: its `update` asks for {', '.join(sorted(unknown))}; there are {there}")
    return found[0]


def needed(metric: type[ArenaMetric]) -> list[str]:
    """Names of the evidence that the metric's `update` needs."""
    return list(inspect.signature(metric.update).parameters)[1:]
