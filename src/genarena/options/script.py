"""Options of the programs in `scripts/`: `name=value`, each with a named type and a default. No torch here."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_origin

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from genarena.errors import UserError
from genarena.options.hints import nearest
from genarena.options.overrides import path_in
from genarena.options.signatures import parameters
from genarena.options.values import Something, alternatives, base_of, place_of, refusal


@dataclass(frozen=True)
class Option:
    """An option of a program. kind: a type, e.g. `Count` or `list[str] | None`; default: `...` if the option is required."""

    kind: Any
    default: Any = None


FEATURES = {  # the options `features.*`: the fields of FeatureSettings
    f"features.{name}": Option(kind | None)
    for name, kind in parameters("genarena.evaluation.weights.FeatureSettings").items()
}


SAMPLER = ("sampler", "sampler.<option>")  # what `of_sampler` reads
METRICS = ("evidence.<kind>.<option>", "metric.<metric>.<option>")  # what `cli.of_metrics` reads
ALGORITHM = ("algorithm.<option>",)
DATA = ("data.<option>",)


def features(options: Mapping[str, Any]) -> dict[str, str]:
    """The given options `features.*`, as fields of FeatureSettings."""
    return {name.partition(".")[2]: options[name] for name in FEATURES if options[name] is not None}


def of_sampler(arguments: Iterable[str]) -> tuple[dict[str, Any], list[str]]:
    """The values of `sampler=<name>` and `sampler.<option>=<value>`, and all other arguments. Raises UserError.

    Whether the sampler has such an option is checked when the sampler is known.
    """
    arguments = list(arguments)
    named = [text for text in arguments if text.startswith("sampler=")]
    found, rest = of_group([text for text in arguments if text not in named], "sampler")
    return read(named, {"sampler": Option(Something)} if named else {}) | found, rest


def of_group(arguments: Iterable[str], group: str) -> tuple[dict[str, Any], list[str]]:
    """The values of `<group>.<option>=<value>`, and all other arguments. Raises UserError."""
    arguments = list(arguments)
    own = [text for text in arguments if text.startswith(f"{group}.")]
    found = read(own, {text.partition("=")[0]: Option(Something) for text in own})
    return found, [text for text in arguments if text not in own]


def read(arguments: Iterable[str], options: Mapping[str, Option], beside: Iterable[str] = ()) -> dict[str, Any]:
    """The value of each option. Raises UserError for an unknown or missing option, or a value that does not fit its type.

    beside: names of options that the program has too, and that are read elsewhere."""
    given = {}
    for argument in arguments:
        key, separator, _ = argument.partition("=")
        if not separator or key not in options:
            names = [*options, *beside]
            expected = ", ".join(f"{name}=..." for name in names)
            raise UserError(f"{argument}: expected one of {expected}{nearest(key, names)}")
        given[key] = _value(argument, options[key])
    missing = [name for name, option in options.items() if option.default is ... and given.get(name) is None]
    if missing:
        raise UserError(f"{', '.join(f'{name}=...' for name in missing)} is missing; --help says what there is")
    return {name: option.default for name, option in options.items()} | given


def _value(argument: str, option: Option) -> Any:
    """The value in `name=value`. Raises UserError if it does not fit the option's type."""
    key, _, text = argument.partition("=")
    if place := place_of(option.kind):
        return path_in(argument, place)
    optional = type(None) in alternatives(option.kind)
    if not text and not optional:
        raise UserError(f"{argument}: expected a value")
    value = None if optional and text in ("", "null") else text if _is_text(option.kind) else _parsed(argument)
    if expected := refusal(value, option.kind):
        raise UserError(f"{key}={text}: expected {expected}")
    return value


def _is_text(kind: Any) -> bool:
    """Whether the values of a type are texts, so that e.g. `name=1e3` is no number."""
    return all(get_origin(part) is Literal or base_of(part) in (str, type(None)) for part in alternatives(kind))


def _parsed(argument: str) -> Any:
    text = argument.partition("=")[2]
    try:
        return OmegaConf.to_container(OmegaConf.from_dotlist([f"v={text}"]))["v"]
    except (YAMLError, OmegaConfBaseException) as error:
        raise UserError(f"{argument}: is not a value that can be read, e.g. [a,b]") from error
