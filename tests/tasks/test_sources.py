"""Which source the numbers of floors depend on."""

from importlib.metadata import version

import pytest

from genarena.tasks import sources

TEXTS = {
    "genarena.tasks.one": "from genarena.tasks import two\nfrom genarena.nets.mlp import MLP\nimport torch",
    "genarena.tasks.two": "def far():\n    import genarena.statistics.three",
    "genarena.statistics.three": "from genarena.tasks.one import Loop",
    "genarena.tasks.other": "",
    "genarena.nets.mlp": "from genarena.tasks import other",
}


@pytest.fixture(autouse=True)
def own_source(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    texts = dict(TEXTS)
    monkeypatch.setattr(sources, "text_of", texts.get)
    sources.digest_of.cache_clear()
    return texts


def digest() -> str:
    sources.digest_of.cache_clear()
    return sources.digest_of("genarena.tasks.one")


def test_what_is_imported_through_others_counts_and_no_more() -> None:
    found = sources.reached("genarena.tasks.one")
    assert set(found) == {"genarena.tasks.one", "genarena.tasks.two", "genarena.statistics.three"}
    assert found["genarena.tasks.two"] == TEXTS["genarena.tasks.two"]


@pytest.mark.parametrize(
    ("module", "counts"),
    [
        ("genarena.tasks.one", True),
        ("genarena.statistics.three", True),
        ("genarena.tasks.other", False),
        ("genarena.nets.mlp", False),
    ],
)
def test_an_edit_counts_where_the_source_is_reached(own_source: dict[str, str], module: str, counts: bool) -> None:
    before = digest()
    assert before == digest()
    own_source[module] += "\nEDITED = 1"
    assert (digest() != before) == counts


def test_another_library_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    before = digest()
    monkeypatch.setattr(sources, "version", lambda name: "0" if name == "scipy" else version(name))
    assert digest() != before
    sources.digest_of.cache_clear()


def test_floors_do_not_depend_on_other_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    codes = set(sources.reached("genarena.tasks.disentanglement"))
    assert {"genarena.tasks.disentangling.floors", "genarena.statistics.disentanglement.information"} <= codes
    assert not {name for name in codes if name.startswith(("genarena.tasks.restoring", "genarena.tasks.posterior"))}
    images = set(sources.reached("genarena.tasks.restoration"))
    assert {"genarena.tasks.floors.lmmse", "genarena.tasks.linear.mask", "genarena.statistics.image_quality"} <= images
    assert "genarena.tasks.disentangling.floors" not in images
