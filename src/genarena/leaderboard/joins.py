"""Which lines are one model sampled in several ways: alike but for one option of the sampler."""

from genarena.leaderboard.lines import Line

HOW = ("temperature", "guidance", "truncation", "top_p", "nfe", "steps")  # options of samplers that trade off
NEUTRAL = {"temperature": 1.0, "guidance": 1.0, "truncation": 1.0, "top_p": 1.0}  # where a line does not name it


def joined(lines: list[Line], options: tuple[str, ...] = HOW) -> list[list[Line]]:
    """Groups of two and more lines that differ in one of these options only, in the order of that option's value."""
    groups = []
    for option in options:
        alike: dict[tuple, list[tuple[float, Line]]] = {}
        for line in lines:
            value = _value(line, option)
            if value is not None:
                rest = tuple(text for text in line.overrides if not _is(text, option))
                alike.setdefault((line.model, line.imported, rest), []).append((value, line))
        groups += [
            [line for _, line in sorted(group, key=lambda pair: pair[0])]
            for group in alike.values()
            if len({value for value, _ in group}) > 1
        ]
    return groups


def _is(override: str, option: str) -> bool:
    return override.partition("=")[0].rpartition(".")[2] == option


def _value(line: Line, option: str) -> float | None:
    """The value of an option: as typed, else as in the resolved settings of the line, else the neutral one."""
    typed = [text.partition("=")[2] for text in line.overrides if _is(text, option)]
    settings = (line.runs[0].row.get("line") or {}).get("settings") or {}
    found = [value for name, value in settings.items() if name.startswith("sampler.") and name.endswith(f".{option}")]
    try:
        return float((typed or found or [NEUTRAL[option]])[0])
    except (KeyError, TypeError, ValueError):
        return None
