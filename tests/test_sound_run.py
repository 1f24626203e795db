"""Runs on sound, from the command's configuration to the row: bits of a sample, the mel that is given, WAV files."""

import wave
from pathlib import Path

import pytest

from genarena.run import run
from tests.small_run import small

SHORT = ("data.segment=768", "data.stride=768", "data.num_clips=6", "budget.examples=16")


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a run costs is measured longer than its batch takes."""
    monkeypatch.setattr("genarena.run.cost.measure", lambda *_: {})


def row_of(folder: Path, model: str, *options: str) -> dict:
    return run(small(model, "toy_audio", folder, *SHORT, *options))


def test_a_uniform_model_needs_16_bits_for_a_sample(tmp_path: Path) -> None:
    row = row_of(tmp_path, "uniform", "metrics=[bits_per_dim,kl_to_truth_nats]")
    bits, divergence = (row["metrics"][name] for name in ("bits_per_dim", "kl_to_truth_nats"))
    assert bits["value"] == pytest.approx(16.0, abs=1e-6) and "given" not in bits
    assert divergence["value"] > 768.0, "more than a nat a sample"
    (samples,) = tmp_path.glob("toy_audio/uniform/*/samples")
    assert (samples / "final.png").is_file()
    with wave.open(str(samples / "final-0.wav")) as file:
        assert (file.getframerate(), file.getnframes()) == (22_050, 768)


def test_what_a_mel_gives_is_said_beside_the_number(tmp_path: Path) -> None:
    chosen = "metrics=[bits_per_dim,kl_to_truth_nats,sampling_seconds]"
    row = row_of(tmp_path, "gaussian_mel", "data.condition=mel", "model.order=8", chosen)
    bits = row["metrics"]["bits_per_dim"]
    assert bits["given"] == "mel" and bits["likelihood"] == "lower_bound"
    assert bits["value"] < 14.5, "the mel tells the spectrum of the voice"
    assert row["metrics"]["kl_to_truth_nats"]["reason"] == "the density of toy_audio given its mel is not known"
    assert row["metrics"]["sampling_seconds"]["conditions"] == "paired: mel of the test split, in turn"
