"""Metrics of sound: what a model gets that returns the recording, one that returns noise, and models of other data."""

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
import yaml

from genarena.config import CONF
from genarena.data.ljspeech import LJSpeech
from genarena.data.toy_audio import ToyAudio
from genarena.evaluation.evaluate import evaluate
from genarena.evaluation.evidence import heard as evidence
from genarena.evaluation.settings import EvaluationSettings
from genarena.likelihood import Likelihood
from genarena.metrics.dnsmos import DNSMOS
from genarena.models.base import GenerativeModel
from genarena.models.baseline.heldout import Heldout
from genarena.models.baseline.mu_law import MuLaw
from genarena.published.sound_checks import voice
from genarena.spec import DataSpec
from genarena.statistics.heard import Heard
from genarena.statistics.resampling import to_speech_rate
from tests.small_world import Drawn, Halves, some_samples

SEGMENT = 2048
OF_SEGMENTS = ("mr_stft", "mel_cepstral_distortion", "log_mel_l1", "line_noise")
OF_SPEECH = ("pesq", "stoi", "dnsmos")
SIZES = {"evidence.samples.num_samples": 40, "evidence.examples.num_test": 40}


def spec(condition: str | None = "mel", segment: int = SEGMENT) -> DataSpec:
    return DataSpec((1, segment), 65_536, 4, condition=condition, sample_rate=22_050)


class Noise(GenerativeModel):
    """White noise, whatever the mel is; `seen`: the mels that it was asked for. num_samples: of each call."""

    family, likelihood, paper = "baseline", Likelihood.NONE, ""
    takes_sound, conditional, condition_kinds = True, True, ("mel",)

    def __init__(self, spec: DataSpec) -> None:
        super().__init__(spec)
        self.seen, self.calls = [], []

    def loss(self, batch):
        raise AssertionError

    def sample(self, num_samples: int, y: torch.Tensor | None = None) -> torch.Tensor:
        self.seen.append(y)
        self.calls.append(num_samples)
        x = torch.randn(num_samples, *self.spec.shape)
        return (32_768 + 300 * x).round().int()


@pytest.fixture(scope="module")
def data() -> ToyAudio:
    made = ToyAudio(spec(), num_clips=4, condition="mel")
    made.setup()
    return made


def scored(model: GenerativeModel, data, *names: str, **options: object) -> dict:
    return evaluate(model.eval(), data, names, EvaluationSettings(), SIZES | options, progress=False).metrics


def test_the_recording_itself_has_the_best_value_of_each(data: ToyAudio) -> None:
    model = Heldout(spec())
    model.withhold(data.val.x)
    found = scored(model, data, *OF_SEGMENTS)
    assert [found[name]["value"] for name in OF_SEGMENTS[:3]] == [0.0, 0.0, 0.0]
    assert all(found[name]["n"] == 40 and found[name]["value"] == found[name]["real"] for name in OF_SEGMENTS)
    assert found["line_noise"]["found"] == [] and len(found["line_noise"]["hertz"]) == 3
    assert found["mr_stft"]["pairs"] == "a sample and the test segment whose mel it was drawn for"


def test_a_codec_is_near_and_noise_is_far(data: ToyAudio) -> None:
    codec = MuLaw(spec())
    codec.withhold(data.val.x)
    near, far = scored(codec, data, *OF_SEGMENTS), scored(Noise(spec()), data, *OF_SEGMENTS)
    assert all(0.0 < near[name]["value"] < 0.5 * far[name]["value"] for name in OF_SEGMENTS[:3])
    assert 0.0 < far["mr_stft"]["standard_error"] < 0.1


def test_each_sample_is_asked_for_the_mel_of_the_segment_that_it_is_compared_with(data: ToyAudio) -> None:
    """All metrics share the drawing."""
    model = Noise(spec())
    scored(model, data, *OF_SEGMENTS, "sampling_seconds")
    assert sum(model.calls) == 40
    assert torch.equal(torch.cat(model.seen), data.test.mels[:40])


