"""What `scripts/sample.py` is asked for: labels, texts, guidance; and what it refuses in one line."""

import sys
import wave
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from genarena import api
from genarena.build import build
from genarena.config import compose
from genarena.data.captions.vocabulary import Vocabulary
from genarena.errors import UserError
from genarena.models.diffusion.ddpm import DDPM
from genarena.models.diffusion.samplers import DDIM
from genarena.models.vae.vae import VAE
from genarena.runs import stored_config
from genarena.runs.folder import RunFolder
from genarena.scripts import sample
from genarena.spec import DataSpec
from tests.models.tiny import NARROW

SHORT = ("data.segment=768", "data.stride=768", "data.num_clips=4")
WORDS = Vocabulary.of(["a", "red", "blue", "circle"], 4)
CAPTIONED = SimpleNamespace(spec=DataSpec((3, 32, 32), 256, condition=WORDS.condition()), sampler=None)
DIGITS = DataSpec((1, 8, 8), 17, 10, condition="label")


def ddpm(spec: DataSpec, dropout: float) -> DDPM:
    return DDPM(spec, net=NARROW, num_steps=5, sampler=DDIM(nfe=5), condition_dropout=dropout).eval()


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor | None]:
    """Runs `sample.py` on the model `CAPTIONED`, or on another in `api.load`; the conditions that it draws."""
    asked = []

    def draw(model: SimpleNamespace, num: int, y: torch.Tensor | None, **_: object) -> torch.Tensor:
        asked.append(y)
        return torch.zeros(num, *model.spec.shape, dtype=torch.uint8)

    monkeypatch.setattr(api, "load", lambda *_: CAPTIONED)
    monkeypatch.setattr(api, "sample", draw)
    return asked


def call(monkeypatch: pytest.MonkeyPatch, *options: str) -> None:
    monkeypatch.setattr(sys, "argv", ["sample.py", "run=x", *options])
    sample.main()


