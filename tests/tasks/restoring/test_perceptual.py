"""LPIPS by file, with weights that were made up, against its definition."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import alexnet

from genarena.spec import DataSpec
from genarena.tasks.restore import Restore
from genarena.tasks.restoring.perceptual import AT_ONCE, Perceptual, lpips
from genarena.tasks.task_run import rules

LAYERS = (2, 5, 8, 10, 12)  # of torchvision's features: after each ReLU
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet in [0, 1]
COLOUR = DataSpec((3, 32, 32), 256)


@pytest.fixture(scope="module")
def trunk() -> nn.Module:
    with torch.device("meta"):  # without the large layers of its classifier
        trunk = alexnet(weights=None).features
    generator = torch.Generator().manual_seed(0)
    made = {name: 0.1 * torch.randn(each.shape, generator=generator) for name, each in trunk.state_dict().items()}
    trunk.load_state_dict(made, assign=True)
    return trunk.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def weights(trunk: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("lpips") / "alexnet.pth"
    torch.save({f"features.{name}": each for name, each in trunk.state_dict().items()}, path)
    return str(path)


def images(num: int, seed: int, channels: int = 3) -> Tensor:
    return torch.rand(num, channels, 40, 36, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_it_is_the_weighted_distance_of_normalised_features(trunk: nn.Module, weights: str) -> None:
    x, y, network = images(3, 0), images(3, 1), Perceptual({"alex": weights}).network("alex")

    def features(x: Tensor) -> list[Tensor]:
        mean, std = (torch.tensor(each).view(1, 3, 1, 1) for each in (MEAN, STD))
        h, found = (x.float() - mean) / std, []
        for number, layer in enumerate(trunk[: LAYERS[-1]]):
            h = layer(h)
            if number + 1 in LAYERS:
                found.append(h / h.norm(dim=1, keepdim=True))
        return found

    heads = [head.model[-1].weight.flatten() for head in network.lins]
    parts = zip(features(x), features(y), heads, strict=True)
    wanted = sum(torch.einsum("nchw,c->nhw", (f - g).square(), w).mean((1, 2)) for f, g, w in parts)
    assert min(head.min() for head in heads) >= 0 and max(head.max() for head in heads) > 0.1  # those of the authors
    assert torch.allclose(lpips(network, x, y), wanted.double(), rtol=1e-4) and wanted.min() > 0.01
    assert lpips(network, x, x).tolist() == [0.0] * 3
    assert torch.allclose(lpips(network, y, x), wanted.double(), rtol=1e-4)


def test_an_image_is_scored_alone_and_grey_is_repeated(weights: str) -> None:
    found, truth = Perceptual({"alex": weights}), images(AT_ONCE + 2, 2, 1)
    x = truth + 0.4 * (images(AT_ONCE + 2, 3, 1) - 0.5)  # outside [0, 1] at some places
    score = found.scores(x, truth)["lpips_alex"]
    assert score.by_image.shape == (AT_ONCE + 2,) and len(score.facts["weights"]) == 64
    alone = found.scores(x[-1:], truth[-1:])["lpips_alex"].by_image
    assert alone.item() == pytest.approx(score.by_image[-1].item(), rel=1e-4)
    clamped = found.scores(x.clamp(0, 1).expand(-1, 3, -1, -1), truth.expand(-1, 3, -1, -1))["lpips_alex"].by_image
    assert torch.allclose(clamped, score.by_image, rtol=1e-4)


def test_it_is_off_unless_a_file_is_named_and_other_weights_are_another_table(weights: str, tmp_path: Path) -> None:
    plain, task = rules(Restore(), "sr2", COLOUR), Restore(lpips_alex=weights)
    task.check(COLOUR)
    assert "lpips" not in plain["settings"] and rules(task, "sr2", COLOUR)["id"] != plain["id"]
    other = tmp_path / "other.pth"
    other.write_bytes(Path(weights).read_bytes())
    assert rules(Restore(lpips_alex=str(other)), "sr2", COLOUR) == rules(task, "sr2", COLOUR)


def test_what_cannot_be_is_refused_with_the_option(weights: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"lpips_vgg=.*none.pth: there is no such file"):
        Restore(lpips_vgg=str(tmp_path / "none.pth"))
    with pytest.raises(ValueError, match=r"lpips_alex: needs grey or RGB images of at least 32 x 32 pixels"):
        Restore(lpips_alex=weights).check(DataSpec((1, 28, 28), 256))
    text, empty = tmp_path / "text.pth", tmp_path / "empty.pth"
    text.write_text("no weights")
    torch.save({"layer.weight": torch.zeros(2)}, empty)
    for path, said in ((text, "alex: "), (empty, "alex: no features.0.weight")):
        with pytest.raises(ValueError, match=f"lpips_alex=.*does not hold the weights of torchvision's {said}"):
            Restore(lpips_alex=str(path)).check(COLOUR)
