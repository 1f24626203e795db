"""Runs with two ranks: `python -m tests.two_processes <folder> few|rest|families|more`, started twice by a test."""

import sys
from pathlib import Path

from genarena.config import compose
from genarena.ranks import world
from genarena.run import run
from genarena.training.callbacks.budget import Budget

FAMILIES = {
    "vae": ["model.channels=8", "model.hidden=32"],
    "realnvp": ["model.hidden_channels=8"],
    "made": ["model.hidden=[32]"],
    "sngan": ["model.generator_channels=8", "model.discriminator_channels=8"],
    "ddpm": [
        "net.hidden_channels=16",
        "model.num_steps=20",
        "sampler.nfe=5",
        "model.training.optimizer._target_=genarena.training.optimisers.Muon",  # needs whole matrices, also of shards
    ],
    "ebm": ["model.langevin_steps=2", "sampler.steps=5", "model.ais_chains=4", "model.ais_steps=20"],
    "injective_flow": ["model.hidden_features=32"],
    "gaussian": [],
}
FEW = ("vae", "made", "sngan", "ebm", "gaussian")  # a bound, an exact likelihood, two players, chains, sums of examples
RESUMED = {  # models with state that differs between ranks: chains, averaged and normalised weights, a reservoir
    "ebm": FAMILIES["ebm"],
    "sngan": FAMILIES["sngan"],
    "memoriser": ["model.capacity=24"],
}
METRICS = [
    "bits_per_dim",
    "nll_nats",
    "iw_nll_nats",
    "nearest_neighbour_ratio",
    "fd_domain",
    "precision",
    "recall",
    "c_t",
]


def overrides(name: str, runs_dir: Path, *more: str) -> list[str]:
    return [
        f"model={name}",
        "data=digits",
        "budget=smoke",
        "budget.examples=96",
        "model.training.batch_size=16",
        "budget.num_samples=101",
        "budget.num_test=101",
        "evidence.importance_weighted.num_test=37",
        "evidence.importance_weighted.draws=3",
        "budget.num_val=60",
        "callbacks.grid_size=1",
        "callbacks.progress=false",
        f"runs_dir={runs_dir}",
        "trainer.precision=32-true",
        *(FAMILIES | RESUMED)[name],
        *more,
    ]


SHARDED = ("vae", "ddpm", "sngan")


def together(*more: str) -> list[str]:
    return ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "trainer.timeout=60", *more]


def stopped_and_resumed(name: str, folder: Path, *more: str) -> None:
    run(compose(overrides(name, folder / "whole", "metrics=[]", *together(*more))))
    step = Budget.on_train_batch_end

    def killed(self: Budget, *args: object) -> None:
        step(self, *args)
        if self.examples_seen >= 64:
            raise InterruptedError("killed")

    Budget.on_train_batch_end = killed
    try:
        run(compose(overrides(name, folder / "parts", "metrics=[]", *together(*more))))
    except InterruptedError:
        pass
    finally:
        Budget.on_train_batch_end = step
    (path,) = (folder / "parts" / "digits" / name).glob("*")
    run(compose(overrides(name, folder / "parts", "metrics=[]", f"resume={path}", *together(*more))))


def main(folder: Path, part: str) -> None:
    with world.together("cpu", 60):
        rest = [name for name in FAMILIES if name not in FEW]
        for name in {"few": FEW, "rest": rest, "families": FAMILIES, "more": SHARDED}[part]:
            run(compose(overrides(name, folder / "runs", f"metrics=[{','.join(METRICS)}]", *together())))
        if part != "more":
            return
        for name in RESUMED:
            stopped_and_resumed(name, folder)
        for name in SHARDED:
            run(compose(overrides(name, folder / "sharded", "metrics=[nll_nats]", *together("trainer.strategy=fsdp"))))
        stopped_and_resumed("vae", folder, "trainer.strategy=fsdp")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
