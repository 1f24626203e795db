"""Paths on a command line are literal, whatever they hold, and come through every hand unchanged."""

import json
from pathlib import Path

import pytest
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

from genarena import config
from genarena.cli import expand_resume
from genarena.errors import UserError
from genarena.jobs.job import jobs_of
from genarena.options.overrides import in_grammar, literal_path, parse, path_in, values, written
from genarena.options.values import Place

NAMES = [
    "päth",
    "日本",
    "a=b",
    "p(1)",
    "br[1]",
    "q#r",
    "a'b",
    "null",
    "1e3",
    "true",
    "ü (1)=a,b",
    "a\\b",
    "{x}",
    'a"b',
    "$HOME",
]
NAMES += ["a b ", "*", "x:y", "&", "-m", "'"]
GOOD = ["model=uniform", "data=image_folder"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("place", [Place(), Place(below=True)])
def test_a_path_is_written_so_that_hydra_reads_it(name: str, place: Place, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    text = literal_path(f"data.root={name}", place)
    expected = name if place.below else f"{tmp_path}/{name}"
    assert values(parse(text)) == [expected]
    assert literal_path(text, place) == text  # what is handed on is read again
    assert BasicSweeper.split_arguments([parse(text)], None) == [[[text]]]


@pytest.mark.parametrize("name", ["ü (1)=a,b", "a'b", "null"])
def test_a_path_arrives_as_it_was_typed(name: str, tmp_path: Path) -> None:
    folder = f"{tmp_path}/{name}"
    checked = config.check([*GOOD, f"data.root={folder}", f"runs_dir={folder}"])
    assert config.check(checked) == checked
    cfg = config.compose(checked)
    assert (cfg.data.root, cfg.runs_dir) == (folder, folder)
    (job,) = jobs_of(checked)
    assert job.cfg["runs_dir"] == folder and job.cfg["data"]["root"] == folder
    assert list(job.overrides) == checked == job.cfg["choices"]["overrides"]


def test_defaults_and_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    cfg = config.compose(config.check(["model=uniform", "data=digits", "resume=~/r", "features.clip_weights=~/w"]))
    assert (cfg.data.root, cfg.runs_dir) == (str(tmp_path / "data"), str(tmp_path / "runs"))
    assert (cfg.resume, cfg.features.clip_weights) == (f"{tmp_path}/me/r", f"{tmp_path}/me/w")
    monkeypatch.setenv("GENARENA_DATA", "~/d")
    cfg = config.compose(config.check(["model=uniform", "data=mnist", "data.mirror=https://a/b"]))
    assert (cfg.data.root, cfg.data.mirror) == (f"{tmp_path}/me/d", "https://a/b")


def test_quotes_around_the_whole_are_taken_off_and_make_sweeps(tmp_path: Path) -> None:
    assert path_in("runs_dir='/a/r=1'", Place()) == "/a/r=1"
    assert path_in(written("runs_dir", "/a/r=1"), Place()) == "/a/r=1"
    jobs = jobs_of(config.check([*GOOD, "data.root='/a,1','/b'"]))
    assert [job.cfg["data"]["root"] for job in jobs] == ["/a,1", "/b"]


@pytest.mark.parametrize("text", ["runs_dir=", "data.root=", "resume=", "data.root=${oc.env:HOME}"])
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="path") as refused:
        config.check([*GOOD, "data.root=x", text])
    assert str(refused.value).startswith(f"{text}: ")


@pytest.mark.parametrize("quote", ["{}", "'{}'", '"{}"'])
def test_a_run_in_a_folder_of_any_name_is_found_again(quote: str, tmp_path: Path) -> None:
    folder = tmp_path / "ü (1)=a,b"
    folder.mkdir()
    checked = config.check([*GOOD, f"data.root={folder}"])
    stored = {"model": {}, "data": {}, "choices": {"overrides": checked}}
    (folder / "config.yaml").write_text(json.dumps(stored))
    line = config.check(expand_resume([f"resume={quote.format(folder)}"]))
    cfg = config.compose(line)
    assert cfg.resume == cfg.data.root == str(folder)


def test_a_value_in_the_grammar_is_read_as_it_was() -> None:
    words = ["", "?", "3", "1e3", "null", "true", "it's", "a, b", "x\\'y", "{a: b}", "circle"]
    for value in (
        None,
        True,
        3,
        0.5,
        "cpu",
        "a b",
        words,
        {"words": words, "size": 11, "shape": [16]},
        [[30, 30, 30], [255, 0, 0]],
    ):
        assert parse(f"key={in_grammar(value)}").value() == value
