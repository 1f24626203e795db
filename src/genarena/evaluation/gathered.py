"""Evidence about one subject. Each piece is made once, at its first use, and shared."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from genarena.evaluation.evidence.base import Kind, kind_of, kinds, used
from genarena.evaluation.subject import Subject
from genarena.options.settings import Settings


class Outcome(NamedTuple):
    """A piece, or the error in its making; `read`: the options of evidence, `<kind>.<option>`, that were read for it."""

    value: Any
    error: Exception | None
    read: frozenset[str] = frozenset()


Outcomes = dict[tuple, Outcome]


class Watched:
    """Settings of a kind of evidence; `note` is told of each option that is read."""

    def __init__(self, settings: Settings, note: Callable[[str], None]) -> None:
        self._settings, self._note = settings, note

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._settings, name)
        self._note(name)
        return value


class Withheld(Exception):
    """A piece that is not to be made."""


class Evidence:
    """`evidence.get(name)` gives the piece of this name (`genarena.evaluation.evidence`), and makes it if necessary."""

    def __init__(
        self, subject: Subject, settings: Mapping[type[Kind], Settings] | None = None, outcomes: Outcomes | None = None
    ) -> None:
        """settings: of each kind that has some; a kind that is not named has its defaults. outcomes: pieces made before."""
        self.subject = subject
        self._settings = {kind: kind.Settings() for kind in kinds() if kind.Settings} | dict(settings or {})
        self._kinds: dict[type[Kind], Kind] = {kind: kind(subject, self._watched(kind), self.get) for kind in kinds()}
        self._outcomes: Outcomes = {} if outcomes is None else outcomes
        self._reading: list[set[str]] = []  # options read so far for the pieces that are being made, the innermost last

    def _watched(self, kind: type[Kind]) -> Watched | None:
        def note(option: str) -> None:
            for read in self._reading[-1:]:
                read.add(f"{kind.file()}.{option}")

        return Watched(self._settings[kind], note) if kind.Settings else None

    def under(self, settings: Mapping[type[Kind], Settings]) -> "Evidence":
        """The same evidence under other settings. It shares every piece that does not depend on what differs."""
        return Evidence(self.subject, settings, self._outcomes)

    @staticmethod
    def names() -> list[str]:
        """Names of all pieces, which the parameters of a metric's `update` or of a piece may have."""
        return list(kind_of())

    def get(self, name: str) -> Any:
        """The piece. If making it failed, the same error is raised each time, without another try."""
        key = self._key(name)
        if key not in self._outcomes:
            self._outcomes[key] = self._outcome(name)
        value, error, read = self._outcomes[key]
        for outer in self._reading[-1:]:
            outer |= read
        if error is not None:
            raise error
        return value

    def _outcome(self, name: str) -> Outcome:
        self._reading.append(set())
        try:
            value, error = self._make(name), None
        except Exception as found:  # any error would happen again
            value, error = None, found
        return Outcome(value, error, frozenset(self._reading.pop()))

    def make_without(self, withheld: str, names: Sequence[str]) -> None:
        """Make these pieces and those that they need, as far as it goes without the piece `withheld`, which nobody gets from
        now on. Raises what making them raises."""
        self._outcomes[self._key(withheld)] = Outcome(None, Withheld(withheld))
        waiting = list(names)
        while waiting:
            name = waiting.pop(0)
            try:
                self.get(name)
            except Withheld:
                waiting += kind_of()[name].pieces()[name]

    def _key(self, name: str) -> tuple:
        """The name of a piece, with all settings that it depends on."""
        return name, *(self._settings[kind] for kind in used([name]) if kind.Settings)

    def _make(self, name: str) -> Any:
        kind = kind_of()[name]
        parts = {part: self.get(part) for part in kind.pieces()[name]}
        return getattr(self._kinds[kind], name)(**parts)

    def made(self, name: str) -> list[Any]:
        """The piece under each of the settings that it has been made with."""
        return [made.value for (own, *_), made in self._outcomes.items() if own == name and made.error is None]

    def read_for(self, names: Sequence[str]) -> set[str]:
        """The options, `<kind>.<option>`, that were read to make these pieces and those that they need."""
        return set().union(*(self._outcomes[self._key(name)].read for name in names))

    def provenance(self, names: Sequence[str]) -> dict[str, Any]:
        """The facts for the record of a metric that used these pieces: theirs, and those of the pieces that they need."""
        facts: dict[str, Any] = {}
        for name in names:
            kind = kind_of()[name]
            facts |= self.provenance(kind.pieces()[name]) | self._kinds[kind].facts(name)
        return facts
