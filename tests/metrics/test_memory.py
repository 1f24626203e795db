"""50,000 images of 2,048 features, real and generated, fit in 4 GB. KID and neighbours go through one block of rows of it:
the other 48 blocks are the same again."""

import subprocess
import sys

import pytest

CODE = """
import resource, torch
from genarena.metrics import fid_infinity
from genarena.metrics.fid import FrechetInceptionDistance
from genarena.metrics.fid_infinity import FIDInfinity
from genarena.metrics.vendi import vendi_score
from genarena.statistics import kernel, neighbours

torch.set_num_threads(1)
real, fake = torch.randn(50_000, 2048), torch.randn(50_000, 2048)
metric = FrechetInceptionDistance()
metric.update(real, fake)
assert metric.compute() > 0.0
metric = FIDInfinity()
metric.update(real, fake, torch.randperm(50_000))
metric.compute()
kernel.sums(real[:1024], fake, kernel.cubic)
neighbours.squared_radii(real[:1024], (3, 5))
neighbours.crossed(real[:1024], fake, {5: torch.full((1024,), 3900.0)}, {3: torch.full((50_000,), 3900.0)})
neighbours.nearest(real[:1024], fake)
vendi_score(fake[:8192])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_fifty_thousand_images_fit_in_four_gigabytes() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    kilobytes = int(done.stdout.split()[-1]) // (1024 if sys.platform == "darwin" else 1)
    assert 1.0e6 < kilobytes < 4.0e6  # kB; the features alone are 0.8 GB
