"""A stored run that this version of genarena does not take as it is."""

from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from genarena.build import build
from genarena.config import compose
from genarena.errors import UserError
from genarena.runs import checkpoint, stored_config
from genarena.runs.folder import RunFolder, build_model


def test_a_size_that_was_lowered_is_refused_with_what_to_do(tmp_path: Path) -> None:
    """Earlier versions took any latent_dim, made the largest that fits of it, and stored what was asked for."""
    cfg = OmegaConf.to_container(compose(["model=injective_flow", "data=digits", "model.latent_dim=64"]), resolve=True)
    folder, model = RunFolder(tmp_path), build(cfg["model"], "model")
    checkpoint.save({"state_dict": model.state_dict()}, folder.chosen)
    folder.write_config(cfg | {"model": cfg["model"] | {"latent_dim": 100}})
    with pytest.raises(UserError) as refused:
        folder.rebuild()
    said = str(refused.value)
    assert str(folder.config) in said and "model.latent_dim=100: expected 1 to 64" in said and "\n" not in said
    assert "earlier version" in said and "write the one that the run had" in said
    with pytest.raises(UserError) as resumed:
        build_model(stored_config.load(folder.config) | {"resume": str(folder.path)})
    assert str(resumed.value) == said
    folder.write_config(cfg)
    loaded = folder.rebuild()[1].state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in model.state_dict().items())
