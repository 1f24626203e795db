"""The folder of one run, `runs/<data>/<model>/<time>-seed<k>/`: its paths, and how a stored run is opened."""

import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import Any

import torch
from omegaconf import OmegaConf
from torch import nn

from genarena.build import build
from genarena.errors import Untrusted, UserError
from genarena.files import foreign
from genarena.files.atomic import replace_atomically
from genarena.runs import checkpoint, first_stage, results, stored_config
from genarena.runs.cost import bounded
from genarena.runs.lock import locked


@dataclass(frozen=True)
class RunFolder:
    """Paths of one run. `chosen` contains the evaluated weights."""

    path: Path

    @classmethod
    def create(cls, runs_dir: Path, data: str, model: str, seed: int) -> "RunFolder":
        """Create a new folder with a unique name, also if several runs start in the same second. Raises UserError."""
        stem = runs_dir / data / model / f"{time.strftime('%Y%m%d-%H%M%S')}-seed{seed}"
        for attempt in range(1, 1000):
            path = stem if attempt == 1 else stem.with_name(f"{stem.name}-{attempt}")
            try:
                path.mkdir(parents=True)
            except FileExistsError:
                continue
            except OSError as error:
                raise UserError(f"the run folder {path} cannot be made: {error.strerror}") from error
            return cls(path)
        raise UserError(f"no free name for a run folder beside {stem}")

    @classmethod
    def open(cls, path: str | Path) -> "RunFolder":
        """The folder of a stored run. Raises UserError if there is none at `path`, and Untrusted if a link leads out of it."""
        folder = cls(Path(path))
        if not folder.config.is_file():
            raise UserError(f"{path}: there is no run (no config.yaml) in that folder")
        foreign.check_folder(folder.path)
        return folder

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    @property
    def result(self) -> Path:
        return self.path / "result.json"

    @property
    def finished(self) -> bool:
        """Whether the folder has a valid row of a finished run."""
        return results.is_finished(self.result)

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def chosen(self) -> Path:
        return self.checkpoints / "chosen.ckpt"

    @property
    def safetensors(self) -> Path:
        """The weights of `chosen` for other programs; also read here if `chosen` is damaged."""
        return self.checkpoints / "chosen.safetensors"

    @property
    def last(self) -> Path:
        return self.checkpoints / "last.ckpt"

    @property
    def previous(self) -> Path:
        return self.checkpoints / "previous.ckpt"

    @property
    def best(self) -> Path:
        return self.checkpoints / "best.ckpt"

    @property
    def samples(self) -> Path:
        return self.path / "samples"

    def locked(self) -> AbstractContextManager[None]:
        """Lock the folder for this process. Raises FolderInUse if another live process holds it; does not wait."""
        return locked(self.path)

    def bounded(self) -> AbstractContextManager[None]:
        """Raise Untrusted if the block builds a model that is far larger than the newest weights of the run."""
        return bounded(next((path for path in (self.last, self.previous, self.chosen) if path.is_file()), None))

    def write_config(self, resolved: dict[str, Any]) -> None:
        replace_atomically(self.config, lambda temporary: OmegaConf.save(OmegaConf.create(resolved), temporary))

    def untrained(self, cfg: dict[str, Any]) -> Any:
        """The model of its configuration, without weights. Raises UserError, with what to do, for one that is refused now."""
        try:
            return build(cfg["model"], "model")
        except UserError as error:
            raise UserError(
                f"{self.config} asks for a model that this version of genarena refuses: {error}. An earlier version lowered a "
                "size that did not fit: write the one that the run had in its place there, or train it again"
            ) from error

    def rebuild(self, device: str | torch.device = "cpu") -> tuple[dict[str, Any], Any]:
        """The configuration, and the model with the evaluated weights; for an unfinished run, with the newest weights.

        Raises UserError if there are no weights yet or no such device. Raises Untrusted if the weights are damaged, do not fit
        the model, or are far smaller than the model in the configuration.
        """
        cfg = stored_config.load(self.config)
        try:
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError) as error:  # AssertionError: torch was built without it
            raise UserError(f"device={device}: {str(error).splitlines()[0]}") from error
        finished, unfinished = [self.chosen, self.safetensors], [self.last, self.previous, self.best]
        sources = finished if checkpoint.exists(self.chosen) else unfinished
        path = checkpoint.newest_sound(*sources, set_aside=False)
        if path is None:
            raise UserError(f"{self.path} holds no weights yet (the run stopped before its first checkpoint)")
        with bounded(path):
            model = self.untrained(cfg)
        load_weights(model, path)
        return cfg, model.to(device).eval()


def build_model(cfg: dict[str, Any]) -> Any:
    """The untrained model of a configuration; where it stands on a first stage, with the weights of that run.

    Raises Untrusted for weights that are damaged, do not fit, or are far smaller than their model. Raises
    UserError for a model that is refused; if a run is resumed, with what to do.
    """
    path = (cfg.get(first_stage.OPTION) or {}).get("path")
    if path:
        with torch.random.fork_rng(devices=[]):
            first = RunFolder.open(path).rebuild()[1]
    resumed = cfg.get("resume")
    model = RunFolder.open(resumed).untrained(cfg) if resumed else build(cfg["model"], "model")
    if path:
        model.first_stage.model.load_state_dict(first.state_dict())
    return model


def load_weights(model: nn.Module, path: Path) -> None:
    """Load `state_dict` (the averaged weights, if the model averages). Raises Untrusted if it does not fit the model."""
    try:
        model.load_state_dict(checkpoint.load(path)["state_dict"])
    except (KeyError, RuntimeError) as error:
        cause = shorten(" ".join(str(error).splitlines()[:2]), 240, placeholder=" ...")  # the second line names weights
        raise Untrusted(
            f"{path} does not fit the model that its config.yaml has in this version of genarena: {cause}"
        ) from error
