"""Which file of weights is in use: named, from the environment, downloaded; and what is said when there is none."""

import dataclasses
import hashlib
from pathlib import Path

import pytest

from genarena.errors import UserError
from genarena.evaluation import weights
from genarena.evaluation.weights import PUBLISHED, FeatureSettings, download
from genarena.files.cache import cache_folder
from genarena.metrics.base import Unavailable
from genarena.spec import DataSpec

CONTENT = b"weights " * 300_000  # more than one block


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Inception's download, served from a folder; an empty cache."""
    monkeypatch.setenv("GENARENA_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "server" / "weights.pth"
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    published = dataclasses.replace(PUBLISHED["inception"], url=path.as_uri(), sha256=digest(CONTENT))
    monkeypatch.setitem(PUBLISHED, "inception", published)
    return path


@pytest.fixture
def no_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "find_spec", lambda name: None)


@pytest.mark.usefixtures("no_packages")
@pytest.mark.parametrize("network", list(PUBLISHED))
def test_without_a_file_the_reason_is_one_line_of_advice(network: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unavailable, match=f"no .* weights: name .* with features.{network}_weights=<file>") as absent:
        FeatureSettings().path(network)
    assert "\n" not in str(absent.value)
    assert ("=download" in str(absent.value)) == (PUBLISHED[network].url is not None)
    assert FeatureSettings().sha256(network) == PUBLISHED[network].sha256  # what the protocol asks for
    monkeypatch.setenv(PUBLISHED[network].variable, "nowhere.pth")
    with pytest.raises(Unavailable, match="weights at .*/nowhere.pth: name"):
        FeatureSettings().path(network)


def test_a_named_file_comes_before_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("named", "variable"):
        (tmp_path / name).write_text(name)
    monkeypatch.setenv("GENARENA_DINOV2", str(tmp_path / "variable"))
    assert FeatureSettings().sha256("dinov2") == digest(b"variable")
    settings = FeatureSettings(dinov2_weights=str(tmp_path / "named"))
    assert (settings.path("dinov2"), settings.sha256("dinov2")) == (tmp_path / "named", digest(b"named"))
    (tmp_path / "named").write_text("other content")
    assert settings.sha256("dinov2") == digest(b"other content")
    with pytest.raises(UserError, match="features.clip_weights=nowhere: there is no such file"):
        FeatureSettings(clip_weights="nowhere").sha256("clip")


def test_download_once_then_it_is_there_for_everyone(source: Path) -> None:
    path = FeatureSettings(inception_weights="download").path("inception")
    assert path.read_bytes() == CONTENT
    assert path.is_relative_to(cache_folder())
    source.unlink()
    assert download("inception") == path
    assert FeatureSettings().path("inception") == path


def test_a_download_with_another_checksum_is_not_kept(source: Path) -> None:
    source.write_bytes(b"x" + CONTENT[1:])
    with pytest.raises(UserError, match=f"sha256 {digest(b'x' + CONTENT[1:])[:16]}, expected {digest(CONTENT)[:16]}"):
        download("inception")
    assert not [path for path in cache_folder().rglob("*") if path.is_file()]


def test_a_damaged_download_is_fetched_again(source: Path) -> None:
    path = download("inception")
    path.write_bytes(CONTENT[:-1])
    assert download("inception").read_bytes() == CONTENT


def test_no_network_and_no_pinned_download(source: Path) -> None:
    source.unlink()
    with pytest.raises(UserError, match="cannot be downloaded"):
        download("inception")
    with pytest.raises(UserError, match="clip_weights=download: there is no pinned download; name model.safetensors"):
        download("clip")


def test_an_unknown_space() -> None:
    with pytest.raises(
        ValueError, match="features.space=vgg: expected auto, domain, efficientnet, inception, dinov2, clip"
    ):
        FeatureSettings(space="vgg")


@pytest.mark.usefixtures("no_packages")
def test_the_space_follows_the_data_and_the_weights_that_are_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GENARENA_CACHE", str(tmp_path))
    auto, plain = FeatureSettings(), DataSpec((3, 32, 32), 256)
    assert auto.space_for(None) == auto.space_for(DataSpec((3, 32, 32), 256, 10)) == "domain"
    assert auto.space_for(DataSpec((3, 32, 32), 256, num_attributes=40)) == "domain"
    assert auto.space_for(plain) == "efficientnet"
    (tmp_path / "file").touch()
    for network in ("inception", "dinov2"):  # the later one comes first
        monkeypatch.setenv(PUBLISHED[network].variable, str(tmp_path / "file"))
        assert auto.space_for(plain) == network
    assert FeatureSettings(space="clip").space_for(plain) == "clip"


def test_the_file_of_a_package_is_used_where_no_other_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "holder" / "models").mkdir(parents=True)
    (tmp_path / "holder" / "__init__.py").write_text("raise SystemExit('imported')")
    inside = tmp_path / "holder" / PUBLISHED["efficientnet"].file
    inside.write_bytes(b"weights")
    monkeypatch.syspath_prepend(tmp_path)
    published = dataclasses.replace(PUBLISHED["efficientnet"], package="holder")
    monkeypatch.setitem(PUBLISHED, "efficientnet", published)
    assert FeatureSettings().path("efficientnet") == inside
    assert FeatureSettings().sha256("efficientnet") == digest(b"weights")
    monkeypatch.setenv("GENARENA_EFFICIENTNET", str(tmp_path / "other"))
    (tmp_path / "other").touch()
    assert FeatureSettings().path("efficientnet") == tmp_path / "other"
