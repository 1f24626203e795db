"""Builds a Lightning trainer from `conf/trainer/*.yaml`: devices, precision, and checks of combinations."""

import logging
import warnings
from typing import Any

import torch
from lightning_fabric.plugins.environments import LightningEnvironment, TorchElasticEnvironment
from pytorch_lightning import Trainer
from pytorch_lightning.plugins import CheckpointIO

from genarena.build import build
from genarena.errors import UserError
from genarena.options.devices import check_devices
from genarena.ranks import world
from genarena.training.module import TrainedModule
from genarena.training.strategies import Replicas, Sharded

OWN = (  # options of genarena, not of Lightning
    "channels_last",
    "compile",
    "precision",
    "strategy",
    "srun",
    "devices",
    "timeout",
    "sync_batchnorm",
)
STRATEGIES = {"ddp": Replicas, "fsdp": Sharded}


def num_processes(node: dict[str, Any]) -> int:
    """Number of processes that the `trainer` node asks for. Raises UserError for devices that this machine does not have."""
    check(node)
    if node["srun"] or (node["strategy"] and world.in_srun_step()):
        world.adopt_slurm()
    started = world.started_elsewhere()
    if node["strategy"] is None:
        if started:
            raise UserError(f"{world.expected()} processes were started, and this trainer uses one: take trainer=ddp")
        return 1
    devices = node["devices"]
    if started:
        if devices not in (-1, world.expected_here()):
            raise UserError(
                f"trainer.devices={devices}: {world.expected_here()} processes were started on this machine"
            )
        return world.expected()
    if devices == -1 and node["accelerator"] == "cpu":
        raise UserError("trainer.devices=-1: on the CPU, say how many processes: trainer.devices=2")
    available = devices if node["accelerator"] == "cpu" else torch.cuda.device_count()
    if devices > available:
        raise UserError(f"trainer.devices={devices}: expected 1 to {available} here, or -1 for all")
    return available if devices == -1 else devices


def check_batch(data_batch_size: int, train_size: int) -> None:
    """Raise UserError unless the batch size, which counts over all ranks, is a multiple of their number."""
    world_size, batch_size = world.size(), min(data_batch_size, train_size)
    if batch_size % world_size:
        near = [
            size for size in (batch_size // world_size * world_size, -(-batch_size // world_size) * world_size) if size
        ]
        raise UserError(
            f"data.batch_size={batch_size}: counts over all {world_size} ranks and must be a multiple of "
            f"{world_size}, e.g. {' or '.join(map(str, near))}"
        )


def check_model(node: dict[str, Any], model: TrainedModule) -> None:
    """Raise UserError if trainer=fsdp or bf16-mixed is asked for and the training of this model cannot do it."""
    if node["strategy"] == "fsdp" and not model.shardable:
        raise UserError(
            f"trainer=fsdp: {type(model).__name__} reads the weights of its layers itself, so they cannot lie in "
            "shards; take trainer=ddp"
        )
    learns = any(parameter.requires_grad for parameter in model.parameters())
    if node["precision"] == "bf16-mixed" and learns and not model.mixed_precision:
        raise UserError(
            f"trainer.precision=bf16-mixed: the loss of {type(model).__name__} needs float32; take auto or 32-true"
        )


def trainer(node: dict[str, Any], model: TrainedModule, checkpoint_io: CheckpointIO, **options: Any) -> Trainer:
    """The trainer of a `trainer` node. `options`: further arguments of Lightning's Trainer (callbacks, loggers, ...)."""
    node = dict(node)
    own = {name: node.pop(name) for name in OWN}
    if own["channels_last"]:
        model.to(memory_format=torch.channels_last)
    if own["compile"]:
        for network in model.children():
            network.compile(options={"fallback_random": True})  # the same random numbers as uncompiled
    precision = own["precision"]
    if precision == "auto":
        precision = "bf16-mixed" if model.mixed_precision and _fast_bf16(node["accelerator"]) else "32-true"
    together = world.joined()
    return build({**node, "_partial_": True}, "trainer")(
        precision=precision,
        max_epochs=-1,
        num_sanity_val_steps=0,
        check_val_every_n_epoch=None,
        log_every_n_steps=1,
        inference_mode=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        sync_batchnorm=together and _shares_statistics(own | node),
        devices=world.expected_here() if together else 1,
        num_nodes=world.size() // world.expected_here() if together else 1,
        strategy=STRATEGIES[own["strategy"]]() if together else "auto",
        plugins=[checkpoint_io, TorchElasticEnvironment() if together else LightningEnvironment()],
        **options,
    )


def how_trained(node: dict[str, Any], precision: str) -> dict[str, Any]:
    """How a network was trained, for the row. batch_norm: the examples over which batch normalisation takes statistics."""
    together = world.joined()
    return {
        "strategy": node["strategy"] if together else None,
        "precision": precision,
        "compile": node["compile"],
        "channels_last": node["channels_last"],
        "batch_norm": "share of a rank" if together and not _shares_statistics(node) else "whole batch",
    }


def check(node: dict[str, Any]) -> None:
    """Raise UserError for options that cannot be combined, and for devices that this machine does not have."""
    check_devices(node)
    _check_accelerator(node["accelerator"])
    if not node["timeout"] > 0:
        raise UserError(f"trainer.timeout={node['timeout']}: expected a positive number of seconds")


def _shares_statistics(node: dict[str, Any]) -> bool:
    """Whether batch normalisation uses the statistics of all ranks together; torch can do that on GPUs only."""
    return node["sync_batchnorm"] and node["accelerator"] != "cpu"


def _check_accelerator(accelerator: str) -> None:
    if accelerator in ("gpu", "cuda") and not (torch.cuda.is_available() or torch.backends.mps.is_available()):
        raise UserError(
            "this machine has no GPU that torch can use: take trainer=cpu (several processes on one: "
            "trainer=ddp trainer.accelerator=cpu trainer.devices=2)"
        )


def _fast_bf16(accelerator: str) -> bool:
    """Whether bfloat16 is faster than float32. On CPUs that takes AMX: without it, products in bfloat16 take twice as long."""
    if accelerator != "cpu" and torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_amx_tile_supported()


def quiet() -> None:
    """Silence warnings of Lightning and torch about their usage."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    warnings.filterwarnings("ignore", category=FutureWarning, module="torch")
