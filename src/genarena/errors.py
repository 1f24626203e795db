"""Errors a user can do something about. Each is one line of text, and an exit code of the process."""

import re

# Control characters, marks that change the direction of writing, ends of lines, and halves of surrogate pairs.
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: object, keep: str = "\n\t") -> str:
    """`text` with its control characters written out, e.g. as `\\x1b`; those in `keep` stay.

    Names of files, options and texts of other people's files go through it before they are shown: a terminal obeys
    control characters, and a lone surrogate cannot be encoded.
    """
    return UNPRINTABLE.sub(lambda found: _written_out(found[0], keep), str(text))


def _written_out(character: str, keep: str) -> str:
    code = ord(character)
    return character if character in keep else f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


class ArenaError(Exception):
    """Something went wrong that has a name; `exit_code` is what the process ends in."""

    exit_code = 1

    def __str__(self) -> str:
        return printable(super().__str__())


class UserError(ArenaError):
    """The command line, the configuration or a file that the user named is not right."""

    exit_code = 2


class DataError(UserError):
    """The data cannot be used; the text says which file or folder, and what to do."""


class DiskFull(UserError):
    """There is no room for a file; what was there before is as it was."""


class Diverged(ArenaError):
    """Training produced non-finite numbers and could not be rescued."""

    exit_code = 3


class Untrusted(ArenaError):
    """A file is damaged, or asks for something that genarena does not execute."""

    exit_code = 4


class FolderInUse(ArenaError):
    """Another process works in this run folder."""

    exit_code = 5


class RankDied(ArenaError):
    """One of the processes of a run was killed, hung, or ended without a word; the others were ended with it."""
