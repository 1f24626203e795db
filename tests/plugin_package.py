"""Writes a plugin package with a model, a data set and a metric."""

from pathlib import Path

MODEL = '''"""Uniform noise over the first levels."""

import torch
from torch import Tensor

from genarena.models.baseline.uniform import Uniform
from genarena.options.values import Share
from genarena.spec import DataSpec
from genarena.training.module import Training


class Dim(Uniform):
    """A share of the levels, never the brightest."""

    def __init__(self, spec: DataSpec, training: Training | None = None, share: Share = 0.5) -> None:
        super().__init__(spec, training)
        self.share = share

    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        return (super().sample(num_samples, y) * self.share).to(torch.uint8)
'''
DATA = '''"""Vertical stripes."""

import torch

from genarena.data.base import ArenaDataModule
from genarena.data.splitting import seeded_split
from genarena.data.batches import Split
from genarena.options.values import Count


class Stripes(ArenaDataModule):
    """Pictures of 8x8 whose every second column is bright."""

    name = "stripes"

    width: Count = 1

    def load(self) -> tuple[Split, Split, Split]:
        x = (torch.arange(200 * 64) // self.width % 2 * 255).to(torch.uint8).view(200, 1, 8, 8)
        return seeded_split(Split(x + torch.arange(200, dtype=torch.uint8).view(-1, 1, 1, 1)), val=40, test=40)
'''
METRIC = '''"""The mean level of the samples."""

from torch import Tensor

from genarena.metrics.base import ArenaMetric


class MeanLevel(ArenaMetric):
    """In levels."""

    title = "mean level"
    unit = "levels"

    def __init__(self) -> None:
        super().__init__()
        self.mean, self.n = 0.0, 0

    def update(self, fake: Tensor) -> None:
        self.mean, self.n = fake.float().mean().item(), len(fake)

    def compute(self) -> float:
        return self.mean

    def record(self) -> dict:
        return {"n": self.n}
'''
MODEL_YAML = """_target_: {package}.models.baseline.dim.Dim
spec: ${{data.spec}}
training: {{_target_: genarena.training.module.Training, batch_size: 64}}
"""
DATA_YAML = """_target_: {package}.data.stripes.Stripes
spec: {{_target_: genarena.spec.DataSpec, shape: [1, 8, 8], num_levels: 256}}
root: ${{folder:data,GENARENA_DATA}}
batch_size: ${{model.training.batch_size}}
seed: ${{seed}}
num_val: ${{budget.num_val}}
"""


def write(folder: Path, package: str, installed: bool) -> Path:
    """Write the plugin `package` into `folder`. installed: with an entry point. Returns the path of its `conf`."""
    files = {
        "__init__.py": "",
        "models/baseline/dim.py": MODEL,
        "data/stripes.py": DATA,
        "metrics/mean_level.py": METRIC,
        "conf/model/dim.yaml": MODEL_YAML.format(package=package),
        "conf/data/stripes.yaml": DATA_YAML.format(package=package),
    }
    for name, text in files.items():
        path = folder / package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    if installed:
        info = folder / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[genarena.plugins]\n{package} = {package}\n")
    return folder / package / "conf"
