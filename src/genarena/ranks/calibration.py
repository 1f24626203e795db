"""The speed of this machine: float32 matrix products for half a second, compared with the best that was measured here before.

It finds what no count of CPU seconds shows: a lower clock, a neighbour on the other half of a core, a GPU that others use.
Time in which the process had no core is counted elsewhere (`ranks.machine`) and would count twice: on a CPU the products are
far shorter than the time a process keeps a core, and the fastest tenth counts.
The best values are kept in the cache folder, for each computer, device, number of threads and of ranks, and version of torch.
"""

import contextlib
import json
import platform
import time

import torch

from genarena.errors import ArenaError
from genarena.files.atomic import replace_atomically
from genarena.files.cache import cache_folder
from genarena.ranks import world
from genarena.ranks.machine import ENOUGH
from genarena.runs.provenance import processor

FILE = "calibration.json"  # in the cache folder: removed, the next run is compared with itself only
SECONDS = 0.5
TRIES = 3
ROWS_ON_GPU = 4096  # of the matrices: some milliseconds
ROWS_PER_THREAD = 256  # less than a millisecond; the work grows with the number of threads


def steady(device: torch.device, seconds: float = SECONDS) -> float:
    """The result of `measure`; where that is too little, the best of `TRIES`, so that a short disturbance does not count."""
    found = [measure(device, seconds)]
    while len(found) < TRIES and max(found) < ENOUGH * best(device, found):
        found.append(measure(device, seconds))
    return max(found)


def measure(device: torch.device, seconds: float = SECONDS) -> float:
    """GFLOP/s of products of square matrices with the present number of threads, measured for `seconds`.

    On a CPU the 90th percentile over the products, on a GPU, whose use by others nothing else shows, the median.
    """
    on_cpu = device.type == "cpu"
    rows = round(ROWS_PER_THREAD * torch.get_num_threads() ** (1.0 / 3.0)) if on_cpu else ROWS_ON_GPU
    matrix = torch.full((rows, rows), rows**-0.5, device=device)
    rates: list[float] = []
    end = time.perf_counter() + seconds
    with torch.no_grad(), torch.autocast(device.type, enabled=False):
        _time_of_product(matrix, device)  # warms up
        while not rates or time.perf_counter() < end:
            rates.append(2.0 * rows**3 / _time_of_product(matrix, device) / 1e9)
    return sorted(rates)[int((0.9 if on_cpu else 0.5) * len(rates))]


def _time_of_product(matrix: torch.Tensor, device: torch.device) -> float:
    began = time.perf_counter()
    torch.mm(matrix, matrix)
    if device.type != "cpu":
        getattr(torch, device.type).synchronize()
    return max(time.perf_counter() - began, 1e-9)


def best(device: torch.device, found: list[float]) -> float:
    """The largest of these measurements and of all earlier ones on this machine; it is remembered."""
    path, key = cache_folder() / FILE, _key(device)
    known = _known()
    largest = max([known.get(key, 0.0), *found])
    if largest > known.get(key, 0.0):
        with contextlib.suppress(OSError, ArenaError):  # without a cache a run is compared with itself
            replace_atomically(path, lambda temporary: temporary.write_text(json.dumps(known | {key: largest}) + "\n"))
    return largest


def _known() -> dict[str, float]:
    try:
        stored = json.loads((cache_folder() / FILE).read_text())
    except (OSError, ValueError):
        return {}
    return {key: value for key, value in stored.items() if isinstance(value, float)} if isinstance(stored, dict) else {}


def _key(device: torch.device) -> str:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
    number = f"{torch.get_num_threads()} threads" if device.type == "cpu" else device.type
    return f"{platform.node()}, {name}, {number}, {world.size()} ranks, torch {torch.__version__}"
