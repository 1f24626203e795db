"""`scripts/vocode.py`: clips and mels of one's own, many at once, the curve of sigma, and what it refuses in one line."""

import json
import shutil
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from genarena.run import run
from genarena.runs.folder import RunFolder
from genarena.runs.results import write_row
from genarena.statistics.mel import log_mel
from genarena.tasks.vocoding import own_sounds
from tests.data.small_sets import noise, sound
from tests.doors import script
from tests.small_run import small

SHORT = ("data.segment=768", "data.stride=768", "data.num_clips=6", "budget.examples=16")
RATE = 22_050


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of a flow, of griffin_lim, and one that failed; clips and mels. Other models: `test_copies.py`."""
    folder = tmp_path_factory.mktemp("own")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("genarena.run.cost.measure", lambda *_: {})
        patch.setenv("GENARENA_CACHE", str(folder / "cache"))
        for name, model, options in (("flow", "waveglow", []), ("phases", "griffin_lim", ["model.num_steps=2"])):
            run(small(model, "toy_audio", folder / "runs" / name, *SHORT, "data.condition=mel", *options))
    for path in list((folder / "runs").glob("*/*/*/*")):
        path.rename(folder / path.relative_to(folder / "runs").parts[0])
    shutil.copytree(folder / "flow", folder / "failed")
    row = json.loads((folder / "flow" / "result.json").read_text())
    write_row(row | {"status": "failed", "error": "Diverged: no"}, folder / "failed" / "result.json")
    for name, length in (("a", 2_100), ("b", 1_000), ("short", 700)):
        sound(folder / "in" / f"{name}.wav", noise(length))
    sound(folder / "many" / "x.wav", noise(1_000))
    sound(folder / "many" / "deep" / "y.WAV", noise(1_100))
    (folder / "many" / "notes.txt").write_text("no sound")
    (folder / "empty").mkdir()
    sound(folder / "in" / "rate.wav", noise(2_000), rate=44_100)
    sound(folder / "in" / "stereo.wav", noise(2_000), channels=2)
    sound(folder / "in" / "silent.wav", np.zeros(2_000))
    sound(folder / "in" / "clipped.wav", np.where(np.arange(2_000) % 3, 32_767, -32_768))
    (folder / "in" / "text.wav").write_text("no sound")
    (folder / "in" / "text.mp3").write_text("no sound")
    for name, array in mels().items():
        np.save(folder / "in" / f"{name}.npy", array)
    np.save(folder / "in" / "object.npy", np.array([{}], dtype=object), allow_pickle=True)
    (folder / "in" / "torn.npy").write_bytes((folder / "in" / "mel.npy").read_bytes()[:50])
    return folder


def mels() -> dict[str, np.ndarray]:
    """One of ours, of seven hops, and those of others."""
    x = torch.from_numpy(noise(7 * 256) / 32_768)[None]
    own = log_mel(x, RATE)[0].float().numpy()
    return {
        "mel": own,
        "transposed": own.T,
        "batched": own[None],
        "scaled": (own - own.min()) / (own.max() - own.min()),  # as DiffWave's
        "decibel": 8.686 * own - 40.0,
        "hole": np.where(np.arange(8) == 3, np.nan, own),
        "few": own[:, :3],
        "large": own.astype(np.float64) + 1e40,  # infinite in float32
        "whole": own.round().astype(int),
    }


def call(folder: Path, *options: str, run: str = "flow") -> tuple[int, str, str]:
    """The exit code, stdout and stderr of the program. Paths of options are below `folder`."""
    placed = [
        f"{key}={folder / value}" if key in ("audio", "mel", "out") and value and value[0] != "[" else text
        for text in options
        for key, _, value in [text.partition("=")]
    ]
    done = script("vocode.py", f"run={folder / run}", *placed)
    return done.returncode, done.stdout, done.stderr


def heard(path: Path) -> np.ndarray:
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE, 1, 2)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")


def made(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_clip_becomes_a_clip_with_a_picture_beside_it(folder: Path) -> None:
    code, said, errors = call(folder, "audio=in/a.wav", "out=one/a.wav")
    assert (code, errors) == (0, "")
    assert said.startswith(f"{folder / 'one' / 'a.wav'}: 0.09 s; ") and len(said.splitlines()) == 1
    for part in ("s for a second of sound", "kHz (cpu, 1 thread)", "log-mel L1 ", "spectral convergence ", "MR-STFT "):
        assert part in said
    assert made(folder / "one") == ["a.png", "a.wav"]
    assert len(heard(folder / "one" / "a.wav")) == 2_100 // 256 * 256
    assert Image.open(folder / "one" / "a.png").format == "PNG"


def test_the_same_seed_is_the_same_sound_and_sigma_zero_has_none(folder: Path) -> None:
    asked = {"first": [], "again": ["sigma=1"], "other": ["seed=1"]}
    for name, options in (asked | {"zero": ["sigma=0"], "zero1": ["sigma=0", "seed=9"]}).items():
        assert call(folder, "audio=in/a.wav", f"out=seeds/{name}.wav", *options)[0] == 0
    sounds = {path.stem: heard(path).tolist() for path in (folder / "seeds").glob("*.wav")}
    assert sounds["first"] == sounds["again"] != sounds["other"]
    assert sounds["zero"] == sounds["zero1"] != sounds["first"]


def test_a_mel_is_made_into_sound(folder: Path) -> None:
    code, said, _ = call(folder, "mel=in/mel.npy", "out=of_mel.wav", run="phases")
    assert code == 0 and "log-mel L1" in said
    assert len(heard(folder / "of_mel.wav")) == 7 * 256


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ("audio=many", ["deep/y.png", "deep/y.wav", "x.png", "x.wav"]),
        ("audio=[{0}/in/a.wav, {0}/in/b.wav]", ["a.png", "a.wav", "b.png", "b.wav"]),
    ],
)
def test_many_files_are_written_below_a_folder(folder: Path, tmp_path: Path, given: str, names: list[str]) -> None:
    code, said, _ = call(folder, given.format(folder), f"out={tmp_path / 'out'}")
    assert code == 0 and made(tmp_path / "out") == names
    assert said.splitlines()[-1].startswith("mean of 2: log-mel L1 ")


def test_several_sigmas_give_a_curve(folder: Path, tmp_path: Path) -> None:
    code, said, _ = call(folder, "audio=in/a.wav", f"out={tmp_path / 'c.wav'}", "sigma=[1,0,0.5]")
    assert code == 0
    sounds = [f"c-sigma{sigma}.wav" for sigma in ("0", "0.5", "1")]
    assert made(tmp_path) == sorted([*sounds, "c.png", "c-sigma.png", "c-sigma.csv"])
    table = [line.split() for line in said.splitlines()[-5:-1]]
    assert [row[0] for row in table] == ["sigma", "0", "0.5", "1"]
    rows = (tmp_path / "c-sigma.csv").read_text().splitlines()
    assert [row.split(",") for row in rows[1:]] == table[1:]
    assert Image.open(tmp_path / "c.png").height > Image.open(tmp_path / "c-sigma.png").height
    code, _, _ = call(folder, "audio=many", f"out={tmp_path / 'all'}", "sigma=[0,1]")
    assert code == 0 and {"sigma.png", "sigma.csv", "x-sigma0.wav", "deep/y-sigma1.wav"} <= set(made(tmp_path / "all"))


REFUSED = {
    "neither": ([], "expected one of audio=<wav or flac> and mel=<npy>"),
    "both": (["audio=in/a.wav", "mel=in/mel.npy"], "expected one of audio=<wav or flac> and mel=<npy>"),
    "misspelt": (["audi=in/a.wav"], "did you mean audio?"),
    "rate": (["audio=in/rate.wav"], "rate.wav has 44,100 samples a second, and the run 22,050"),
    "stereo": (["audio=in/stereo.wav"], "stereo.wav has 2 channels: expected one (mono)"),
    "silent": (["audio=in/silent.wav"], "silent.wav is silent"),
    "clipped": (["audio=in/clipped.wav"], "clipped.wav is clipped: 100.0% of its samples"),
    "short": (["audio=in/short.wav"], "short.wav has 700 samples, fewer than a segment of the run, 768"),
    "text": (["audio=in/text.wav"], "text.wav cannot be read as sound: Format not recognised"),
    "kind": (["audio=in/text.mp3"], "text.mp3: expected a file of .wav, .flac"),
    "none": (["audio=in/nowhere.wav"], "nowhere.wav: there is no such file"),
    "empty": (["audio=empty", "out=not/folder"], "empty: no file in that folder (.wav, .flac)"),
    "nothing": (["audio=[]"], "audio=[]: expected a file or a folder"),
    "transposed": (["mel=in/transposed.npy"], "transposed.npy has a mel of shape (8, 80): expected (80, frames)"),
    "batched": (["mel=in/batched.npy"], "has a mel of shape (1, 80, 8): expected (80, frames)"),
    "scaled": (["mel=in/scaled.npy"], "it is of another front-end"),
    "decibel": (["mel=in/decibel.npy"], "it is of another front-end"),
    "hole": (["mel=in/hole.npy"], "hole.npy has a mel with numbers that are not finite"),
    "few": (["mel=in/few.npy"], "few.npy has 3 frames, fewer than a segment of the run, 4"),
    "whole": (["mel=in/whole.npy"], "whole.npy has int64: expected one array of floats"),
    "large": (["mel=in/large.npy"], "large.npy has a mel with numbers that are not finite"),
    "object": (["mel=in/object.npy"], "object.npy cannot be read as an array"),
    "torn": (["mel=in/torn.npy"], "torn.npy cannot be read as an array"),
    "ending": (["audio=in/a.wav", "out=not/a.mp3"], "a.mp3: expected a name that ends in .wav"),
    "one": (["audio=many", "out=not/a.wav"], "a.wav: 2 sounds are made: expected a folder, without .wav"),
    "over": (["audio=in/a.wav", "out=in/a.wav"], "a.wav would be written over audio="),
    "over all": (["audio=many", "out=many"], "would be written over audio="),
    "negative": (["audio=in/a.wav", "sigma=-1"], "sigma=-1: expected at least 0"),
    "sign": (["audio=in/a.wav", "sigma=[0,-1]"], "sigma=[0,-1]: expected a list, each of its values at least 0"),
    "words": (["audio=in/a.wav", "sigma=loud"], "sigma=loud: expected float or a list"),
    "twice": (["audio=in/a.wav", "sigma=[0.5,0.5]"], "expected different numbers, at least one"),
    "sampler": (["audio=in/a.wav", "sampler=ddim"], "sampler=ddim: does not fit model=waveglow"),
    "failed": (["audio=in/a.wav"], "the run failed (Diverged: no), and has no model to use"),
    "nowhere": (["audio=in/a.wav"], "there is no run (no config.yaml) in that folder"),
    "phases": (["audio=in/a.wav", "sigma=0.5"], "does not depend on how large its noise is; leave it out"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_in_one_line_before_a_model_is_loaded(
    folder: Path, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loaded(*_: object) -> None:
        raise AssertionError("the weights were loaded")

    monkeypatch.setattr(RunFolder, "rebuild", loaded)
    (options, said), before = REFUSED[case], made(folder)
    placed = options if any(text.startswith("out=") for text in options) else [*options, "out=not/made.wav"]
    of = case if case in ("failed", "nowhere", "phases") else "flow"
    code, out, errors = call(folder, *placed, run=of)
    assert (code, out) == (2, "") and said in errors and len(errors.splitlines()) == 1
    assert made(folder) == before and not (folder / "not").exists(), "nothing is left behind"


def test_two_files_of_one_name_are_refused(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "in" / "a.wav", tmp_path / "a.wav")
    code, _, errors = call(folder, f"audio=[{folder}/in/a.wav,{tmp_path}/a.wav]", f"out={tmp_path / 'out'}")
    assert code == 2 and "would have the same name" in errors and not (tmp_path / "out").exists()


@pytest.mark.parametrize("part", ["stacked", "save_wav"])
def test_an_error_on_the_way_leaves_nothing_half_written(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    def broken(*arguments: object) -> None:
        if isinstance(arguments[-1], Path):
            arguments[-1].write_bytes(b"half")
        raise OSError(5, "the disk is gone")

    monkeypatch.setattr(own_sounds, part, broken)
    code, _, errors = call(folder, "audio=in/a.wav", f"out={tmp_path / 'a.wav'}")
    assert code == 2 and "the disk is gone" in errors and made(tmp_path) == []


def test_what_was_made_before_an_error_is_complete(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vocoded: Callable = own_sounds.vocoded
    calls = []

    def second_fails(*arguments: object) -> object:
        calls.append(arguments)
        if len(calls) == 2:
            raise own_sounds.UserError("WaveGlow made samples that are not finite")
        return vocoded(*arguments)

    monkeypatch.setattr(own_sounds, "vocoded", second_fails)
    code, said, errors = call(folder, "audio=many", f"out={tmp_path / 'out'}")
    assert code == 2 and "not finite" in errors and len(said.splitlines()) == 1
    assert made(tmp_path / "out") == ["deep/y.png", "deep/y.wav"]
    assert len(heard(tmp_path / "out" / "deep" / "y.wav")) == 1_024
