"""Vision transformers of a small size with weights drawn at random, against timm fed by hand."""

import dataclasses
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps

from genarena.evaluation import backbones
from genarena.evaluation.backbones import (
    BACKBONES,
    Backbone,
    CLIPFeatures,
    DINOv2Features,
    EfficientNetFeatures,
    InceptionFeatures,
    resized,
    to_rgb,
)
from genarena.evaluation.efficientnet import EfficientNetLite0
from genarena.evaluation.weights import PUBLISHED, FeatureSettings, sha256
from genarena.files.progress import Bars
from genarena.metrics.base import Unavailable
from genarena.spec import DataSpec

BARS, CPU = Bars(shown=False), torch.device("cpu")
SPEC = DataSpec((1, 9, 7), 17)


def levels(n: int) -> torch.Tensor:
    return torch.randint(17, (n, 1, 9, 7), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def settings(network: str, path: Path) -> FeatureSettings:
    return FeatureSettings(**{f"{network}_weights": str(path)})


def normalised(x: torch.Tensor, mean: tuple, std: tuple) -> torch.Tensor:
    """Levels to what the network sees, through PIL and one image at a time."""
    images = [Image.fromarray(to_rgb(row[None], 17)[0].permute(1, 2, 0).contiguous().numpy()) for row in x]
    pixels = [torch.tensor(list(image.resize((224, 224), Image.BICUBIC).tobytes())) for image in images]
    stacked = torch.stack([row.view(224, 224, 3).permute(2, 0, 1) for row in pixels]) / 255
    return (stacked - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)


def test_rgb() -> None:
    grey = torch.tensor([0, 1, 16], dtype=torch.uint8).view(3, 1, 1, 1)
    assert to_rgb(grey, 17)[:, :, 0, 0].tolist() == [[0] * 3, [16] * 3, [255] * 3]
    assert torch.equal(to_rgb(grey, 256)[:, 2], grey[:, 0])


def test_resize_keeps_what_is_constant() -> None:
    assert resized(torch.full((2, 3, 5, 9), 77, dtype=torch.uint8)).unique().tolist() == [77]


@pytest.mark.parametrize("network", BACKBONES)
@pytest.mark.parametrize(
    ("spec", "words"), [(DataSpec((2, 4, 4), 256), "2 channels"), (DataSpec((2,)), "takes images of integer levels")]
)
def test_not_for_other_data(network: str, spec: DataSpec, words: str) -> None:
    with pytest.raises(Unavailable, match=words):
        BACKBONES[network](FeatureSettings(), spec, CPU)


@pytest.mark.parametrize("network", BACKBONES)
def test_a_file_of_something_else(network: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DINOv2Features, "architecture", "vit_small_patch14_dinov2")
    monkeypatch.setattr(CLIPFeatures, "architecture", "vit_xsmall_patch16_clip_224")
    path = tmp_path / "other.pth"
    for content in (b"other", None):
        path.write_bytes(content) if content else torch.save({"bias": torch.zeros(1)}, path)
        with pytest.raises(Unavailable, match="other.pth does not hold the weights of") as refused:
            BACKBONES[network](settings(network, path), SPEC, CPU)
        assert "\n" not in str(refused.value)


def test_a_pickle_is_not_executed(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple:
            return (open, (str(tmp_path / "executed"), "w"))

    torch.save(Evil(), tmp_path / "evil.pth")
    for network in ("inception", "dinov2", "efficientnet"):
        with pytest.raises(Unavailable, match="does not hold"):
            BACKBONES[network](settings(network, tmp_path / "evil.pth"), SPEC, CPU)
    assert not (tmp_path / "executed").exists()


def test_timm_is_optional(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable, match="CLIP ViT-L/14 .* needs timm: pip install 'genarena\\[vit\\]'"):
        CLIPFeatures(settings("clip", tmp_path / "file"), SPEC, CPU)


def test_dinov2_from_the_authors_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their file has position embeddings of 37x37 patches and a mask token; ours must fit 16x16 and keep the rest."""
    timm = pytest.importorskip("timm")
    monkeypatch.setattr(DINOv2Features, "architecture", "vit_small_patch14_dinov2")
    monkeypatch.setattr(backbones, "ROWS", 2)
    torch.manual_seed(0)
    large = timm.create_model("vit_small_patch14_dinov2", num_classes=0)  # 518x518
    theirs = {name: torch.randn_like(value) * 0.05 for name, value in large.state_dict().items()}
    torch.save(theirs | {"mask_token": torch.zeros(1, 384)}, tmp_path / "dinov2.pth")
    ours = DINOv2Features(settings("dinov2", tmp_path / "dinov2.pth"), SPEC, CPU)
    x = levels(3)
    values = ours.features(x, BARS)
    assert values.shape == (3, 384)

    grid = theirs["pos_embed"][:, 1:].reshape(1, 37, 37, 384).permute(0, 3, 1, 2)
    # position i of 16 looks at (i + 1/2) * 37 / 16.1 - 1/2 of 37, bicubic: sampled here point by point
    at = (torch.arange(16) + 0.5) * 37 / 16.1
    points = torch.stack(torch.meshgrid(at, at, indexing="ij")[::-1], -1)[None] * 2 / 37 - 1
    small = F.grid_sample(grid, points, mode="bicubic", padding_mode="border", align_corners=False)
    expected = torch.cat([theirs["pos_embed"][:, :1], small.flatten(2).transpose(1, 2)], 1)
    assert torch.allclose(ours.network.pos_embed, expected, atol=2e-6)

    reference = timm.create_model("vit_small_patch14_dinov2", num_classes=0, img_size=224)
    reference.load_state_dict(theirs | {"pos_embed": expected})
    seen = normalised(x, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    token = reference.eval().forward_features(seen)[:, 0]
    assert torch.allclose(values, token, rtol=1e-4, atol=1e-5)
    assert values.std(0).min() > 0  # images differ


def test_clip_from_safetensors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    timm = pytest.importorskip("timm")
    from safetensors.torch import save_file

    monkeypatch.setattr(CLIPFeatures, "architecture", "vit_xsmall_patch16_clip_224")
    torch.manual_seed(0)
    reference = timm.create_model("vit_xsmall_patch16_clip_224", num_classes=0).eval()
    path = tmp_path / "model.safetensors"
    save_file(reference.state_dict(), path)
    ours = CLIPFeatures(settings("clip", path), SPEC, CPU)
    x = levels(3)
    seen = normalised(x, (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
    expected = reference.forward_features(seen)[:, 0]
    together = ours.features(x, BARS)
    assert torch.allclose(together, expected, rtol=1e-4, atol=1e-5)
    assert torch.allclose(ours.features(x.flip(0), BARS).flip(0), together, rtol=1e-4, atol=1e-5)
    facts = ours.facts
    assert (facts["weights"], facts["published"]) == (sha256(path), False)
    assert facts["resizer"] == "PIL bicubic to 224x224"


def test_the_published_file_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(InceptionFeatures, "load", lambda self, path: torch.nn.Identity())
    (tmp_path / "file").write_text("content")
    facts = [InceptionFeatures(settings("inception", tmp_path / "file"), SPEC, CPU).facts]
    published = dataclasses.replace(PUBLISHED["inception"], sha256=sha256(tmp_path / "file"))
    monkeypatch.setitem(PUBLISHED, "inception", published)
    facts.append(InceptionFeatures(settings("inception", tmp_path / "file"), SPEC, CPU).facts)
    assert [record["published"] for record in facts] == [False, True]
    assert issubclass(InceptionFeatures, Backbone)


# -- EfficientNet-Lite0 ----------------------------------------------------------------------------------------------------


def photographs() -> torch.Tensor:
    """A Chinese palace and a dahlia, which come with scikit-learn: (2, 3, 224, 224) uint8, the centre resized."""
    folder = Path(find_spec("sklearn").origin).parent / "datasets" / "images"
    images = [Image.open(folder / name) for name in ("china.jpg", "flower.jpg")]
    squares = [ImageOps.fit(image, (224, 224), Image.BICUBIC) for image in images]
    return torch.stack([torch.tensor(list(image.tobytes())).view(224, 224, 3).permute(2, 0, 1) for image in squares])


def test_efficientnet_is_timms_with_the_same_weights(tmp_path: Path) -> None:
    torch.manual_seed(0)
    timm = pytest.importorskip("timm")
    theirs = timm.create_model("tf_efficientnet_lite0").eval()
    for norm in theirs.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            norm.running_mean.normal_(0.0, 0.1)
            norm.running_var.uniform_(0.5, 1.5)
    ours = EfficientNetLite0()
    torch.save(dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True)), tmp_path / "lite0.pth")
    backbone = EfficientNetFeatures(settings("efficientnet", tmp_path / "lite0.pth"), SPEC, CPU)
    x = levels(3)
    seen = 255.0 / 128.0 * normalised(x, (127.0 / 255.0,) * 3, (1.0,) * 3)
    expected = theirs.forward_head(theirs.forward_features(seen), pre_logits=True)
    features = backbone.features(x, BARS)
    assert features.shape == (3, 1280)
    assert torch.allclose(features, expected, rtol=1e-4, atol=1e-5 * expected.abs().max().item())
    assert torch.allclose(backbone.network(seen)[1], theirs(seen), rtol=1e-4, atol=1e-5)


def test_the_published_efficientnet_knows_a_palace_and_a_flower() -> None:
    if find_spec(PUBLISHED["efficientnet"].package) is None:
        pytest.skip("needs pip install '.[efficientnet]'")
    backbone = EfficientNetFeatures(FeatureSettings(), DataSpec((3, 224, 224), 256), CPU)
    assert backbone.facts["published"]
    _, logits = backbone.forward(photographs().to(torch.uint8))
    assert logits.argmax(1).tolist() == [698, 985]  # of ImageNet: palace, daisy
