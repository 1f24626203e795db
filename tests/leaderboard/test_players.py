"""Sound on the page: WAV inside the file, real examples beside it, a few seconds of each run, nothing else allowed."""

import base64
import io
import re
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from genarena.errors import DataError, Untrusted
from genarena.files.wave_file import HEADER
from genarena.leaderboard import page
from genarena.leaderboard.illustrations import collect
from genarena.leaderboard.players import Players, files
from genarena.leaderboard.runs import find_runs
from genarena.leaderboard.tables import make_tables
from tests.leaderboard.rows import make_row, write_rows
from tests.leaderboard.visit import Visit

RATE = 22_050


def write_wav(path: Path, samples: np.ndarray, rate: int = RATE, channels: int = 1, width: int = 2) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())


def heard(uri: str) -> tuple[int, np.ndarray]:
    kind, _, content = uri.partition(",")
    assert kind == "data:audio/wav;base64"
    with wave.open(io.BytesIO(base64.b64decode(content, validate=True))) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
        return file.getframerate(), np.frombuffer(file.readframes(file.getnframes()), "<i2")


def sounding(folder: Path, seed: int = 0) -> None:
    """Samples of a run of sound and the real ones beside them."""
    for name, first in (("final", seed), ("real", 10_000)):
        for k in range(4):
            write_wav(folder / "samples" / f"{name}-{k}.wav", np.arange(k * 512, (k + 1) * 512) + first)
        Image.new("RGB", (120, 40), (first % 256, 9, 9)).save(folder / "samples" / f"{name}.png")


def html_of(tmp_path: Path, rows: list[dict]) -> str:
    write_rows(tmp_path, rows)
    for index, row in enumerate(rows):
        if row["family"] != "vae":
            sounding(tmp_path / "digits" / row["model"] / str(index), seed=index)
    return page.render(make_tables(find_runs(tmp_path)[0]), [])


def test_the_first_samples_are_heard_one_after_the_other(tmp_path: Path) -> None:
    sounding(tmp_path)
    write_wav(tmp_path / "samples" / "final-4.wav", np.arange(9))
    player = Players(1).player(files(tmp_path, "final"))
    rate, samples = heard(player.uri)
    assert rate == RATE and np.array_equal(samples, np.arange(4 * 512))
    assert (player.num, player.is_cut) == (4, False) and player.seconds == pytest.approx(2048 / RATE)
    (tmp_path / "samples" / "final-1.wav").unlink()  # it was not finite
    assert np.array_equal(heard(Players(1).player(files(tmp_path, "final")).uri)[1][512:], np.arange(1024, 2048))


def test_what_is_too_long_is_cut_and_never_made_worse(tmp_path: Path) -> None:
    samples = np.arange(6 * RATE) % 30_000
    write_wav(tmp_path / "samples" / "final-0.wav", samples)
    long = Players(1).player(files(tmp_path, "final"))
    assert (long.seconds, long.is_cut) == (4.0, True)
    many = Players(100, page_bytes=1_000_000)
    short = many.player(files(tmp_path, "final"))
    assert len(short.uri) * 100 <= 1_000_000 + 100 * 30 and short.is_cut
    rate, found = heard(short.uri)
    assert rate == RATE and np.array_equal(found, samples[: len(found)]) and 2 * len(found) + HEADER > 7400


