"""A row names the commit that holds what ran, and the source of its model."""

import hashlib
import subprocess
from pathlib import Path

from genarena.models.flow import glow
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


def test_sources_are_those_of_the_model_and_of_what_it_extends() -> None:
    found = provenance.sources(dcgan.DCGAN)
    assert found["genarena.models.gan.dcgan"] == hashlib.sha256(Path(dcgan.__file__).read_bytes()).hexdigest()
    assert {"genarena.models.gan.latent_gan", "genarena.models.base"} <= set(found)
    assert all(name.startswith("genarena.") for name in found)
    assert "genarena.models.flow.glow" in provenance.sources(glow.Glow)
