"""`scripts/speak.py` on two short runs: a WAV file and a picture, and what it refuses in one line before it writes anything."""

import json
import shutil
import sys
import wave
from pathlib import Path

import pytest

from genarena.errors import UserError
from genarena.run import run
from genarena.runs.results import write_row
from genarena.scripts import speak
from tests.run_folders import the_folder
from tests.small_run import small


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Finished runs of griffin_lim and of mel_from_text on made data, in one folder, and another vocoder alone."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("genarena.run.save_final", lambda *_: None)
        patch.setattr("genarena.run.cost.measure", lambda *_: {})
        short = ("data.segment=768", "data.stride=768", "data.num_clips=6", "data.condition=mel")
        run(small("griffin_lim", "toy_audio", folder / "heard", *short))
        run(small("mel_from_text", "toy_speech", folder / "said", "data.condition=characters", "data.num_sentences=30"))
    found = {name: the_folder(folder / name).path for name in ("heard", "said")}
    alone = folder / "alone" / "toy_audio" / "griffin_lim" / "a"
    shutil.copytree(found["heard"], alone)
    other = folder / "other" / "toy_audio" / "griffin_lim" / "a"
    shutil.copytree(found["heard"], other)
    config = other / "config.yaml"
    config.write_text(config.read_text().replace("sample_rate: 22050", "sample_rate: 24000"))
    beside = folder / "heard" / "toy_speech" / "mel_from_text" / "a"
    shutil.copytree(found["said"], beside)
    stopped, failed = (folder / name / "toy_speech" / "mel_from_text" / "a" for name in ("stopped", "failed"))
    for copy in (stopped, failed):
        shutil.copytree(found["said"], copy)
    (stopped / "result.json").unlink()
    row = json.loads((failed / "result.json").read_text())
    write_row(row | {"status": "failed", "error": "Diverged: no"}, failed / "result.json")
    return found | {"alone": alone, "other": other, "stopped": stopped, "failed": failed}


def spoken(monkeypatch: pytest.MonkeyPatch, *options: str) -> None:
    monkeypatch.setattr(sys, "argv", ["speak.py", *options])
    speak.main()


def test_a_text_becomes_a_wav_file_and_a_picture(
    runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "said.wav"
    spoken(monkeypatch, f"run={runs['heard']}", "text=Abc fed.".removesuffix("."), f"out={out}")
    with wave.open(str(out)) as file:
        assert file.getframerate() == 22_050 and file.getnframes() % 256 == 0 and file.getnframes() >= 256 * 8
        long = file.getnframes()
    assert (tmp_path / "said.png").read_bytes()[:4] == b"\x89PNG"
    assert "mel_from_text/a" in capsys.readouterr().out, "the newest run beside the vocoder, and its name is said"
    spoken(monkeypatch, f"run={runs['alone']}", f"mel_run={runs['said']}", "text=abc fed", "speed=2", f"out={out}")
    with wave.open(str(out)) as file:
        assert file.getnframes() < long


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("run=heard", "text="), "text=: expected a value"),
        (("run=heard", "text=?!"), "there is nothing to say"),
        (("run=heard", "text=a zoo"), "text: character 'z' in 'a zoo' is in no training text"),
        (("run=heard", "text=abc abc abc abc abc abc"), "and the longest text of the data set has"),
        (("run=heard", "text=abc", "speed=0"), "speed=0: expected 0.1 to 10"),
        (("run=heard", "text=abc", "speed=-1"), "speed=-1: expected 0.1 to 10"),
        (("run=heard", "text=abc", "out=said.mp3"), "expected a name that ends in .wav"),
        (("run=heard", "text=abc", "sigma=0.5"), "the sound of GriffinLim does not depend"),
        (("run=said", "text=abc"), "MelFromText draws no sound of 16 bits"),
        (("run=heard", "mel_run=heard", "text=abc"), "GriffinLim makes no mel spectrograms of texts"),
        (("run=alone", "text=abc"), "mel_run=... is missing"),
        (("run=other", "mel_run=said", "text=abc"), "22,050 samples a second, and those of run=.* of 24,000"),
        (("run=nowhere", "text=abc"), "run=.*there is no run"),
        (("run=heard", "mel_run=failed", "text=abc"), "mel_run=.*: the run failed .Diverged: no."),
        (("run=heard", "mel_run=stopped", "text=abc"), "mel_run=.*: the run is not finished"),
        (("run=heard", "text=abc", "out=folder.wav"), "folder.wav cannot be written: it is a folder"),
    ],
)
def test_what_cannot_be_spoken_is_refused(
    runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.wav").mkdir()
    named = [f"{key}={runs.get(value, value)}" for key, _, value in (text.partition("=") for text in options)]
    out = [] if any(text.startswith("out=") for text in named) else ["out=said.wav"]
    with pytest.raises(UserError, match=said) as refused:
        spoken(monkeypatch, *named, *out)
    assert "\n" not in str(refused.value) and refused.value.exit_code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["folder.wav"]
