"""The words of a command line: flags of Hydra and options, with hints for common mistakes."""

from collections.abc import Sequence

from genarena.errors import UserError
from genarena.options.groups import GROUPS

WITH_VALUE = ("--cfg", "-c", "--package", "-p", "--info", "-i")  # flags of Hydra with a value; --info may have none
FLAGS = (
    *WITH_VALUE,
    "-m",
    "--multirun",
    "--resolve",
    "--run",
    "-r",
    "--experimental-rerun",
    "--shell-completion",
    "-sc",
)


def split(words: Sequence[str], groups: Sequence[str]) -> tuple[list[str], list[str]]:
    """Hydra's own flags with their values, and the options. Raises UserError, with a hint, for anything else.

    groups: the configuration groups (`model`, `data`, ...), for hints.
    """
    flags, options, left = [], [], list(words)
    while left:
        word = left.pop(0)
        flag, separator, _ = word.partition("=")
        if not word.startswith("-"):
            options.append(word)
        elif flag not in FLAGS:
            raise UserError(_about_dashes(word, left, groups))
        else:
            flags.append(word)
            if flag in WITH_VALUE and not separator and left and "=" not in left[0] and left[0][:1] != "-":
                flags.append(left.pop(0))
    _refuse_spaces(options)
    return flags, options


def _refuse_spaces(options: Sequence[str]) -> None:
    """Raise UserError for `model = vae`, `model= vae` and `model =vae`."""
    for index, word in enumerate(options):
        if word.startswith("="):
            words = options[max(0, index - 1) : index + 2 if word == "=" else index + 1]
            raise UserError(f"{' '.join(words)}: write it without spaces: {''.join(words)}")


def _about_dashes(word: str, following: Sequence[str], groups: Sequence[str]) -> str:
    """A hint for an unknown flag, such as `--model=vae` or `--model vae`."""
    name, separator, value = word.lstrip("-").partition("=")
    if not separator and following and "=" not in following[0] and following[0][:1] != "-":
        value = following[0]
    if name in (*groups, *GROUPS[""], "metrics") or "." in name:
        return f"{word}: options are written without dashes: {name}={value or '<value>'}"
    return f"{word}: there is no such flag; options are written <option>=<value>, and --help lists them"
