"""A stored configuration is limited in size, depth and cost before anything is made of it."""

import json
from pathlib import Path

import pytest
import torch

from genarena.build import build
from genarena.config import available, compose
from genarena.errors import ArenaError, Untrusted
from genarena.runs import checkpoint, cost, stored_config
from genarena.runs.cost import bounded
from tests.first_stages import standing
from tests.homes import home
from tests.models.unfilled import unfilled

SOUND = {
    "model": {"num_steps": 1000, "widths": [1, 2]},
    "data": {"max_train": 1_000_000},
    "evidence": {"samples": {"num_samples": 50_000}},
    "choices": {"overrides": ["model=ddpm", "model.num_steps=1000", "seed=4294967295", "model.lr=0.000123456789"]},
}


def write(folder: Path, text: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(text)
    return path


def test_a_sound_one_is_loaded(tmp_path: Path) -> None:
    assert stored_config.load(write(tmp_path, json.dumps(SOUND))) == SOUND


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: " + "[" * 2_000 + "]" * 2_000, "nested deeper than 30 levels"),
        ("- " * 2_000 + "a", "nested deeper"),
        ("".join(f"{' ' * depth}a:\n" for depth in range(400)), "nested deeper"),
        ("a: " + "{a: " * 2_000, "nested deeper"),
        ("a: 1\n" * 50_000, "larger than 100,000 bytes"),
    ],
    ids=["flow lists", "block lists", "mappings", "unclosed", "large"],
)
def test_a_deep_or_large_one_is_one_line(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(Untrusted, match=words) as refused:
        stored_config.load(write(tmp_path, text))
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 500


@pytest.mark.parametrize(
    "change",
    [
        {"model": {"num_steps": 100_000_000}},
        {"model": {"net": {"widths": [1, 10**400]}}},
        {"model": {"num_steps": -(10**9)}},
        {"data": {"image_size": 10**10}},
        {"evidence": {"samples": {"num_samples": 10**9}}},
        {"choices": {"overrides": ["+model.num_steps=100000000"]}},
        {"choices": {"overrides": ["model.widths=[1,100_000_000]"]}},
    ],
    ids=str,
)
def test_a_number_that_asks_for_too_much_is_one_line(change: dict, tmp_path: Path) -> None:
    with pytest.raises(Untrusted, match="that a stored run may ask for") as refused:
        stored_config.load(write(tmp_path, json.dumps(SOUND | change)))
    assert refused.value.exit_code == 4 and "\n" not in str(refused.value)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a: [", b"a: *b", b"[]", b"", b"\x00", b"a: 1" + b"0" * 5000])
def test_a_broken_one_is_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_bytes(content)
    with pytest.raises(ArenaError) as refused:
        stored_config.load(tmp_path / "config.yaml")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("content", ["# \xe9".encode("latin-1"), "model: {}".encode("utf-16"), b"model: {}\0"])
def test_bytes_that_are_no_text_are_damage(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_bytes(content)
    with pytest.raises(Untrusted, match="holds bytes that are no text") as refused:
        stored_config.load(tmp_path / "config.yaml")
    assert refused.value.exit_code == 4


def test_a_model_far_larger_than_its_weights_is_not_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genarena.runs.cost.FREE", 2_000_000)
    path = tmp_path / "chosen.ckpt"
    checkpoint.save({"state_dict": {"weight": torch.zeros(1000)}}, path)
    with bounded(path):
        torch.nn.Linear(100, 100)
        torch.zeros(1000).repeat(10)
    for make in (
        lambda: torch.nn.Linear(10**6, 10**6),  # four terabytes
        lambda: torch.linspace(0.0, 1.0, 10**9),
        lambda: [torch.nn.Linear(1, 1) for _ in range(10**6)],
        lambda: [torch.zeros(1000).repeat(1000) for _ in range(1000)],
    ):
        with pytest.raises(Untrusted, match="far larger than its weights"), bounded(path):
            make()
    monkeypatch.setattr("genarena.runs.cost.UNKNOWN", 1000)
    with pytest.raises(Untrusted, match="its run has none yet"), bounded(None):
        torch.nn.Linear(100, 100)


@pytest.mark.parametrize("name", [name for name in available("model") if not name.endswith("_paper")])
def test_every_model_of_ours_is_well_within_the_bound(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = standing(compose([f"model={name}", *home(name)]))
    path = tmp_path / "chosen.safetensors"
    with unfilled():  # only the size of the file counts
        checkpoint.save_weights(build(model, "model").state_dict(), path)
    monkeypatch.setattr("genarena.runs.cost.FREE", cost.FREE // 10)
    with bounded(path):
        build(model, "model")
