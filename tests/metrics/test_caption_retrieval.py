"""Caption retrieval: who finds whose caption, with encoders trained on pairs where colour and word agree."""

from pathlib import Path

import pytest
import torch

from genarena.data.base import ArenaDataModule
from genarena.data.batches import Split
from genarena.data.captions.vocabulary import Vocabulary
from genarena.evaluation.caption_encoder import RECIPE, CaptionEncoder
from genarena.evaluation.caption_encoder_training import caption_encoder
from genarena.evaluation.evaluate import evaluate
from genarena.evaluation.evidence.captions import among
from genarena.evaluation.settings import EvaluationSettings
from genarena.files.progress import Bars
from genarena.likelihood import Likelihood, to_unit
from genarena.metrics.caption_retrieval import CaptionRetrieval
from genarena.models.base import GenerativeModel
from genarena.spec import DataSpec

WORDS = Vocabulary.of(["dark", "grey", "light", "top", "bottom", "and"], 3)
TEXTS = [f"{shade} {place}" for shade in ("dark", "grey", "light") for place in ("top", "bottom")]
EPOCHS = 20  # of the encoders: enough for six captions
SPEC = DataSpec((1, 8, 8), 256, condition=WORDS.condition())


def pictures(kinds: torch.Tensor) -> torch.Tensor:
    """Half of the picture is of one of three shades."""
    x = torch.full((len(kinds), 1, 8, 8), 128, dtype=torch.uint8)
    for row, kind in enumerate(kinds.tolist()):
        half = slice(0, 4) if kind % 2 == 0 else slice(4, 8)
        x[row, 0, half] = (0, 80, 255)[kind // 2]
    return x


class Shades(ArenaDataModule):
    name = "shades-of-halves"

    def vocabulary(self) -> Vocabulary:
        return WORDS

    def load(self) -> tuple[Split, Split, Split]:
        parts = []
        for num in (120, 60, 60):
            kinds = torch.arange(num) % 6
            parts.append(Split(pictures(kinds), None, WORDS.table([[TEXTS[kind]] for kind in kinds.tolist()])))
        return tuple(parts)


class Reader(GenerativeModel):
    """Draws what is asked for; `shift`: what the next caption asks for."""

    family, likelihood, paper, conditional = "baseline", Likelihood.NONE, "", True

    def __init__(self, shift: int = 0) -> None:
        super().__init__(SPEC)
        self.shift = shift

    def loss(self, batch):
        raise AssertionError

    def sample(self, num_samples: int, y: torch.Tensor | None = None) -> torch.Tensor:
        kinds = [TEXTS.index(WORDS.decode(row)) for row in y.cpu()]
        return pictures((torch.tensor(kinds) + self.shift) % 6)


class Plain(Reader):
    """Reads nothing."""

    conditional = False

    def __init__(self) -> None:
        GenerativeModel.__init__(self, DataSpec((1, 8, 8), 256))

    def sample(self, num_samples: int, y: torch.Tensor | None = None) -> torch.Tensor:
        return pictures(torch.arange(num_samples) % 6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def one_cache(folder: Path, private_folders: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """All tests use the encoders that were trained for the first."""
    monkeypatch.setenv("GENARENA_CACHE", str(folder))
    monkeypatch.setitem(RECIPE, "max_epochs", EPOCHS)


@pytest.fixture(scope="module")
def data() -> Shades:
    made = Shades(SPEC, condition="caption")
    made.setup()
    return made


@pytest.fixture(scope="module")
def encoder(data: Shades, folder: Path) -> CaptionEncoder:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENARENA_CACHE", str(folder))
        patch.setitem(RECIPE, "max_epochs", EPOCHS)
        return caption_encoder(data, Bars(False))


def retrieved(data: Shades, shift: int) -> dict:
    few = {"evidence.samples.num_samples": 120}
    found = evaluate(Reader(shift).eval(), data, ["caption_retrieval"], EvaluationSettings(), few, progress=False)
    return found.metrics["caption_retrieval"]


def test_samples_of_their_captions_are_found_and_those_of_others_never(data: Shades, encoder: CaptionEncoder) -> None:
    own, others = retrieved(data, 0), retrieved(data, 1)
    assert own["value"] == own["real"] == 1.0 and others["value"] == 0.0 and others["real"] == 1.0
    assert own["num_captions"] == 6 and own["chance"] == pytest.approx(1 / 6)
    assert own["encoder"]["name"].startswith("caption-encoder-")


def test_the_encoder_is_kept_and_padding_changes_nothing(data: Shades, encoder: CaptionEncoder) -> None:
    again = caption_encoder(data, Bars(False))
    assert again.digest == encoder.digest
    tokens = data.test.captions[:6, 0]
    longer = torch.cat([tokens, torch.zeros(6, 4, dtype=torch.int64)], 1)
    assert torch.equal(encoder.of_captions(tokens), encoder.of_captions(longer))
    together, alone = encoder.of_captions(tokens), torch.cat([encoder.of_captions(row[None]) for row in tokens])
    assert torch.allclose(together, alone, atol=1e-6)


def test_captions_beside_the_own_one_differ_from_it_and_from_each_other() -> None:
    others = torch.arange(12).view(6, 2)
    own = others[torch.tensor([0, 3, 3])]
    for num in (4, 6, 100):
        found = among(own, others, num)
        assert found.shape == (3, min(num, 6), 2) and torch.equal(found[:, 0], own)
        assert all(len(rows.unique(dim=0)) == len(rows) for rows in found)
    assert torch.equal(among(own, others, 4), among(own, others, 4)[:, torch.arange(4)])
    assert torch.equal(among(own[:2], others, 4), among(own, others, 4)[:2])


def test_the_share_and_its_error_by_hand() -> None:
    metric = CaptionRetrieval()
    metric.update(torch.arange(50) < 40, torch.arange(10) < 9, 100)
    assert metric.compute() == 0.8
    record = metric.record()
    assert record["standard_error"] == pytest.approx((0.8 * 0.2 / 50) ** 0.5)
    assert record["real"] == pytest.approx(0.9) and record["chance"] == 0.01


def test_data_without_captions_has_no_encoder(tmp_path: Path) -> None:
    from genarena.metrics.base import Unavailable

    class Silent(Shades):
        def load(self) -> tuple[Split, Split, Split]:
            return tuple(Split(split.x) for split in super().load())

    made = Silent(DataSpec((1, 8, 8), 256))
    made.setup()
    with pytest.raises(Unavailable, match="needs images of integer levels with captions"):
        caption_encoder(made, Bars(False))


def test_a_caption_of_many_pictures_is_read_once(encoder: CaptionEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    captions = WORDS.table([TEXTS]).expand(20, -1, -1).clone()
    captions[5:] = captions[5:].roll(2, 1)
    x, read, of_captions = pictures(torch.arange(20) % 6), [], encoder.of_captions
    monkeypatch.setattr(encoder, "of_captions", lambda tokens: read.append(len(tokens)) or of_captions(tokens))
    found = encoder.similarity(x, captions)
    assert read == [6]
    unit = encoder.of_pictures(to_unit(x, 256))
    by_hand = [[unit[row] @ of_captions(text[None])[0] for text in captions[row]] for row in range(20)]
    assert torch.allclose(found, torch.tensor(by_hand), atol=1e-6)


def test_a_run_without_captions_trains_no_encoder(monkeypatch: pytest.MonkeyPatch, data: Shades) -> None:
    monkeypatch.setattr("genarena.evaluation.evidence.captions.caption_encoder", lambda data, bars: 1 / 0)
    plain = Shades(DataSpec((1, 8, 8), 256))
    plain.setup()
    record = evaluate(Plain().eval(), plain, ["caption_retrieval"], EvaluationSettings(), progress=False).metrics
    assert record["caption_retrieval"]["value"] is None
    assert record["caption_retrieval"]["reason"].startswith("needs a model that is conditional on captions")
