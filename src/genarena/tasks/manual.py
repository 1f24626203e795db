"""The texts of `scripts/task.py task=<name> --help` and `algorithm=<name> --help`."""

import textwrap
from collections.abc import Iterable
from typing import Any

from genarena import config
from genarena.errors import UserError
from genarena.options.hints import nearest
from genarena.options.signatures import parameters
from genarena.options.values import described
from genarena.tasks.abilities import Ability, abilities, class_of, target
from genarena.tasks.base import Algorithm, Task, needs_of
from genarena.tasks.choosing import comment

WIDTH = 120


def of_task(name: str) -> str:
    """What the task does, its options, and what each model can do in it."""
    node = target("task", _known("task", name))
    task: type[Task] = class_of(node, f"task={name}")
    found = abilities(task.algorithms)
    wanted = needs_of([each() for each in task.algorithms])
    able, unable = [each for each in found if each.algorithms], [each for each in found if not each.algorithms]
    usage = f"python scripts/task.py task={name} run=<run folder>[,<run folder> ...] [<option>=<value> ...]"
    lines = [f"task={name}: {comment('task', name)}", usage, "", "Options:", *_options("task", name, node)]
    lines += ["", "Algorithms, in the order of preference (algorithm=<name> --help has their options):"]
    lines += [f"  {_algorithm(each)}" for each in task.algorithms]
    lines += ["", "Models that can do it, and the algorithms that fit; the first is used where none is named:"]
    lines += _models(able) or ["  none"]
    if unable:
        lines += ["", f"Models that cannot, because none of them {wanted}:", *_families(unable)]
    return "\n".join(lines)


def of_algorithm(name: str) -> str:
    """What the algorithm does, its options, and the models that it fits."""
    node = target("algorithm", _known("algorithm", name))
    algorithm: type[Algorithm] = class_of(node, f"algorithm={name}")
    able = [each for each in abilities([algorithm]) if each.algorithms]
    lines = [f"algorithm={name}: {comment('algorithm', name)}", "", f"  {_algorithm(algorithm)}"]
    lines += ["", "Options:", *(_options("algorithm", name, node) or ["  none"])]
    lines += ["", f"Models that fit ({needs_of([algorithm()]) or 'any'}):", *(_families(able) or ["  none"])]
    return "\n".join(lines)


def _known(group: str, name: str) -> str:
    known = config.available(group)
    if name in known:
        return name
    raise UserError(f"{group}={name}: there is no such {group}{nearest(name, known)}; available: {', '.join(known)}")


def _options(group: str, name: str, node: dict[str, Any]) -> list[str]:
    """A line per option of the YAML file: its value there, its type, and its comment."""
    kinds, prefix, lines = parameters(node["_target_"]), "" if group == "task" else f"{group}.", []
    for text in config.file_of(group, name).read_text(encoding="utf-8").splitlines():
        key, colon, rest = text.partition(":")
        if not colon or key not in kinds:
            continue
        value, _, said = rest.partition(" #")
        kind = "a name or null" if key == "algorithm" else described(kinds[key])
        lines.append((f"{prefix}{key}={value.strip()}", kind, said.strip()))
    widths = [max((len(line[at]) for line in lines), default=0) for at in (0, 1)]
    return [f"  {one:{widths[0]}}  {two:{widths[1]}}  {three}".rstrip() for one, two, three in lines]


def _algorithm(algorithm: type[Algorithm]) -> str:
    """Its name, exactness, paper and needs."""
    paper = algorithm.paper and f", {'doi' if algorithm.paper.startswith('10.') else 'arXiv'} {algorithm.paper}"
    return f"{algorithm.name}: {exactness(algorithm)}{paper}; {_wants(algorithm)}"


def exactness(algorithm: type[Algorithm]) -> str:
    """Where it depends on an option: that of the usual options."""
    return algorithm.exactness if isinstance(algorithm.exactness, str) else algorithm().exactness


def _wants(algorithm: type[Algorithm]) -> str:
    wanted = needs_of([algorithm()])
    return f"needs a model that {wanted}" if wanted else "for any model"


def _models(found: Iterable[Ability]) -> list[str]:
    """A line per class: family, names, and the algorithms with their exactness."""
    rows = [
        (
            each.model.family,
            ", ".join(each.names),
            ", ".join(f"{one.name} ({exactness(one)})" for one in each.algorithms),
        )
        for each in found
    ]
    first, second = (max((len(row[at]) for row in rows), default=0) for at in (0, 1))
    return [_filled(f"{family:{first}}  {names:{second}}  {fits}", first + second + 4) for family, names, fits in rows]


def _families(found: Iterable[Ability]) -> list[str]:
    """A line per family, with all names."""
    names: dict[str, list[str]] = {}
    for each in found:
        names.setdefault(each.model.family, []).extend(each.names)
    first = max(map(len, names), default=0)
    return [_filled(f"{family:{first}}  {', '.join(each)}", first + 2) for family, each in names.items()]


def _filled(text: str, indent: int) -> str:
    return textwrap.fill(text, WIDTH, initial_indent="  ", subsequent_indent=" " * (indent + 2))
