"""Train one model on one data set under one budget, evaluate it, write one row. `--help` lists the choices."""

import hydra
from omegaconf import DictConfig

from genarena import cli


@hydra.main(version_base="1.3", config_path="conf", config_name="train")
def main(cfg: DictConfig) -> None:
    from genarena.run import run  # imports torch, which a mistyped option need not wait for

    run(cfg)


if __name__ == "__main__":
    cli.start(main)
