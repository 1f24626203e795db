"""A metric as it is asked for: its class, its settings, and those of the evidence that it needs."""

import importlib
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from genarena.errors import UserError
from genarena.evaluation.evidence import base as evidence
from genarena.metrics import check, check_option, module_of
from genarena.metrics.base import ArenaMetric
from genarena.options import values
from genarena.options.settings import Settings

Options = Mapping[str, Mapping[str, Any]]  # the node `metric` of a configuration: metric -> option -> value
Part = TypeVar("Part", bound=Settings)


@dataclass(frozen=True)
class Asked:
    """own: the settings of the metric. evidence: those of each kind of evidence that it uses and that has some."""

    metric: type[ArenaMetric]
    own: Settings
    evidence: Mapping[type[evidence.Kind], Settings]

    @property
    def settings(self) -> dict[str, Any]:
        """Every option `metric.<name>.<option>` and its value, JSON-able."""
        return {name: value for part in (*self.evidence.values(), self.own) for name, value in part.plain.items()}


def with_options(node: Options, given: Mapping[str, Any] | None) -> Options:
    """The node `metric` of a configuration with options `metric.<name>.<option>` replaced. Raises UserError as `asked`."""
    joined = {name: dict(options or {}) for name, options in node.items()}
    for key, value in (given or {}).items():
        check_option(key)
        _, name, option = key.split(".")
        joined.setdefault(name, {})[option] = value
    return joined


def asked(metrics: Sequence[str], options: Options | None = None) -> dict[str, Asked]:
    """Each metric, once. Raises UserError for an unknown metric or option, and for a value that an option cannot have."""
    options = options or {}
    for name, given in options.items():
        for option in given or {}:
            check_option(f"metric.{name}.{option}")
    return {name: _asked(name, options.get(name) or {}) for name in check(metrics)}


def _asked(name: str, given: Mapping[str, Any]) -> Asked:
    metric = load_metric(name)
    kinds = [kind for kind in evidence.used(needed(metric)) if kind.Settings]
    return Asked(
        metric, _made(metric.Settings, name, given), {kind: _made(kind.Settings, name, given) for kind in kinds}
    )


def _made(part: type[Part], name: str, given: Mapping[str, Any]) -> Part:
    own = {field.name: given[field.name] for field in fields(part) if field.name in given}
    try:
        values.check(part, own, f"metric.{name}")
    except ValueError as error:
        raise UserError(str(error)) from error
    try:
        return part(**own)
    except ValueError as error:
        raise UserError(f"metric.{name}.{error}") from error


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