def test_a_text_is_drawn_in_a_row_of_its_own(drawn: list, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    call(monkeypatch, "text=A red circle; blue circle", "num_samples=6", f"out={tmp_path}/s.png")
    (y,) = drawn
    assert torch.equal(y, torch.stack([WORDS.encode("a red circle")] * 3 + [WORDS.encode("blue circle")] * 3))
    assert Image.open(tmp_path / "s.png").size == (160, 2 * (34 + 13) + 2)
    call(monkeypatch, "text=a circle", "num_samples=6", f"out={tmp_path}/s.npz")
    assert torch.equal(drawn[1], WORDS.encode("a circle").expand(6, -1))
    assert np.load(tmp_path / "s.npz")["samples"].shape == (6, 3, 32, 32)


def test_labels_get_a_row_each(drawn: list, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(api, "load", lambda *_: ddpm(DIGITS, 0.1))
    call(monkeypatch, "num_samples=25", f"out={tmp_path}/s.png")
    assert drawn[0].tolist() == [label for label in range(10) for _ in range(2)]
    call(monkeypatch, "label=7", "guidance=2", "num_samples=3", f"out={tmp_path}/s.png")
    assert drawn[1].tolist() == [7, 7, 7]
    call(monkeypatch, "num_samples=5", f"out={tmp_path}/s.npz")
    assert drawn[2] is None  # api.sample draws all labels in turn


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["text=a rde circle"], "the data set has no word 'rde'; the nearest is 'red'"),
        (["text=a red circle a circle"], "5 words, and captions have at most 4"),
        (["text=;"], "expected words"),
        (["label=3"], "label=3: the model has no labels"),
        (["label=3", "text=a circle"], "label=3 and text='a circle': a model is asked for one of them"),
        (
            ["attributes=Bald", "text=a circle"],
            "text='a circle' and attributes='Bald': a model is asked for one of them",
        ),
        (["attributes=Bald"], "attributes='Bald': the model was trained without attributes"),
        (["text=a circle", "guidance=2", "sampler.guidance=3"], "guidance=2 and sampler.guidance=3: give one of them"),
        ([], "text=... is missing: the model draws what a caption says"),
        (["text=a circle", "guidance=2"], "guidance=2: SimpleNamespace has no guidance"),
        (["text=a circle", "guidance=-1"], "guidance=-1: expected at least 0"),
    ],
)
def test_what_a_model_of_captions_cannot_draw(
    drawn: list, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, options: list[str], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        call(monkeypatch, *options, f"out={tmp_path}/s.png")
    assert not drawn and not list(tmp_path.iterdir())


def test_attributes_have_the_names_of_the_set_of_the_run(
    drawn: list, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    spec = DataSpec((3, 32, 32), 256, num_attributes=40, condition="attributes")
    monkeypatch.setattr(api, "load", lambda *_: SimpleNamespace(spec=spec, sampler=None))
    monkeypatch.setattr(RunFolder, "open", lambda run: SimpleNamespace(config=f"{run}/config.yaml"))
    node = {"_target_": "genarena.data.celeba.CelebA"}
    monkeypatch.setattr(stored_config, "load", lambda path: {"data": node if path.endswith("/x/config.yaml") else None})
    call(monkeypatch, "attributes=Smiling, male; bald", "num_samples=4", f"out={tmp_path}/s.png")
    (y,) = drawn
    assert [row.nonzero().flatten().tolist() for row in y] == [[20, 31]] * 2 + [[4]] * 2
    with pytest.raises(UserError, match="attributes=Bold: there is no such attribute; did you mean Bald"):
        call(monkeypatch, "attributes=Bold", f"out={tmp_path}/t.png")
    assert len(drawn) == 1


def test_sound_is_written_as_wav_files(drawn: list, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    spec = DataSpec((1, 1024), 65_536, sample_rate=22_050)
    monkeypatch.setattr(api, "load", lambda *_: SimpleNamespace(spec=spec, sampler=None))
    call(monkeypatch, "num_samples=1", f"out={tmp_path}/one.wav")
    call(monkeypatch, "num_samples=2", f"out={tmp_path}/some.wav")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.wav", "some-0.wav", "some-1.wav"]
    with wave.open(str(tmp_path / "one.wav")) as file:
        assert (file.getframerate(), file.getnframes()) == (22_050, 1024)
    call(monkeypatch, f"out={tmp_path}/seen.png")
    assert len(list(tmp_path.glob("seen-*.wav"))) == 4 and (tmp_path / "seen.png").is_file()
    monkeypatch.setattr(api, "load", lambda *_: SimpleNamespace(spec=DIGITS, sampler=None))
    with pytest.raises(UserError, match="the model draws no sound"):
        call(monkeypatch, f"out={tmp_path}/no.wav")


def test_a_model_of_mels_draws_those_of_the_first_test_segments(
    drawn: list, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data = build(compose(["model=uniform", "data=toy_audio", "data.condition=mel", *SHORT]).data, "data")
    data.setup()
    monkeypatch.setattr(api, "load", lambda *_: SimpleNamespace(spec=data.spec, sampler=None))
    monkeypatch.setattr(api, "load_data", lambda run, root: {"elsewhere": data}[Path(root).name])
    call(monkeypatch, f"data_root={tmp_path}/elsewhere", f"out={tmp_path}/s.png")
    assert torch.equal(drawn[0], data.test.mels[:4])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s-0.wav", "s-1.wav", "s-2.wav", "s-3.wav", "s.png"]
    with pytest.raises(UserError, match="num_samples=999: the test split of toy_audio has 200 segments"):
        call(monkeypatch, f"data_root={tmp_path}/elsewhere", "num_samples=999", f"out={tmp_path}/t.png")
    monkeypatch.setattr(api, "load", lambda *_: ddpm(DIGITS, 0.1))
    with pytest.raises(UserError, match="data is read only for a model of mels"):
        call(monkeypatch, f"data_root={tmp_path}/elsewhere", f"out={tmp_path}/t.png")
    assert not (tmp_path / "t.png").exists()


def test_guidance_needs_a_model_that_learned_to_do_without_a_condition() -> None:
    model = ddpm(DIGITS, 0.1)
    sample.guide(model, 2.0)
    assert (model.sampler.guidance, model.sampler.nfe) == (2.0, 5)
    with pytest.raises(UserError, match=r"^guidance=2.0: the model was trained without conditions that are dropped"):
        sample.guide(ddpm(DIGITS, 0.0), 2.0)
    with pytest.raises(UserError, match=r"guidance=2(\.0)?: VAE has no guidance"):
        sample.guide(VAE(DIGITS, latent_dim=2, channels=4, hidden=8), 2.0)
    for spec in (DataSpec((1, 8, 8), 17), DIGITS):
        with pytest.raises(UserError, match="text='a circle': the model was trained without captions"):
            sample.texts(SimpleNamespace(spec=spec), "a circle", 3)
