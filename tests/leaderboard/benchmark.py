"""A benchmark that never ran: 14 models and three seeds, with all that a row may say; for the tests of the page."""

import math
import random
from pathlib import Path
from typing import Any

from PIL import Image

from genarena.leaderboard.runs import COSTS
from tests.leaderboard.rows import make_row, write_rows

FAMILIES = {
    "uniform": "baseline",
    "gaussian": "baseline",
    "memoriser": "baseline",
    "heldout": "baseline",
    "vae": "vae",
    "hvae": "vae",
    "realnvp": "flow",
    "glow": "flow",
    "pixelcnn": "autoregressive",
    "dcgan": "gan",
    "sngan": "gan",
    "ddpm": "diffusion",
    "ebm": "energy",
    "injective_flow": "invertible_ae",
}
LIKELIHOODS = {
    "vae": "lower_bound",
    "hvae": "lower_bound",
    "realnvp": "exact",
    "glow": "exact",
    "pixelcnn": "exact",
    "ddpm": "lower_bound",
    "ebm": "estimate",
    "uniform": "exact",
    "gaussian": "exact",
}
METRICS = {  # key -> title, unit, higher_is_better, towards_real, real, worst value
    "fd_domain": ("FD domain", "", False, False, 4.13, 115.0),
    "precision": ("precision", "", True, False, 0.95, 0.4),
    "recall": ("recall", "", None, True, 0.88, 0.05),
    "density": ("density", "", None, True, 1.0, 0.2),
    "coverage": ("coverage", "", True, False, 0.97, 0.17),
    "vendi": ("Vendi", "", None, True, 4.0, 1.9),
    "class_histogram_kl": ("class KL", "nats", False, False, 0.01, 0.46),
    "nearest_neighbour_ratio": ("NN ratio", "", None, True, 1.0, 3.5),
    "authpct": ("AuthPct", "%", None, True, 78.0, 97.0),
    "c_t": ("C_T", "", None, True, 0.0, 12.0),
}


def benchmark(
    data: str = "digits-b25f50b4", seeds: int = 3, columns: dict[str, dict[str, Any]] | None = None
) -> list[dict[str, Any]]:
    """The rows, the same at every call. columns: key -> title and aspect: rows have these metrics and costs, and no others."""
    return [_row(model, seed, data, columns) for model in FAMILIES for seed in range(seeds)]


def furnish(folder: Path, rows: list[dict[str, Any]]) -> Path:
    """Write the rows with pictures and curves. Returns the folder of runs."""
    write_rows(folder, rows)
    for index, row in enumerate(rows):
        if not row["metrics"]:
            continue
        run = folder / "digits" / row["model"] / str(index)
        (run / "samples").mkdir()
        for name in ("final", "neighbours"):
            noise = Image.effect_noise((82, 82), 30 + 5 * index % 60)
            noise.save(run / "samples" / f"{name}.png")
        (run / "metrics.csv").write_text(_curves(row))
        (run / "config.yaml").write_text(f"model: {row['model']}\nseed: {row['seed']}\n")
    return folder


def _only(columns: dict[str, dict[str, Any]], metrics: dict[str, Any], cost: dict[str, Any]) -> tuple[dict, dict]:
    """The metrics and costs of these columns; those that no row here has get a plain record."""
    chosen = {}
    for key, about in columns.items():
        if key not in COSTS and about["aspect"] != "about":
            plain = {"value": 1.0, "n": 360, "title": about["title"], "higher_is_better": False}
            plain |= {"likelihood": "exact"} if about["aspect"] == "likelihood" else {}
            chosen[key] = metrics[key] if metrics.get(key, {}).get("value") is not None else plain
    measured = {name: 3 for name in COSTS if name in columns}
    return chosen, measured | {key: value for key, value in cost.items() if key in columns or key not in COSTS}


def _row(model: str, seed: int, data: str, columns: dict[str, dict[str, Any]] | None) -> dict[str, Any]:
    draw, place = random.Random(f"{model}{seed}{data}"), list(FAMILIES).index(model)
    rank = {"uniform": 1.0, "gaussian": 0.5, "memoriser": 0.0, "heldout": 0.02}.get(model, 0.05 + 0.03 * place)
    metrics = {}
    for key, (title, unit, higher, towards, real, worst) in METRICS.items():
        value = real + (worst - real) * rank * math.exp(draw.gauss(0.0, 0.12))
        metrics[key] = {
            "value": value,
            "n": 1000,
            "title": title,
            "unit": unit,
            "higher_is_better": higher,
            "standard_error": abs(value) * 0.02,
            "real": real,
            "real_from": "train",
            "backbone": {"name": "domain-classifier-1f97a35a", "weights": "a707a58b"},
        } | ({"towards_real": True} if towards else {})
    kind = LIKELIHOODS.get(model, "none")
    for key, title, unit, scale in (("bits_per_dim", "bits/dim", "", 1.0), ("nll_nats", "NLL", "nats", 44.4)):
        if kind == "none":
            metrics[key] = {"value": None, "reason": "the model has no likelihood"}
            continue
        value = scale * (1.8 + 2.2 * rank + draw.gauss(0.0, 0.02))
        metrics[key] = {"value": value, "n": 360, "title": title, "unit": unit, "higher_is_better": False}
        metrics[key] |= {"likelihood": kind, "standard_error": 0.015 * scale}
    flops = round(10 ** (10 + 0.25 * place))
    cost = {
        "parameters": 100_000 + 137_000 * place if FAMILIES[model] != "baseline" else 0,
        "train_seconds": 30.0 + place,
        "examples_seen": 60_000,
        "train_flops": flops if FAMILIES[model] != "baseline" else None,
        "sample_flops": flops // 10**5,
        "nfe": 50 if model == "ddpm" else 64 if model == "pixelcnn" else 1,
        "sample_seconds_per_image": 1e-5 * 10 ** (place / 4),
        "peak_memory_mb": 900.0,
        "device": "AMD EPYC",
        "world_size": 1,
    }
    metrics, cost = _only(columns, metrics, cost) if columns else (metrics, cost)
    settings = {"model._target_": f"genarena.models.{model}", "model.hidden_channels": 64, "optimizer.lr": 0.001}
    return make_row(model, seed, family=FAMILIES[model], likelihood=kind, metrics=metrics, cost=cost) | {
        "data": {"id": data, "split": "test", "splits": {"train": 1257, "val": 180, "test": 360}},
        "line": {"id": f"{place:08x}", "settings": settings, "sources": {f"genarena.models.{model}": "ab" * 32}},
        "selected": {"by": "val/fd_domain", "share": 0.8},
        "machine": {"cpu_share": 0.97, "threads": 2, "load": [0.5, 0.6], "gflops": [51.0, 50.0], "starved": None},
        "run": f"{model}-{seed}-{data}",
    }


def _curves(row: dict[str, Any]) -> str:
    final, bits = (row["metrics"][key]["value"] for key in ("fd_domain", "bits_per_dim"))
    lines = ["step,train/loss,progress,val/loss,val/fd_domain,val/bits_per_dim"]
    for i in range(1, 11):
        over = 1.0 + 3.0 * math.exp(-i / 3)
        lines += [f"{10 * i - 5},{over},{i / 10 - 0.05},,,"]
        lines += [f"{10 * i},,{i / 10},{over},{final * over},{bits * over if bits else ''}"]
    return "\n".join(lines) + "\n"
