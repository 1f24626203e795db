"""The classifier and its cache."""

import pytest
import torch

from genarena.data.base import ArenaDataModule
from genarena.data.batches import Split
from genarena.data.digits import Digits
from genarena.evaluation import features
from genarena.evaluation.features import cached, domain_classifier
from genarena.files.cache import cache_folder
from genarena.files.progress import Bars
from genarena.metrics.base import Unavailable
from genarena.spec import DataSpec

BARS = Bars(shown=False)


class Stripes(ArenaDataModule):
    """Two classes that a linear filter tells apart: bright upper or bright lower half."""

    name = "stripes"

    def load(self) -> tuple[Split, Split, Split]:
        generator = torch.Generator().manual_seed(0)
        y = torch.randint(2, (300,), generator=generator)
        x = torch.randint(0, 100, (300, *self.spec.shape), generator=generator, dtype=torch.uint8)
        x[y == 1, :, : self.spec.shape[1] // 2] += 100
        return tuple(Split(x[part], y[part]) for part in (slice(0, 200), slice(200, 230), slice(230, 300)))


@pytest.fixture
def stripes(monkeypatch: pytest.MonkeyPatch, tmp_path) -> Stripes:
    monkeypatch.setenv("GENARENA_CACHE", str(tmp_path))
    monkeypatch.setitem(features.RECIPE, "examples", 2000)
    data = Stripes(DataSpec((1, 8, 8), 256, 2))
    data.setup()
    return data


def test_digits_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    data = Digits(DataSpec((1, 8, 8), 17, 10))
    data.setup()
    monkeypatch.setitem(features.RECIPE, "examples", 15_000)
    classifier = domain_classifier(data, BARS)
    assert classifier.accuracy > 0.96
    assert classifier.facts["test_accuracy"] == pytest.approx(classifier.accuracy, abs=1e-5)
    assert classifier.features(data.test.x).shape == (360, 64)


def test_same_seed_same_weights_and_the_random_state_is_left_alone(stripes: Stripes, monkeypatch, tmp_path) -> None:
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    first = domain_classifier(stripes, BARS)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(4)
    monkeypatch.setenv("GENARENA_CACHE", str(tmp_path / "another"))
    again = domain_classifier(stripes, BARS)
    assert first.digest == again.digest
    assert first.accuracy == 1.0


def test_second_use_loads(stripes: Stripes, monkeypatch: pytest.MonkeyPatch) -> None:
    first = domain_classifier(stripes, BARS)
    monkeypatch.setattr(features, "_train", lambda *_: pytest.fail("trained although it is in the cache"))
    second = domain_classifier(stripes, BARS)
    assert (first.digest, first.accuracy) == (second.digest, second.accuracy)
    assert not any(parameter.requires_grad for parameter in second.parameters())


def test_another_recipe_is_another_file(stripes: Stripes, monkeypatch: pytest.MonkeyPatch) -> None:
    domain_classifier(stripes, BARS)
    monkeypatch.setitem(features.RECIPE, "seed", 1)
    domain_classifier(stripes, BARS)
    assert len(list(cache_folder().rglob("classifier-*.pt"))) == 2


def test_a_damaged_cache_is_made_again(stripes: Stripes) -> None:
    first = domain_classifier(stripes, BARS)
    (path,) = cache_folder().rglob("classifier-*.pt")
    whole = path.read_bytes()
    middle = len(whole) // 2
    for damaged in (whole[:1000], whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]):
        path.write_bytes(damaged)
        with pytest.warns(UserWarning, match="made again"):
            assert domain_classifier(stripes, BARS).digest == first.digest
        assert domain_classifier(stripes, BARS).digest == first.digest
    files = sorted(file.name for file in cache_folder().rglob("*") if file.is_file())
    assert files == [path.name, f"{path.name}.sha256"]


def test_a_pickle_in_the_cache_is_not_executed(stripes: Stripes, tmp_path) -> None:
    class Evil:
        def __reduce__(self) -> tuple:
            return (open, (str(tmp_path / "executed"), "w"))

    torch.save(Evil(), tmp_path / "evil.pt")
    with pytest.warns(UserWarning, match="made again"):
        assert cached("evil.pt", lambda: {"fine": 1}) == {"fine": 1}
    assert not (tmp_path / "executed").exists()


def test_a_cache_that_cannot_be_written_costs_time_only(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GENARENA_CACHE", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="GENARENA_CACHE"):
        assert cached("x.pt", lambda: 7) == 7


@pytest.mark.parametrize(
    "shape, levels",
    [((1, 28, 28), 2), ((3, 32, 32), 256), ((3, 64, 64), 256), ((2, 5, 9), 4), ((1, 1, 3), 2), ((1, 130, 20), 256)],
)
def test_features_do_not_depend_on_neighbours_in_the_batch(shape: tuple, levels: int) -> None:
    torch.manual_seed(0)
    classifier = features.DomainClassifier(DataSpec(shape, levels, 3)).eval()
    x = torch.randint(levels, (12, *shape), dtype=torch.uint8)
    together = classifier.features(x)
    assert together.shape == (12, 64)
    alone = torch.cat([classifier.features(row[None]) for row in x])
    assert torch.allclose(together, alone, atol=1e-5)
    assert classifier.logits(together).shape == (12, 3)


@pytest.mark.parametrize("spec", [DataSpec((1, 8, 8), 17), DataSpec((2,), None, 2)])
def test_no_labels_no_classifier(spec: DataSpec) -> None:
    data = Stripes(spec)
    data.train = Split(torch.zeros(2, *spec.shape))
    with pytest.raises(Unavailable, match="needs labels"):
        domain_classifier(data, BARS)
