"""What a run does not use is not imported, and who wants it still gets it."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UNUSED = (
    "matplotlib",
    "networkx",
    "pandas",
    "scipy",
    "sklearn",
    "sympy",
    "tensorboard",
    "torch._dynamo",
    "torch._inductor",
    "torch.distributed.fsdp",
    "torch.distributed.tensor",
    "torch_fidelity",
    "torchmetrics.functional",
    "torchmetrics.image",
    "torchvision",
    "wandb",
)


def python(program: str, *arguments: str) -> list[str]:
    """The lines that a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_run_imports_nothing_that_it_does_not_use(tmp_path: Path) -> None:
    program = """
import sys, train
from genarena import cli
cli.start(train.main)
print("modules:", *sys.modules)
"""
    options = ["model=vae", "data=digits", "budget=smoke", "budget.minutes=0.001", "callbacks.progress=false"]
    options += ["metrics=[nll_nats,nearest_neighbour_ratio,recall,sampling_seconds]", f"runs_dir={tmp_path}"]
    *_, last = python(program, *options)
    modules = set(last.split())
    assert "pytorch_lightning" in modules and list(tmp_path.glob("digits/vae/*/samples/final.png"))
    assert not modules.intersection(UNUSED)


@pytest.mark.slow
def test_the_whole_of_torchmetrics_is_there_for_who_asks_for_it_later() -> None:
    program = """
import genarena, pytorch_lightning, sys
import torch, torchmetrics
from torchmetrics import Metric, MetricCollection
assert "torchmetrics.image" not in sys.modules
assert pytorch_lightning.core.module.Metric is Metric
early = type("Count", (Metric,), {"update": lambda self: None, "compute": lambda self: torch.ones(())})()
import torchmetrics.wrappers
from torchmetrics.functional import accuracy
mean = torchmetrics.MeanMetric()
mean.update(3.0)
assert mean.compute() == 3 and isinstance(mean, Metric) and torchmetrics.Metric is Metric
assert torchmetrics.MetricCollection is MetricCollection and "Accuracy" in torchmetrics.__all__
early.update()
assert all(type(metric._plot()[0]).__name__ == "Figure" for metric in (mean, early))
assert type(torchmetrics) is type(sys) and torchmetrics.__file__ == torchmetrics.__spec__.origin
"""
    python(program)


@pytest.mark.slow
def test_what_was_imported_before_stays_as_it_is() -> None:
    program = """
import torchmetrics, torch._dynamo
before = dict(vars(torchmetrics))
import genarena, pytorch_lightning
from lightning_fabric import wrappers
assert vars(torchmetrics) == before and wrappers.OptimizedModule is torch._dynamo.OptimizedModule
"""
    python(program)


def test_optimisers_and_lightning_do_without_the_compiler_and_with_it() -> None:
    """One process for both, and for all models: importing the compiler takes longer than the rest."""
    program = """
import genarena.models, importlib, pkgutil, pytorch_lightning, sys, torch
for found in pkgutil.walk_packages(genarena.models.__path__, "genarena.models."):
    importlib.import_module(found.name)
assert "torch._dynamo" not in sys.modules
from lightning_fabric.wrappers import OptimizedModule
def step(**options):
    layer = torch.nn.Linear(2, 1)
    torch.nn.init.ones_(layer.weight)
    optimizer = torch.optim.AdamW(layer.parameters(), 0.1, **options)
    (layer.weight.square().sum()).backward()
    optimizer.step()
    assert torch.is_grad_enabled() and layer.weight.grad_fn is None
    return layer.weight.tolist()
alone = step()
assert "torch._dynamo" not in sys.modules and alone != [[1.0, 1.0]]
layer = torch.nn.Linear(1, 1)
assert not isinstance(layer, OptimizedModule) and "torch._dynamo" not in sys.modules
counter = torch.utils.flop_counter.FlopCounterMode(display=False)
with counter:
    layer(torch.ones(1, 1))
assert counter.get_total_flops() == 2 and "torch._dynamo" not in sys.modules
compiled = torch.compile(layer, backend="eager")
with counter:
    compiled(torch.ones(1, 1))
assert counter.get_total_flops() == 2
assert isinstance(compiled, OptimizedModule) and not isinstance(layer, OptimizedModule)
assert torch._dynamo.OptimizedModule is type(compiled)
from genarena.startup.lean_lightning import uncompiled
seen = []
@uncompiled
def outside(x):
    seen.append(torch.compiler.is_compiling())
    return x + 1.0
twice = torch.compile(lambda x: outside(2.0 * x) + 1.0, backend="eager")
assert [twice(torch.ones(())).item() for _ in range(2)] == [4.0, 4.0] and seen == [False, False]
import torch._dynamo
assert step() == alone
"""
    python(program)
