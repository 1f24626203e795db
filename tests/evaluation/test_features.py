"""The classifier and its cache."""

import threading
import time

import pytest
import torch

from genarena.data.base import ArenaDataModule
from genarena.data.batches import Split
from genarena.data.digits import Digits
from genarena.errors import Untrusted
from genarena.evaluation import features, shipped
from genarena.evaluation.asked import load_metric
from genarena.evaluation.classifier import DomainClassifiers
from genarena.evaluation.classifier_skill import accuracy, lower_bound, probe
from genarena.evaluation.disturbing import blurred, disturbed, shifted
from genarena.evaluation.features import cached, cached_once, domain_classifiers
from genarena.files.cache import cache_folder
from genarena.files.progress import Bars
from genarena.likelihood import to_unit
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
    classifier = domain_classifiers(data, BARS)
    assert classifier.accuracy > 0.96
    assert classifier.facts["test_accuracy"] == pytest.approx(classifier.accuracy, abs=1e-5)
    assert classifier.features(data.test.x).shape == (360, 256)


def test_same_seed_same_weights_and_the_random_state_is_left_alone(stripes: Stripes, monkeypatch, tmp_path) -> None:
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    first = domain_classifiers(stripes, BARS)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(4)
    monkeypatch.setenv("GENARENA_CACHE", str(tmp_path / "another"))
    again = domain_classifiers(stripes, BARS)
    assert first.digest == again.digest
    assert first.accuracy == 1.0


def test_second_use_loads(stripes: Stripes, monkeypatch: pytest.MonkeyPatch) -> None:
    first = domain_classifiers(stripes, BARS)
    monkeypatch.setattr(features, "trained", lambda *_: pytest.fail("trained although it is in the cache"))
    second = domain_classifiers(stripes, BARS)
    assert (first.digest, first.accuracy) == (second.digest, second.accuracy)
    assert not any(parameter.requires_grad for parameter in second.parameters())


def test_another_recipe_is_another_file(stripes: Stripes, monkeypatch: pytest.MonkeyPatch) -> None:
    domain_classifiers(stripes, BARS)
    monkeypatch.setitem(features.RECIPE, "seed", 1)
    domain_classifiers(stripes, BARS)
    assert len(list(cache_folder().rglob("classifiers-*.pt"))) == 2


def test_a_damaged_cache_is_made_again(stripes: Stripes) -> None:
    first = domain_classifiers(stripes, BARS)
    (path,) = cache_folder().rglob("classifiers-*.pt")
    whole = path.read_bytes()
    middle = len(whole) // 2
    for damaged in (whole[:1000], whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]):
        path.write_bytes(damaged)
        with pytest.warns(UserWarning, match="made again"):
            assert domain_classifiers(stripes, BARS).digest == first.digest
        assert domain_classifiers(stripes, BARS).digest == first.digest
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
    classifier = DomainClassifiers(DataSpec(shape, levels, 3)).eval()
    x = torch.randint(levels, (12, *shape), dtype=torch.uint8)
    together = classifier.features(x)
    assert together.shape == (12, 256)
    alone = torch.cat([classifier.features(row[None]) for row in x])
    assert torch.allclose(together, alone, atol=1e-5)
    assert classifier.logits(together).shape == (4, 12, 3)
    assert classifier.classes(together).shape == (12,)


def labelled(data: Stripes, **splits: torch.Tensor) -> Stripes:
    """The same images with other labels, as another data set."""
    for name, y in splits.items():
        setattr(data, name, Split(getattr(data, name).x, y))
    data._checksum = data._hash()
    return data


def test_random_labels_are_refused_and_so_are_few_lucky_ones(stripes: Stripes) -> None:
    generator = torch.Generator().manual_seed(1)
    random = {name: torch.randint(2, (getattr(stripes, name).size,), generator=generator) for name in ("train", "val")}
    with pytest.raises(
        Unavailable, match=r"avoid -?\d+% of the mistakes of a guess on validation images, less than 20%"
    ):
        domain_classifiers(labelled(stripes, **random), BARS)
    assert lower_bound(1.0, 4) < 0.6 < lower_bound(1.0, 10) < lower_bound(0.99, 1000) < 0.99


def test_one_class_is_refused_before_training(stripes: Stripes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "trained", lambda *_: pytest.fail("trained although there is one class"))
    with pytest.raises(Unavailable, match="have one label"):
        domain_classifiers(labelled(stripes, train=torch.zeros(200, dtype=torch.long)), BARS)


def test_attributes_of_which_one_can_be_seen(stripes: Stripes) -> None:
    """Attribute 0 is the class, attribute 1 its opposite, attribute 2 is all but absent and therefore not measured."""
    for name in ("train", "val", "test"):
        y = getattr(stripes, name).y
        setattr(stripes, name, Split(getattr(stripes, name).x, torch.stack([y, 1 - y, 0 * y], dim=1)))
    stripes.spec = DataSpec((1, 8, 8), 256, None, 3)
    classifiers = domain_classifiers(stripes, BARS)
    assert classifiers.accuracy == 1.0
    with_it = int(stripes.val.y[:, 0].sum())  # Wilson's lower bound of n right answers to n questions is n / (n + 2^2)
    bounds = [count / (count + 4.0) for count in (with_it, 30 - with_it)]
    assert classifiers.skill == pytest.approx(sum(bounds) - 1.0)
    assert classifiers.logits(classifiers.features(stripes.test.x)).shape == (4, 70, 3)
    generator = torch.Generator().manual_seed(1)
    random = {
        name: torch.randint(2, (getattr(stripes, name).size, 3), generator=generator) for name in ("train", "val")
    }
    with pytest.raises(Unavailable, match="mistakes of a guess"):
        domain_classifiers(labelled(stripes, **random), BARS)


