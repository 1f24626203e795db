"""FLAC of sound: what comes back, and how many bits it takes."""

import json
import math
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from genarena.compression.sounds import flac, measure_flac, samples_of
from genarena.errors import UserError
from genarena.run import run
from genarena.spec import DataSpec
from tests.small_run import small

ROOT = Path(__file__).parents[2]
SPEC = DataSpec((1, 8192), 65_536, sample_rate=22_050)


def rice_bits(x: torch.Tensor) -> float:
    """Bits per number of the best Rice code (Rice & Plaunt 1971): the quotient in unary, k bits of the rest."""
    folded = 2 * x.abs() - (x < 0).long()
    return min(1.0 + k + (folded >> k).double().mean().item() for k in range(16))


def test_the_samples_come_back_and_noise_needs_the_bits_of_its_code(tmp_path: Path) -> None:
    deviation = 1000.0
    generator = torch.Generator().manual_seed(0)
    x = (32_768 + deviation * torch.randn(20, 1, 8192, generator=generator)).round().int()
    x[0, 0, :2] = torch.tensor([0, 65_535])
    assert torch.equal(samples_of(flac(x, 22_050)), x.reshape(-1))
    record = measure_flac(x, SPEC, tmp_path / "noise.flac")
    entropy = 0.5 * math.log2(2.0 * math.pi * math.e * deviation**2)
    assert entropy < record["value"] == pytest.approx(rice_bits(x - 32_768), abs=0.05), "and headers of its frames"
    assert record["file_bytes"] == (tmp_path / "noise.flac").stat().st_size and record["lossless"]
    tone = (32_768 + 3000.0 * np.sin(0.1 * np.arange(8192))).round().astype(np.int32)
    assert measure_flac(torch.from_numpy(tone)[None, None], SPEC, tmp_path / "tone.flac")["value"] < 0.5 * entropy


def test_other_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="coder=flac: takes sound of one channel and 16 bits"):
        measure_flac(torch.zeros(1, 1, 8, 8, dtype=torch.uint8), DataSpec((1, 8, 8), 256), tmp_path / "x.flac")
    assert not list(tmp_path.iterdir())


def test_the_script_writes_the_test_segments_of_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr("genarena.run.cost.measure", lambda *_: {})
    options = ("data.segment=768", "data.stride=768", "data.num_clips=6", "metrics=[bits_per_dim]")
    run(small("uniform", "toy_audio", tmp_path / "runs", *options))
    (folder,) = (tmp_path / "runs").glob("toy_audio/uniform/*")
    row, out = (folder / "result.json").read_bytes(), tmp_path / "test.flac"
    capsys.readouterr()
    arguments = ["compress.py", "coder=flac", f"run={folder}", f"out={out}", "num_images=50"]
    monkeypatch.setattr(sys, "argv", arguments)
    runpy.run_path(str(ROOT / "scripts" / "compress.py"), run_name="__main__")
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["segments"] == 50 and found["lossless"]
    assert found["flac_bits_per_sample"] == 8.0 * out.stat().st_size / (50 * 768)
    assert 9.0 < found["flac_bits_per_sample"] < 16.0
    assert (folder / "result.json").read_bytes() == row, "it is a number of the data, not of the run"
