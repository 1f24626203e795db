"""Errors that a user can act on. Each has one line of text, and the exit code of the process."""

import re

# Control characters, marks of writing direction, line ends, and lone surrogates.
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: object, keep: str = "\n\t") -> str:
    """`text` with control characters escaped, e.g. as `\\x1b`; those in `keep` stay.

    File names, options and texts from foreign files are passed through it before they are shown: a terminal would execute
    control characters, and a lone surrogate cannot be encoded.
    """
    return UNPRINTABLE.sub(lambda found: _written_out(found[0], keep), str(text))


def counted(number: int, noun: str) -> str:
    """`1 dimension`, `2,048 dimensions`: a number of things whose plural ends in s."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def not_finite(broken: int, number: int, noun: str = "samples") -> str:
    """`1 of 20 samples is not finite`, `2 of 20 samples are not finite`."""
    return f"{broken:,} of {number:,} {noun} {'is' if broken == 1 else 'are'} not finite"


def _written_out(character: str, keep: str) -> str:
    code = ord(character)
    return character if character in keep else f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


class ArenaError(Exception):
    """The base of genarena's errors; `exit_code` is the exit code of the process."""

    exit_code = 1

    def __str__(self) -> str:
        return printable(super().__str__())


class UserError(ArenaError):
    """A mistake in the command line, the configuration or a file that the user named."""

    exit_code = 2


class DataError(UserError):
    """The data cannot be used. The text names the file or folder, and says what to do."""


class DiskFull(UserError):
    """The disk has no space for a file; earlier files have not changed."""


class Diverged(ArenaError):
    """Training produced non-finite numbers, and rollbacks did not help."""

    exit_code = 3


class Untrusted(ArenaError):
    """A file is damaged, or asks for something that genarena does not execute."""

    exit_code = 4


class FolderInUse(ArenaError):
    """Another process works in this run folder."""

    exit_code = 5


class RankDied(ArenaError):
    """A process of a run was killed, hung, or ended without a report; the others were ended too."""
