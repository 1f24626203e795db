"""A row names the commit that holds what ran, and the source of its model."""

import hashlib
import subprocess
from pathlib import Path

import pytest

from genarena.models.gan import dcgan
from genarena.runs import provenance


def git(root: Path, *arguments: str) -> None:
    names = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", "-C", str(root), *names, *arguments], check=True, capture_output=True)


def test_untracked_sources_make_a_commit_dirty(tmp_path: Path) -> None:
    assert provenance.commit(tmp_path) is None
    git(tmp_path, "init")
    for folder in ("src", "conf", "scripts"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.py").write_text("")
    (tmp_path / ".gitignore").write_text("*.pyc\n")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-m", "first")
    clean = provenance.commit(tmp_path)
    assert len(clean) == 12
    for harmless in ("notes.txt", "runs", "src/a.pyc"):
        (tmp_path / harmless).write_text("")
    assert provenance.commit(tmp_path) == clean
    for name in ("src/b.py", "conf/b.yaml", "scripts/b.py", "train.py"):
        (tmp_path / name).write_text("")
        assert provenance.commit(tmp_path) == f"{clean}-dirty"
        (tmp_path / name).unlink()
    (tmp_path / "src" / "a.py").write_text("changed")
    (tmp_path / "src" / "b.py").write_text("new")
    assert provenance.commit(tmp_path) == f"{clean}-dirty"


def test_sources_are_those_of_the_model_and_of_all_that_it_imports() -> None:
    found = provenance.sources(
        ["genarena.models.gan.dcgan.DCGAN", "torch.optim.Adam", "genarena.training.module.Training"]
    )
    assert found["genarena.models.gan.dcgan"] == hashlib.sha256(Path(dcgan.__file__).read_bytes()).hexdigest()
    assert {"genarena.models.gan.latent_gan", "genarena.models.base", "genarena.likelihood"} <= set(found)
    assert not [name for name in found if name.startswith(("genarena.training", "genarena.options", "torch"))]
    assert "genarena.models.flow.glow" in provenance.sources(["genarena.models.flow.glow.Glow"])
    assert "genarena.models.vae.vae" not in found and "genarena.nets.unet" not in found


def test_a_module_that_is_imported_inside_a_function_counts() -> None:
    """`by_shape` looks for its networks when it is called."""
    assert {"genarena.nets.unet", "genarena.nets.mlp"} <= set(
        provenance.sources(["genarena.nets.by_shape.unet_or_mlp"])
    )


def test_sources_of_a_plugin_are_its_own_and_those_of_genarena(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "pack"
    (package / "models").mkdir(parents=True)
    (package / "models" / "own.py").write_text("from . import parts\nfrom genarena.nets.mlp import MLP\n")
    (package / "models" / "parts.py").write_text("WIDTH = 3\n")
    monkeypatch.setattr(provenance.plugins, "packages", lambda: {"pack": package})
    found = provenance.sources(["pack.models.own.Own"])
    assert {"pack.models.own", "pack.models.parts", "genarena.nets.mlp"} <= set(found)
    (package / "models" / "parts.py").write_text("WIDTH = 4\n")
    again = provenance.sources(["pack.models.own.Own"])
    assert {name for name in found if found[name] != again[name]} == {"pack.models.parts"}


def test_a_module_of_a_plugin_may_be_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "pack"
    (package / "models" / "own").mkdir(parents=True)
    (package / "models" / "own" / "__init__.py").write_text("from .parts import WIDTH\n")
    (package / "models" / "own" / "parts.py").write_text("WIDTH = 3\n")
    monkeypatch.setattr(provenance.plugins, "packages", lambda: {"pack": package})
    assert set(provenance.sources(["pack.models.own.Own"])) == {"pack.models.own", "pack.models.own.parts"}
