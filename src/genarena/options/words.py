"""The words of a command line: flags of Hydra and options, with hints for common mistakes."""

from collections.abc import Sequence

from genarena.errors import UserError
from genarena.options.groups import GROUPS

SHORT = {"-c": "--cfg", "-p": "--package", "-i": "--info", "-m": "--multirun", "-r": "--run"}
WITH_VALUE: dict[str, tuple[str, ...] | None] = {  # flags of Hydra -> their values; None: any
    "--cfg": ("job", "hydra", "all"),
    "--package": None,
    "--info": ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath"),
}
FLAGS = (*WITH_VALUE, *SHORT, "--multirun", "--resolve", "--run")
ALONE = ("--cfg", "--info", "--multirun", "--run")  # one of them says what is to be done


def split(words: Sequence[str], groups: Sequence[str]) -> tuple[list[str], list[str]]:
    """Hydra's own flags with their values, and the options. Raises UserError, with a hint, for anything else.

    groups: the configuration groups (`model`, `data`, ...), for hints.
    """
    flags, options, left = [], [], list(words)
    while left:
        word = left.pop(0)
        flag, separator, value = word.partition("=")
        if not word.startswith("-"):
            options.append(word)
        elif flag not in FLAGS:
            raise UserError(_about_dashes(word, left, groups))
        else:
            flag = SHORT.get(flag, flag)
            if flag in WITH_VALUE and not separator and left and "=" not in left[0] and left[0][:1] != "-":
                value = left.pop(0)
            flags += [flag, *([_allowed(flag, value)] if flag in WITH_VALUE else [])]
    _refuse_spaces(options)
    _refuse_together(flags)
    return flags, options


def _allowed(flag: str, value: str) -> str:
    """The value of a flag; of `--info` it may be left out. Raises UserError for another than Hydra knows."""
    known = WITH_VALUE[flag]
    value = value or ("all" if flag == "--info" else "")
    if not value or (known and value not in known):
        raise UserError(
            f"{flag} {value}".rstrip() + f": expected {' or '.join(known) if known else 'a value'} after it"
        )
    return value


def _refuse_together(flags: Sequence[str]) -> None:
    """Raise UserError for flags that Hydra does not take together."""
    several = [flag for flag in ALONE if flag in flags]
    if len(several) > 1:
        raise UserError(f"{several[0]}: goes without {several[1]}")
    for flag in ("--resolve", "--package"):
        if flag in flags and "--cfg" not in flags:
            raise UserError(f"{flag}: goes with --cfg job")


def _refuse_spaces(options: Sequence[str]) -> None:
    """Raise UserError for `model = vae`, `model= vae` and `model =vae`."""
    for index, word in enumerate(options):
        before = options[index - 1] if index else ""
        if word.startswith("=") and before and "=" not in before[:-1]:
            words = options[index - 1 : index + 2 if word == "=" else index + 1]
            raise UserError(f"{' '.join(words)}: write it without spaces: {''.join(words)}")


def _about_dashes(word: str, following: Sequence[str], groups: Sequence[str]) -> str:
    """A hint for an unknown flag, such as `--model=vae` or `--model vae`."""
    name, separator, value = word.lstrip("-").partition("=")
    if not separator and following and "=" not in following[0] and following[0][:1] != "-":
        value = following[0]
    if name in (*groups, *GROUPS[""], "metrics") or "." in name:
        return f"{word}: options are written without dashes: {name}={value or '<value>'}"
    return f"{word}: there is no such flag; options are written <option>=<value>, and --help lists them"
