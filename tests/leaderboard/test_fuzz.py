"""One damaged run folder, whatever the damage, leaves the page of the others as it is, and is named where it is left out."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from genarena import cli
from genarena.runs.seals import digest, seal
from scripts import leaderboard
from tests.data.small_sets import noise, sound
from tests.leaderboard.rows import make_row, with_protocol, write_sealed
from tests.leaderboard.test_sweeps import write as write_sweep

METRICS = "step,progress,train/loss,val/bits_per_dim\n" + "".join(f"{i},{i / 9},{9 - i},{i}\n" for i in range(10))
BOUNDS = {"value": 9.0, "n": 10, "k": [1, 10, 100], "nats": [10.0, 9.5, 9.0], "likelihood": "lower_bound"}
BACKBONE = {"name": "domain-classifier-digits", "weights": "0123"}
DEEP = "[" * 100_000 + "]" * 100_000
TEXTS = ["1e999", "-1e999", "NaN", "1" + "0" * 400, '"\\ud800"', '"\\u001b[31m"', DEEP, '{"a":' * 60 + "1" + "}" * 60]
VALUES = [None, True, -1, 0, 1e99, -1e99, 5e-324, 10**90, 0.5, "x", "", [], {}, [1], [None], {"a": 1}, {"value": 1}]


def write_run(runs_dir: Path, model: str, value: float) -> Path:
    """A run folder with every file that the leaderboard reads."""
    folder = runs_dir / "digits" / model / "0"
    (folder / "samples").mkdir(parents=True)
    (folder / "evaluations").mkdir()
    row = make_row(model, value=value, hardware={"device": "CPU"})
    row["metrics"] |= {"iw_bounds": BOUNDS}
    row["metrics"]["fd_domain"] |= {"backbone": BACKBONE, "unit": "", "standard_error": 0.1}
    row["cost"] |= {"device": "CPU", "unmeasured": {"nfe": "none"}, "nfe": 3, "sample_flops": 10**12}
    row = with_protocol(row)
    write_sealed(folder / "result.json", row)
    again = with_protocol(row, sample_seed=1)
    write_sealed(folder / "evaluations" / "1.json", again)
    (folder / "config.yaml").write_text("model: {}\n")
    (folder / "metrics.csv").write_text(METRICS)
    for name in ("final", "neighbours", "reconstructions"):
        Image.effect_noise((30, 20), 80).save(folder / "samples" / f"{name}.png")
    sound(folder / "samples" / "final-0.wav", noise(200))
    return folder


MUCH = pytest.param(25, marks=pytest.mark.slow)  # cases of a file in `make test-slow`; `make test` tries a few of them


@pytest.fixture
def runs_dir(tmp_path: Path) -> Path:
    write_run(tmp_path / "runs", "good", 1.0)
    write_run(tmp_path / "runs", "bad", 2.0)
    write_sweep(tmp_path / "runs" / "sweeps" / "bad")
    return tmp_path / "runs"


def page(runs_dir: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The page that the script writes; it must end without an error."""
    out = runs_dir.parent / "out"
    monkeypatch.setattr("sys.argv", ["leaderboard.py", f"runs_dir={runs_dir}", f"out={out}"])
    monkeypatch.setattr("genarena.files.atomic.os.fsync", lambda descriptor: None)
    leaderboard.main()
    return (out / "index.html").read_text(encoding="utf-8")


def damaged(content: bytes, draw: random.Random) -> Iterator[bytes]:
    """A file as a disk or a stranger may leave it."""
    for _ in range(3):
        at = draw.randrange(len(content))
        yield content[:at] + bytes([content[at] ^ 1 << draw.randrange(8)]) + content[at + 1 :]
        yield content[: draw.randrange(len(content))]
    yield from (b"", b"\xff\xfe\x00", b"\x00" * 100, DEEP.encode(), b"<html>", content + b"\x1b[31m\x80")


FILES = [
    "digits/bad/0/result.json",
    "digits/bad/0/result.json.sha256",
    "digits/bad/0/evaluations/1.json",
    "digits/bad/0/config.yaml",
    "digits/bad/0/metrics.csv",
    "digits/bad/0/samples/final.png",
    "digits/bad/0/samples/neighbours.png",
    "digits/bad/0/samples/final-0.wav",
    "sweeps/bad/trials.json",
]


