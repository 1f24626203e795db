"""Distances and classes in the features of the domain classifiers, on digits."""

import pytest
import torch
from hydra.utils import instantiate

from genarena.config import compose
from genarena.data.base import ArenaDataModule
from genarena.tasks.restoring.images import Images
from genarena.tasks.restoring.realism import Realism


@pytest.fixture(scope="module")
def digits() -> ArenaDataModule:
    data = instantiate(compose(["model=gaussian", "data=digits"]).data)
    data.setup()
    return data


def test_originals_stand_beside_what_restorations_get(digits: ArenaDataModule) -> None:
    test = Images.of(digits.test, 100, digits.spec)
    realism = Realism.of(digits, test)
    found = realism.scores(test.x)
    assert found["fd_domain"].value == found["fd_domain"].facts["real"] > 0
    assert found["agreement"].by_image.mean() > 0.95
    noise = torch.randn(test.x.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    noisy = realism.scores(test.x + 0.5 * noise)
    assert noisy["fd_domain"].value > 2 * found["fd_domain"].value
    assert noisy["agreement"].by_image.mean() < found["agreement"].by_image.mean()
    flat = realism.scores(torch.full_like(test.x, 0.5))
    assert flat["agreement"].by_image.mean() < 0.25


def test_both_sets_have_the_same_number_of_images(digits: ArenaDataModule) -> None:
    for num, equal in ((100, 100), (300, 60)):  # of 360
        realism = Realism.of(digits, Images.of(digits.test, num, digits.spec))
        assert len(realism.others) == equal
    most = Images.of(digits.test, 350, digits.spec)
    found = Realism.of(digits, most).scores(most.x)
    assert found["fd_domain"].reason.startswith("needs 20 test images") and len(found["agreement"].by_image) == 350


def test_the_others_are_other_images(digits: ArenaDataModule) -> None:
    whole = Images.of(digits.test, 360, digits.spec)
    realism = Realism.of(digits, Images.of(digits.test, 100, digits.spec))
    assert torch.equal(realism.others, realism.features(whole.x[100:200]))


def test_data_without_labels_says_why(digits: ArenaDataModule, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digits, "train", type(digits.train)(digits.train.x))
    test = Images.of(digits.test, 30, digits.spec)
    found = Realism.of(digits, test).scores(test.x)
    assert list(found) == ["fd_domain"] and "need images of integer levels with labels" in found["fd_domain"].reason
