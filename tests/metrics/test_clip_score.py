"""CLIPScore of a small CLIP with weights drawn at random, against open_clip fed by hand; and what is said without one."""

import json
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from genarena.errors import UserError
from genarena.evaluation.evaluate import evaluate
from genarena.evaluation.settings import EvaluationSettings
from genarena.evaluation.weights import FeatureSettings, sha256
from genarena.metrics.clip_score import CLIPScore
from tests.metrics.test_caption_retrieval import SPEC, TEXTS, WORDS, Plain, Reader, Shades, pictures

SMALL = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16},
    "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}
FEW = {"evidence.samples.num_samples": 12, "evidence.examples.num_test": 60}


@pytest.fixture(scope="module")
def data() -> Shades:
    made = Shades(SPEC, condition="caption")
    made.setup()
    return made


def scored(data: Shades, model: Reader, weights: Path | None, **options: str) -> dict:
    settings = EvaluationSettings(features=FeatureSettings(clip_score_weights=weights and str(weights)))
    given = FEW | {f"metric.clip_score.{name}": value for name, value in options.items()}
    return evaluate(model.eval(), data, ["clip_score"], settings, given, progress=False).metrics["clip_score"]


def test_the_scale_is_that_of_torchmetrics() -> None:
    metric = CLIPScore()
    metric.update(None, torch.tensor([0.2, 0.3, -0.1]), torch.tensor([[0.5, 0.3], [-0.5, 0.1]]))
    assert metric.compute() == pytest.approx(100 * 0.4 / 3)
    record = metric.record()
    assert (record["real"], record["shuffled"]) == (pytest.approx(40.0), 0.0)
    assert record["standard_error"] == pytest.approx(100 * torch.tensor([0.2, 0.3, -0.1]).std().item() / 3**0.5)
    assert record["scale"] == "max(100 cos, 0)"


def test_without_weights_package_or_captions_one_line_says_so(
    data: Shades, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    advice = "features.clip_score_weights=<file> or GENARENA_CLIP_SCORE"
    assert advice in scored(data, Reader(), None)["reason"]
    plain = Shades(Plain().spec)
    plain.setup()
    assert "data.condition=caption" in scored(plain, Plain(), None)["reason"]
    with pytest.raises(UserError, match="features.clip_score_weights=nowhere: there is no such file"):
        scored(data, Reader(), Path("nowhere"))
    (tmp_path / "file").touch()
    monkeypatch.setitem(sys.modules, "open_clip", None)
    assert "needs open_clip: pip install 'genarena[clip]'" in scored(data, Reader(), tmp_path / "file")["reason"]


@pytest.mark.slow
def test_it_is_open_clips_with_the_same_weights(data: Shades, tmp_path: Path) -> None:
    open_clip = pytest.importorskip("open_clip", reason="needs pip install '.[clip]'")
    (tmp_path / "ViT-tiny.json").write_text(json.dumps(SMALL))
    open_clip.add_model_config(tmp_path / "ViT-tiny.json")
    torch.manual_seed(0)
    network, _, prepare = open_clip.create_model_and_transforms("ViT-tiny")
    network.eval()
    path = tmp_path / "weights.pt"
    torch.save(network.state_dict(), path)
    record = scored(data, Reader(), path, architecture="ViT-tiny")
    tokenizer = open_clip.get_tokenizer("ViT-tiny")
    with torch.no_grad():
        levels = [row[0].expand(3, -1, -1).permute(1, 2, 0).contiguous().numpy() for row in pictures(torch.arange(6))]
        images = torch.stack([prepare(Image.fromarray(row)) for row in levels])
        of_images = F.normalize(network.encode_image(images), dim=1)
        cosines = of_images @ F.normalize(network.encode_text(tokenizer(TEXTS)), dim=1).T
    own, others = 100 * cosines.diagonal(), 100 * (cosines - torch.diag(cosines.diagonal()))
    assert record["value"] == pytest.approx(max(own.mean().item(), 0.0), abs=1e-3)
    assert record["real"] == pytest.approx(max(own.mean().item(), 0.0), abs=1e-3)
    assert max(others.min().item(), 0.0) <= record["shuffled"] <= others.max().item()
    assert record["backbone"] == {"name": "ViT-tiny", "weights": sha256(path)}
    assert record["settings"]["clip_score.architecture"] == "ViT-tiny"
    moved = scored(data, Reader(1), path, architecture="ViT-tiny")
    by_hand = [100 * cosines[(kind + 1) % 6, kind].item() for kind in range(6)]
    assert moved["value"] == pytest.approx(max(sum(by_hand) / 6, 0.0), abs=1e-3)
    for name, words in (("ViT-none", "has no such network"), ("ViT-B-16-SigLIP", "would download its tokenizer")):
        assert words in scored(data, Reader(), path, architecture=name)["reason"]
    assert "does not hold the weights" in scored(data, Reader(), path, architecture="ViT-S-32-alt")["reason"]
    assert WORDS.decode(data.test.captions[0, 0]) == TEXTS[0]