def test_neighbouring_segments_are_joined_to_whole_clips(data: ToyAudio, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clips of four segments, 0.37 s: too short for measures of speech, unless less is asked for."""
    reason = scored(Noise(spec()), data, "stoi")["stoi"]["reason"]
    assert reason == "needs speech of at least 1 s; neighbouring segments of the split make up 0.37 s at most"
    monkeypatch.setattr(evidence, "LEAST", 0.3)
    heard: list[list[Heard]] = []
    monkeypatch.setattr(
        DNSMOS, "update", lambda self, utterances: heard.append(utterances) or self.keep(torch.ones(10), 1.0)
    )
    record = scored(Noise(spec()), data, "dnsmos")["dnsmos"]
    assert len(heard[0]) == 10 and record["seconds_heard"] == pytest.approx(40 * SEGMENT / 22_050, rel=1e-3)
    assert record["seconds_left_out"] == pytest.approx(0.0, abs=0.01)
    whole = torch.stack([pair.real[0] for pair in heard[0]])
    assert whole.shape == (10, -(-4 * SEGMENT * 16_000 // 22_050))
    clip = data.clips.clip(25)[0].double() / 32_768 - 1.0  # the first of the test
    assert torch.allclose(whole[:1], to_speech_rate(clip, 22_050), atol=1e-12)


def test_speed_is_of_one_segment_at_a_time(data: ToyAudio) -> None:
    model = Noise(spec())
    record = scored(model, data, "synthesis_khz")["synthesis_khz"]
    assert set(model.calls) == {1} and record["n"] == 10 and len(model.calls) == 11, "the first call warms up"
    assert record["value"] * record["real_time_factor"] == pytest.approx(22.05)
    assert record["batch_size"] == 1 and record["threads"] == torch.get_num_threads() and record["device"]
    codec = MuLaw(spec())
    assert "has the recording" in scored(codec, data, "synthesis_khz")["synthesis_khz"]["reason"]


def test_other_models_and_other_data_have_no_such_number(data: ToyAudio) -> None:
    names, pictures = (*OF_SEGMENTS, *OF_SPEECH, "synthesis_khz"), Halves(Drawn(some_samples()).spec)
    pictures.setup()
    unconditional = ToyAudio(spec(None), num_clips=4)
    unconditional.setup()
    for found in (
        scored(Drawn(some_samples()), pictures, *names),
        scored(Heldout(spec(None)), unconditional, *names),
    ):
        reasons = {found[name]["reason"] for name in names}
        assert reasons == {"needs a model of sound given its mel (data.condition=mel)"}


@pytest.mark.parametrize(("name", "package"), [("pesq", "pesq"), ("stoi", "pystoi"), ("dnsmos", "onnxruntime")])
def test_without_the_packages_the_reason_names_the_extra(
    name: str, package: str, data: ToyAudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "LEAST", 0.3)
    monkeypatch.setitem(sys.modules, package, None)
    record = scored(Noise(spec()), data, name)[name]
    assert record["value"] is None and "pip install 'genarena[sound]'" in record["reason"] and "failed" not in record


def test_every_budget_asks_for_them() -> None:
    for path in sorted((CONF / "budget").glob("*.yaml")):
        chosen = yaml.safe_load(path.read_text())["budget"]["metrics"]
        assert {*OF_SEGMENTS, *OF_SPEECH, "synthesis_khz", "bits_per_dim"} <= set(chosen), path


def test_dnsmos_is_that_of_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its module imports librosa for another score, which is replaced."""
    speechmos = pytest.importorskip("speechmos", reason="needs pip install '.[sound]'")
    pytest.importorskip("onnxruntime", reason="needs pip install '.[sound]'")
    from types import ModuleType, SimpleNamespace

    librosa = ModuleType("librosa")
    librosa.feature = SimpleNamespace()
    monkeypatch.setitem(sys.modules, "librosa", librosa)
    from speechmos.dnsmos import DNSMOS as Theirs

    folder = f"{speechmos.__path__[0]}/dnsmos_models"
    theirs = Theirs(f"{folder}/sig_bak_ovr.onnx", f"{folder}/model_v8.onnx")
    theirs.audio_melspec = lambda audio: torch.zeros(900, 120).numpy()
    sound = torch.cat([voice(), 0.5 * voice()[:, :10_000]], 1)  # 3.6 s, doubled twice: several windows
    expected = theirs(sound[0].float().numpy(), 16_000, False)["ovrl_mos"]
    metric = DNSMOS()
    metric.update([Heard(0.0 * sound, sound, 16_000)])
    assert metric.compute() == pytest.approx(expected, abs=1e-4)


@pytest.mark.slow
def test_recordings_in_8_bits_have_the_numbers_of_the_page(shared_data: Path) -> None:
    """The row of mu_law in docs/sound.md, and the order that listeners have."""
    root = shared_data
    if not (root / "LJSpeech-1.1" / "wavs").is_dir():
        pytest.skip("the clips of LJ Speech are not there")
    of_speech = DataSpec((1, 8192), 65_536, condition="mel", sample_rate=22_050)
    clips = LJSpeech(of_speech, root=str(root), condition="mel")
    clips.setup()
    if clips.part() != "29of13100":
        pytest.skip("another part of LJ Speech")
    codec = scored(MuLaw(of_speech), clips, *OF_SEGMENTS, **{"evidence.samples.num_samples": 54})
    expected = {"mr_stft": 0.525, "mel_cepstral_distortion": 2.756, "log_mel_l1": 0.1388, "line_noise": 1.155}
    assert {name: codec[name]["value"] for name in OF_SEGMENTS} == pytest.approx(expected, rel=1e-3)
    for name, package, value in (("pesq", "pesq", 4.218), ("stoi", "pystoi", 0.9993), ("dnsmos", "speechmos", 3.251)):
        if find_spec(package):
            record = scored(MuLaw(of_speech), clips, name, **{"evidence.samples.num_samples": 54})[name]
            assert record["value"] == pytest.approx(value, rel=1e-3) and record["n"] == 3
