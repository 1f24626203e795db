"""Train one model on one data set under one budget, evaluate it, write one row. `--help` lists the choices."""

import hydra
from omegaconf import DictConfig

from genarena import cli
from genarena.config import CONF


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="train")
def main(cfg: DictConfig) -> None:
    from genarena.run import run  # imports torch, which a mistyped option need not wait for

    cli.attempt(run, cfg)


if __name__ == "__main__":
    cli.start(main)
