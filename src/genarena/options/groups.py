"""Options that belong to no constructor: those without a group (`seed`, ...), and those of groups such as budget."""

from dataclasses import dataclass
from typing import Any, Literal

from genarena.options.values import Count, Folder, NonNegative, Positive, Project, Seed, Share, Whole, hints


@dataclass
class Line:
    seed: Seed
    runs_dir: Folder
    resume: Folder | None
    debug: bool


@dataclass
class Budget:
    minutes: Positive | None
    examples: Count | None
    flops: Positive | None
    validations: Count
    num_val: Count
    num_samples: Count
    num_test: Count


@dataclass
class Trainer:
    """The options of the trainer that a user may set; the budget and the run decide the others."""

    accelerator: Literal["cpu", "gpu", "cuda", "mps", "auto"]
    strategy: Literal["ddp", "fsdp"] | None
    devices: int
    srun: bool
    timeout: Positive
    precision: Literal["auto", "32-true", "bf16-mixed"]  # weights, likelihoods and sums are always in float32
    compile: bool
    channels_last: bool
    sync_batchnorm: bool
    deterministic: bool | Literal["warn"] | None
    benchmark: bool | None
    detect_anomaly: bool
    profiler: Literal["simple", "advanced"] | None


@dataclass
class Callbacks:
    max_skips: Whole
    max_rollbacks: Whole
    lr_factor: Share
    progress: bool
    grid_size: Count


@dataclass
class Logger:
    kind: Literal["csv", "wandb", "tensorboard", "none"]
    project: Project
    entity: str | None
    offline: bool | None
    log_model: bool
    init_timeout: Positive
    finish_timeout: Positive


@dataclass
class Launcher:
    kind: Literal["process", "slurm"]
    slots: Count | None
    nodes: Count
    partition: str | None
    account: str | None
    minutes: Positive
    warn_seconds: Whole
    cores_per_task: Count
    memory_gb: Count


@dataclass
class Optimizer:
    """Options that torch's optimisers share, with ranges, which torch's own annotations lack."""

    lr: Positive
    weight_decay: NonNegative


GROUPS: dict[str, dict[str, Any]] = {
    "": hints(Line),
    "budget": hints(Budget),
    "trainer": hints(Trainer),
    "callbacks": hints(Callbacks),
    "logger": hints(Logger),
    "launcher": hints(Launcher),
}
OF_FOREIGN = {
    "pytorch_lightning.Trainer": hints(Trainer),
    "torch.optim.": hints(Optimizer),
}  # a key that ends in a dot is a prefix