def test_the_members_differ_and_have_one_scale(stripes: Stripes) -> None:
    classifiers = domain_classifiers(stripes, BARS)
    blocks = classifiers.blocks(classifiers.features(stripes.train.x))
    assert [block.shape for block in blocks] == [(200, 64)] * 4
    for block in blocks:
        assert block.var(0).mean() == pytest.approx(1.0, rel=1e-3)
    assert not torch.allclose(blocks[0], blocks[1], atol=0.1)
    again = classifiers.logits(torch.cat(blocks, dim=1))
    unit = to_unit(stripes.train.x, 256)
    assert torch.allclose(again[2], classifiers.members[2](unit), atol=1e-4)


def test_disturbances_are_those_that_they_are_called() -> None:
    x = torch.linspace(-1.0, 1.0, 2 * 30).view(2, 1, 5, 6)
    moved = shifted(x, torch.tensor([1, 0]), torch.tensor([0, -2]))
    assert torch.equal(moved[0, :, 1:], x[0, :, :-1]) and torch.equal(moved[0, :, 0], x[0, :, 0])
    assert torch.equal(moved[1, :, :, :-2], x[1, :, :, 2:])
    assert torch.allclose(blurred(torch.full((1, 3, 4, 4), 0.3)), torch.full((1, 3, 4, 4), 0.3))
    point = torch.zeros(1, 1, 5, 5)
    point[0, 0, 2, 2] = 16.0
    assert blurred(point)[0, 0, 1:4, 1:4].tolist() == [[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]
    many = disturbed(torch.zeros(400, 1, 8, 8), torch.Generator().manual_seed(0))
    noisy = (many != 0).flatten(1).any(1).double().mean().item()
    assert abs(noisy - 0.5) < 0.1  # blur and shift leave a constant image as it is
    assert many.abs().max() <= 1.0


def test_noise_is_farther_than_a_blur(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without disturbances in training, images of independent pixels were nearer than the images under a 3x3 mean."""
    data = Digits(DataSpec((1, 8, 8), 17, 10))
    data.setup()
    monkeypatch.setitem(features.RECIPE, "examples", 15_000)
    classifiers = domain_classifiers(data, BARS)

    def distance(x: torch.Tensor) -> float:
        metric = load_metric("fd_domain")()
        metric.update(*map(classifiers.features, (data.test.x, x)), data.spec, len(classifiers.members))
        return metric.compute()

    x = data.train.x[:360]
    noise = torch.randint(17, x.shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    blur = torch.nn.functional.avg_pool2d(x.float(), 3, 1, 1, count_include_pad=False).round().to(torch.uint8)
    assert distance(x) < 0.5 * distance(blur) < 0.5 * distance(noise)


@pytest.mark.parametrize("spec", [DataSpec((1, 8, 8), 17), DataSpec((2,), None, 2)])
def test_no_labels_no_classifier(spec: DataSpec) -> None:
    data = Stripes(spec)
    data.train = Split(torch.zeros(2, *spec.shape))
    with pytest.raises(Unavailable, match="with labels or attributes"):
        domain_classifiers(data, BARS)


def test_two_processes_train_once(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    """Threads stand for processes: each has its own lock on the file."""
    monkeypatch.setenv("GENARENA_CACHE", str(tmp_path))
    built = []

    def build() -> dict[str, int]:
        built.append(threading.get_ident())
        started.set()
        time.sleep(0.2)  # while the other one arrives
        return {"fine": 1}

    started, found = threading.Event(), []
    threads = [
        threading.Thread(target=lambda: found.append(cached_once("a/x.pt", build, lambda kept: None))) for _ in "ab"
    ]
    threads[0].start()
    started.wait(10)
    threads[1].start()
    for thread in threads:
        thread.join(10)
    assert (found, len(built)) == ([{"fine": 1}] * 2, 1)


@pytest.mark.parametrize("data_id", shipped.SHIPPED)
def test_what_is_shipped_is_small_whole_and_of_this_recipe(
    data_id: str, monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    assert (shipped.FOLDER / f"{data_id}.safetensors").stat().st_size < 1_000_000
    stored = shipped.shipped(data_id)
    assert stored["skill"] > 0.8 and stored["accuracy"] > 0.85 and len(stored["probe"]) == 16
    again = tmp_path / f"{data_id}.safetensors"
    assert shipped.write(stored, again) == shipped.SHIPPED[data_id].sha256
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    again.write_bytes(again.read_bytes()[:-1])
    with pytest.raises(Untrusted, match="install it again"):
        shipped.shipped(data_id)


def test_digits_come_with_their_classifiers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the machine, the weights are the same; with another recipe they are trained."""
    monkeypatch.setattr(features, "trained", lambda *_: pytest.fail("trained although the weights are shipped"))
    data = Digits(DataSpec((1, 8, 8), 17, 10))
    data.setup()
    classifiers = domain_classifiers(data, BARS)
    assert classifiers.digest == "b6bda4e0"
    assert classifiers.accuracy == pytest.approx(accuracy(classifiers, data.test, data.train.y))
    assert probe(classifiers, data.val) == pytest.approx(classifiers.probe, rel=1e-3)
    with pytest.raises(BaseException, match="trained although"):
        monkeypatch.setitem(features.RECIPE, "seed", 1)
        domain_classifiers(data, BARS)