def test_the_page_says_that_sound_is_cut(tmp_path: Path) -> None:
    write_rows(tmp_path, [make_row("waveglow", family="flow")])
    folder = tmp_path / "digits" / "waveglow" / "0"
    sounding(folder)
    write_wav(folder / "samples" / "final-3.wav", np.zeros(5 * RATE))
    html = page.render(make_tables(find_runs(tmp_path)[0]), [])
    assert "one after the other, 4.0 seconds; what is longer is cut off. All" in html


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda path: path.write_bytes(b"<script>"), "cannot be read as sound"),
        (lambda path: path.write_bytes(path.read_bytes()[:20]), "cannot be read as sound"),
        (lambda path: write_wav(path, np.arange(512), channels=2), "2 channels of 16 bits"),
        (lambda path: write_wav(path, np.arange(512), width=1), "1 channels of 8 bits"),
        (lambda path: write_wav(path, np.arange(512), rate=1), "no sound that a run writes"),
        (lambda path: write_wav(path, np.arange(512), rate=44_100), "different sample rates"),
    ],
)
def test_a_file_that_is_no_sound_of_a_run_is_left_out(tmp_path: Path, change: object, said: str) -> None:
    rows = [make_row("waveglow", family="flow")]
    write_rows(tmp_path, rows)
    folder = tmp_path / "digits" / "waveglow" / "0"
    sounding(folder)
    change(folder / "samples" / "final-2.wav")
    with pytest.raises(DataError, match=said):
        Players(1).player(files(folder, "final"))
    found = collect(page.runs_of(make_tables(find_runs(tmp_path)[0])))
    assert not found.sounds and any(said in text for text in found.complaints)
    assert found.pictures[folder], "its picture is shown"


def test_a_link_out_of_the_run_is_not_followed(tmp_path: Path) -> None:
    write_wav(tmp_path / "secret.wav", np.arange(512))
    sounding(tmp_path / "run")
    (tmp_path / "run" / "samples" / "final-0.wav").unlink()
    (tmp_path / "run" / "samples" / "final-0.wav").symlink_to(tmp_path / "secret.wav")
    with pytest.raises(Untrusted, match="leads out of its folder"):
        Players(1).player(files(tmp_path / "run", "final"))


def test_the_page_has_a_player_of_each_run_and_of_the_real_examples_once(tmp_path: Path) -> None:
    rows = [make_row("waveglow", family="flow"), make_row("griffin_lim", family="baseline"), make_row("vae")]
    html = html_of(tmp_path, rows)
    uris = re.findall(r'<audio controls preload="metadata" src="([^"]*)"', html)
    first = [heard(uri)[1][0] for uri in uris]
    assert sorted(first) == [0, 1, 10_000] and first[0] == 10_000, "the real one comes first"
    assert html.count("Players have the first 4 samples of a run, one after the other, 0.1 seconds. All") == 1
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)[1]
    assert "media-src data:;" in policy and "default-src" in policy
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)", html), "the page is one file"


def test_a_page_without_sound_allows_none(tmp_path: Path) -> None:
    html = html_of(tmp_path, [make_row("vae")])
    assert "<audio" not in html and "media-src" not in html and "Players have" not in html


def test_seeds_are_heard_one_at_a_time(tmp_path: Path) -> None:
    html = html_of(tmp_path, [make_row("waveglow", seed, family="flow") for seed in (0, 1)])
    tags = re.findall(r"<audio [^>]*data-seed=\"(\d)\"( hidden)?>", html)
    assert tags == [("0", ""), ("1", " hidden")]


def test_a_browser_plays_it_from_the_page_and_shows_the_seed_asked_for(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(html_of(tmp_path / "runs", [make_row("waveglow", seed, family="flow") for seed in (0, 1)]), "utf-8")
    visit = Visit(browser, path)
    visit.tab.wait_for_function("[...document.querySelectorAll('audio')].every((each) => each.readyState > 0)")
    lengths = visit.tab.evaluate("[...document.querySelectorAll('audio')].map((each) => each.duration)")
    assert lengths == pytest.approx([2048 / RATE] * 3, abs=1e-3)
    for seed in ("0", "1"):
        visit.tab.get_by_role("button", name=seed, exact=True).click()
        assert visit.tab.locator("audio[data-seed]:visible").get_attribute("data-seed") == seed
    assert visit.tab.locator("audio:visible").count() == 2, "the real one stays"
    assert visit.complaints == []