@pytest.mark.parametrize("num_cases", [2, MUCH])
@pytest.mark.parametrize("name", FILES)
def test_any_file_may_be_damaged(name: str, num_cases: int, runs_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, draw = runs_dir / name, random.Random(name)
    sealed = path.suffix == ".json" and seal(path).exists()
    cases = list(damaged(path.read_bytes(), draw))
    for content in cases if num_cases >= len(cases) else draw.sample(cases, num_cases):
        path.write_bytes(content)
        if sealed and draw.random() < 0.7:  # as a stranger would
            seal(path).write_text(f"{digest(path)}  {path.name}\n")
        html = page(runs_dir, monkeypatch)
        assert '<a href="#digits-0-good-good-0-' in html
        assert "\x1b" not in html
        unread = content[:1] in (b"", b"\xff", b"\x00", b"<", b"[") and path.suffix not in (".yaml", ".csv")
        if unread:
            assert str(path).removesuffix(".sha256") in html.partition("<h2>Left out</h2>")[2]


def places(value: Any, path: tuple = ()) -> Iterator[tuple]:
    """The place of every value in nested containers."""
    yield path
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(item, (*path, key))


def with_text(content: Any, place: tuple, text: str) -> str:
    """JSON with `text`, which need not be JSON, at one place."""
    content = json.loads(json.dumps(content))
    inner = content
    for key in place[:-1]:
        inner = inner[key]
    if not place:
        return text
    inner[place[-1]] = "<here>"
    return json.dumps(content).replace('"<here>"', text, 1)


def strange(content: Any) -> list[str]:
    """The same JSON with one value of another type, size or kind, for every value in it."""
    texts = [*TEXTS, *(json.dumps(value) for value in VALUES)]
    return [with_text(content, place, text) for place in places(content) for text in texts]


@pytest.mark.parametrize("num_cases", [4, MUCH])
@pytest.mark.parametrize(
    "name", ["digits/bad/0/result.json", "digits/bad/0/evaluations/1.json", "sweeps/bad/trials.json"]
)
def test_any_value_may_be_another(name: str, num_cases: int, runs_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = runs_dir / name
    cases = strange(json.loads(path.read_text()))
    for text in random.Random(0).sample(cases, num_cases):
        path.write_text(text)
        seal(path).write_text(f"{digest(path)}  {path.name}\n")
        html = page(runs_dir, monkeypatch)
        assert '<a href="#digits-0-good-good-0-' in html and "\x1b" not in html


def test_a_wide_picture_and_an_edited_row_are_named(
    runs_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    bad = runs_dir / "digits" / "bad" / "0"
    Image.new("L", (20_000, 3)).save(bad / "samples" / "final.png")
    html = page(runs_dir, monkeypatch)
    assert "final.png has 20000x3 pixels" in html.partition("<h2>Left out</h2>")[2]
    assert "left out: " in capsys.readouterr().out
    path = bad / "result.json"
    path.write_text(path.read_text().replace('"value": 2.0', '"value": 0.1', 1))
    html = page(runs_dir, monkeypatch)
    assert "result.json is damaged, or not sealed by genarena" in html.partition("<h2>Left out</h2>")[2]
    assert "digits-0-bad" not in html


def test_links_out_of_a_run_and_hidden_folders_are_not_read(
    runs_dir: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bad = runs_dir / "digits" / "bad" / "0"
    monkeypatch.setenv("GENARENA_KEY", "hunter2-of-the-environment")
    (tmp_path / "secret").write_text("hunter2-of-the-environment")
    for target in ("/proc/self/environ", tmp_path / "secret"):
        (bad / "config.yaml").unlink()
        (bad / "config.yaml").symlink_to(target)
        html = page(runs_dir, monkeypatch)
        assert "hunter2" not in html
        assert "config.yaml is a link that leads out of its run folder" in html.partition("<h2>Left out</h2>")[2]
    (bad / "config.yaml").unlink()
    for hidden in (".ipynb_checkpoints", "__MACOSX"):
        write_run(runs_dir / hidden, "unseen", 0.0)
    (runs_dir / "elsewhere").symlink_to(write_run(tmp_path / "other", "unseen", 0.0))
    html = page(runs_dir, monkeypatch)
    assert "unseen" not in html


def test_damage_ends_in_exit_code_0(runs_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (runs_dir / "digits" / "bad" / "0" / "metrics.csv").write_bytes(METRICS.encode().replace(b"5", b"\xb5"))
    monkeypatch.setattr("sys.argv", ["leaderboard.py", f"runs_dir={runs_dir}", f"out={runs_dir.parent / 'out'}"])
    cli.guard(leaderboard.main)  # would raise SystemExit
    assert "metrics.csv cannot be read" in (runs_dir.parent / "out" / "index.html").read_text(encoding="utf-8")
