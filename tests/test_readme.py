"""The README's own example: the model that it shows works as it stands there."""

import itertools
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
import yaml

from genarena import api
from genarena.build import build
from genarena.data.digits import Digits
from genarena.spec import DataSpec

TEXT = (Path(__file__).parents[1] / "README.md").read_text()


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> dict:
    """The YAML of the example; its module can be imported under the path that the README gives."""
    path, code = re.search(r"```python\n# src/(\S+)\.py\n(.*?)```", TEXT, re.DOTALL).groups()
    module = ModuleType(path.replace("/", "."))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(code, path, "exec"), vars(module))
    name, text = re.search(r"```yaml\n# conf/model/(\w+)\.yaml\n(.*?)```", TEXT, re.DOTALL).groups()
    assert path.endswith(f"/{name}")
    return yaml.safe_load(text)


def model(node: dict, spec: DataSpec) -> torch.nn.Module:
    return build(node | {"spec": {"_target_": "genarena.spec.DataSpec", **vars(spec)}}, "model")


def test_its_probabilities_sum_to_one(node: dict) -> None:
    pair = model(node, DataSpec((1, 1, 2), 3))
    torch.nn.init.normal_(pair.logits)
    every = torch.tensor(list(itertools.product(range(3), repeat=2)), dtype=torch.uint8).view(9, 1, 1, 2)
    assert pair.log_prob(every).exp().sum().item() == pytest.approx(1.0, abs=1e-6)


def test_it_trains_to_the_frequencies_of_the_data(node: dict) -> None:
    """The best independent pixels are the frequencies of each level at each place."""
    data = Digits(DataSpec((1, 8, 8), 17, 10), batch_size=128)
    data.setup()
    fitted = api.fit(model(node, data.spec), data, examples=40_000)
    levels = torch.nn.functional.one_hot(data.train.x.long(), 17).double().mean(0)
    learnt = fitted.model.distribution().probs.detach().double()
    assert (learnt - levels).abs().max() < 0.05
    assert fitted.model.sample(3).dtype == torch.uint8
