"""The folder is the list of kinds of evidence: each declares what it is made of, and each piece is made once."""

import dataclasses
import inspect
import sys
import types

import pytest

from genarena.data.base import ArenaDataModule
from genarena.evaluation.evidence import base
from genarena.evaluation.evidence.base import Kind, kind_of, kinds, piece, used
from genarena.evaluation.gathered import Evidence
from genarena.evaluation.subject import Subject
from genarena.files.progress import Bars
from genarena.metrics.base import Unavailable
from genarena.options.settings import Settings
from genarena.options.values import Count, Whole
from tests.small_world import EVIDENCE, SETTINGS, SPEC, Drawn, Halves, some_samples


@pytest.fixture
def data() -> ArenaDataModule:
    module = Halves(SPEC)
    module.setup()
    return module


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.__name__)
def test_a_kind_says_what_it_is_and_asks_for_what_exists(kind: type[Kind]) -> None:
    assert kind.__dict__.get("__doc__")
    assert kind.pieces()
    for name, parts in kind.pieces().items():
        assert kind_of()[name] is kind
        assert set(parts) <= set(Evidence.names())
        assert name not in made_of(name)
    if kind.Settings:
        assert dataclasses.is_dataclass(kind.Settings)
        assert inspect.getmodule(kind.Settings) is inspect.getmodule(kind)  # beside it
        documented = kind.Settings.__doc__
        assert all(f"{field.name}" in documented for field in dataclasses.fields(kind.Settings))
        kind.Settings()


def made_of(name: str) -> set[str]:
    """All pieces that a piece is made of, directly or not."""
    found, waiting = set(), list(kind_of()[name].pieces()[name])
    while waiting:
        part = waiting.pop()
        if part not in found:
            found.add(part)
            waiting += kind_of()[part].pieces()[part]
    return found


@pytest.mark.parametrize("part", [kind.Settings for kind in kinds() if kind.Settings], ids=lambda part: part.__name__)
def test_a_number_out_of_range_is_refused_by_name(part: type[Settings]) -> None:
    for field in dataclasses.fields(part):
        for wrong in (*(() if field.type is Whole else (0,)), -1, [], *(() if field.type is str else ("x",)), None):
            with pytest.raises(ValueError, match=rf"^(\w+\.)?{field.name}="):
                part(**{field.name: wrong})


@pytest.fixture
def brightness(monkeypatch: pytest.MonkeyPatch):
    """A kind of evidence in a file of its own, as a newcomer would add it."""

    @dataclasses.dataclass(frozen=True)
    class BrightnessSettings(Settings):
        times: Count = 2

    class Brightness(Kind):
        Settings = BrightnessSettings
        calls: list[str] = []

        @piece
        def brightness(self, real) -> float:
            self.calls.append("brightness")
            return self.settings.times * real.double().mean().item()

        @piece
        def impossible(self, brightness: float) -> float:
            self.calls.append("impossible")
            raise Unavailable("it is dark")

        def facts(self, piece: str) -> dict:
            return {"seen": piece}

    module = types.ModuleType(f"{base.__package__}.brightness")
    Brightness.__module__, module.Brightness = module.__name__, Brightness
    monkeypatch.setitem(sys.modules, module.__name__, module)
    real_glob = base.Path.glob
    monkeypatch.setattr(base.Path, "glob", lambda self, pattern: [*real_glob(self, pattern), self / "brightness.py"])
    for cached in (base.kinds, base.kind_of):
        cached.cache_clear()
    yield Brightness
    monkeypatch.undo()
    for cached in (base.kinds, base.kind_of):
        cached.cache_clear()


def test_a_new_file_is_a_new_kind(brightness: type[Kind], data: ArenaDataModule) -> None:
    assert brightness in base.kinds()
    assert [kind.__name__ for kind in used(["impossible"])] == ["Brightness", "Examples"]
    evidence = Evidence(Subject(Drawn(some_samples()).eval(), data, SETTINGS, Bars(shown=False)), EVIDENCE)
    value = evidence.get("brightness")
    assert value == evidence.get("brightness") == 2 * data.test.x.double().mean().item()
    for _ in range(3):
        with pytest.raises(Unavailable, match="it is dark"):
            evidence.get("impossible")
    assert brightness.calls == ["brightness", "impossible"]  # a failure is not tried again
    assert evidence.provenance(["brightness"]) == {"split": "test", "seen": "brightness"}
    assert evidence.made("drawn") == []


def test_a_piece_is_made_once_for_each_of_its_settings(brightness: type[Kind], data: ArenaDataModule) -> None:
    first = Evidence(Subject(Drawn(some_samples()).eval(), data, SETTINGS, Bars(shown=False)), EVIDENCE)
    values = [
        first.under(EVIDENCE | {brightness: brightness.Settings(times=times)}).get("brightness") for times in (2, 3, 2)
    ]
    assert values[0] == values[2] == pytest.approx(values[1] * 2 / 3)
    assert first.get("brightness") == values[0]  # 2 is the default
    assert brightness.calls == ["brightness", "brightness"]
    assert first.under(EVIDENCE | {brightness: brightness.Settings(times=9)}).get("real") is first.get(
        "real"
    )  # does not depend on it
