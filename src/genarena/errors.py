"""Errors a user can do something about. Each is one line of text, and an exit code of the process."""


class ArenaError(Exception):
    """Something went wrong that has a name; `exit_code` is what the process ends in."""

    exit_code = 1


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
