"""Evidence about one subject. Each piece is made once, at its first use, and shared."""

from collections.abc import Sequence
from typing import Any

from genarena.evaluation.evidence.base import Kind, kind_of, kinds
from genarena.evaluation.subject import Subject


class Evidence:
    """`evidence.get(name)` gives the piece of this name (`genarena.evaluation.evidence`), and makes it if necessary."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self._kinds: dict[type[Kind], Kind] = {kind: kind(subject, self.get) for kind in kinds()}
        self._outcomes: dict[str, tuple[Any, Exception | None]] = {}

    @staticmethod
    def names() -> list[str]:
        """Names of all pieces, which the parameters of a metric's `update` or of a piece may have."""
        return list(kind_of())

    def get(self, name: str) -> Any:
        """The piece. If making it failed, the same error is raised each time, without another try."""
        if name not in self._outcomes:
            try:
                self._outcomes[name] = self._make(name), None
            except Exception as error:  # any error would happen again
                self._outcomes[name] = None, error
        value, error = self._outcomes[name]
        if error is not None:
            raise error
        return value

    def _make(self, name: str) -> Any:
        kind = kind_of()[name]
        parts = {part: self.get(part) for part in kind.pieces()[name]}
        return getattr(self._kinds[kind], name)(**parts)

    def found(self, name: str) -> Any:
        """The piece if it has been made, else None."""
        return self._outcomes.get(name, (None, None))[0]

    def provenance(self, names: Sequence[str]) -> dict[str, Any]:
        """The facts for the record of a metric that used these pieces: theirs, and those of the pieces that they need."""
        facts: dict[str, Any] = {}
        for name in names:
            kind = kind_of()[name]
            facts |= self.provenance(kind.pieces()[name]) | self._kinds[kind].facts(name)
        return facts
