"""Speed against a reference, measured in alternation: `python scripts/bench.py [name ...]`.

Each benchmark prints what it compares, and the ratio; where there are outputs, whether they agree.
"""

import itertools
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from genarena import cli
from genarena.data.base import ArenaDataModule
from genarena.data.batches import Batches
from genarena.errors import UserError
from genarena.jobs.speed import busy_machine, start_time
from genarena.models.base import GenerativeModel
from genarena.published.speed.baselines import gmm, kde
from genarena.published.speed.diffusions import iddpm, vdm
from genarena.published.speed.energies import ebm, jem, rbm, recovery_ebm
from genarena.published.speed.evaluation import frechet, inception, kernel_distance, neighbours
from genarena.published.speed.flows import ffjord, iaf, maf, nice, nsf, nsf_autoregressive, realnvp, residual_flow
from genarena.published.speed.gan_loops import infogan, r3gan, sngan, stylegan2, wgan_gp
from genarena.published.speed.gans import dcgan, lsgan
from genarena.published.speed.image_flows import glow, glow_spline
from genarena.published.speed.jumps import consistency, meanflow, shortcut
from genarena.published.speed.ladders import lvae, vdvae
from genarena.published.speed.made import made
from genarena.published.speed.manifolds import free_form_flow, injective_flow, manifold_flow
from genarena.published.speed.pictures import ddpm, flow_matching, image_gpt
from genarena.published.speed.pixelcnns import pixelcnn, pixelcnn_pp
from genarena.published.speed.scores import edm, score_sde
from genarena.published.speed.tokens import d3pm, masked_diffusion, tarflow
from genarena.published.speed.vaes import iwae, vae, vae_iaf, vamp_vae, vqvae
from genarena.published.speed.waveglow import waveglow
from genarena.spec import DataSpec


def lightning_overhead(num_batches: int = 200, num_rounds: int = 5) -> str:
    """A run's training loop (Trainer, EMA, budget, logging) against the bare loop: VAE on the digits, shipped size."""
    import tempfile

    from genarena.build import build
    from genarena.config import compose
    from genarena.training.callbacks.budget import Budget
    from genarena.training.callbacks.ema import EMA

    torch.manual_seed(0)
    cfg = compose(["model=vae", "data=digits", "trainer.precision=32-true"])
    data = build(cfg.data, "data")
    data.setup()
    times: dict[str, list[float]] = {"trainer": [], "loop": []}
    for _ in range(num_rounds):
        with tempfile.TemporaryDirectory() as folder:
            model = build(cfg.model, "model")
            budget = Budget(None, num_batches * data.batch_size)
            trainer = build({"_target_": "pytorch_lightning.Trainer", "_partial_": True}, "trainer")(
                accelerator="cpu",
                max_epochs=-1,
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                default_root_dir=folder,
                limit_val_batches=0,
                log_every_n_steps=1,
                callbacks=[EMA(model.settings.ema_decay or 0.999), budget],
            )
            trainer.fit(model, datamodule=data)
            times["trainer"].append(budget.seconds / num_batches)
            times["loop"].append(_bare_loop(build(cfg.model, "model"), data, num_batches) / num_batches)
    ours, bare = (statistics.median(times[name]) for name in ("trainer", "loop"))
    shown = f"trainer {1e3 * ours:.2f} ms, bare loop {1e3 * bare:.2f} ms per step, {100 * (ours / bare - 1):+.1f}%"
    return f"lightning_overhead: {shown}"


def _bare_loop(model: GenerativeModel, data: ArenaDataModule, num_batches: int) -> float:
    """What a plain script does: loss, backward, clipping, optimiser, exponential average."""
    optimizer = model.settings.optimizer(model.parameters())
    averaged = [parameter.detach().clone() for parameter in model.parameters()]
    batches = iter(Batches(data.train, data.batch_size, shuffle=True, augment=data.augment))
    start = time.perf_counter()
    for _ in range(num_batches):
        optimizer.zero_grad()
        model.loss(next(batches))["loss"].backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        torch._foreach_lerp_(averaged, [parameter.detach() for parameter in model.parameters()], 0.001)
    return time.perf_counter() - start


def loader(num_images: int = 6_000, num_rounds: int = 5) -> str:
    """Images/s at 3x64x64: CelebA's JPEG files by two workers, and mirrored batches from memory; the best of several rounds.

    The files are those of $GENARENA_DATA/celeba where it is there, else 200 smooth noisy pictures of 178x218.
    """
    import os
    import tempfile

    from genarena.data.batches import Split
    from genarena.data.celeba import CelebA
    from genarena.data.reading.pictures import Pictures, Sources

    spec = DataSpec((3, 64, 64), 256)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(os.environ.get("GENARENA_DATA") or "data") / "celeba" / "img_align_celeba"
        if not folder.is_dir():
            folder = _faces(Path(temporary))
        names = list(itertools.islice(itertools.cycle(sorted(path.name for path in folder.iterdir())), num_images))
        pictures = Pictures(Sources(folder, names), CelebA(spec).recipe(), num_workers=2)
        files = _best(
            lambda: pictures.batches(slice(first, first + 128) for first in range(0, num_images, 128)), num_rounds
        )
        size = sum((folder / name).stat().st_size for name in names) / num_images
    data = CelebA(spec, flip=True)
    images = Split(torch.randint(256, (20_000, *spec.shape), dtype=torch.uint8))
    memory = _best(
        lambda: (batch.x for batch in itertools.islice(Batches(images, 128, shuffle=True, augment=data.augment), 400)),
        num_rounds,
    )
    return f"loader: 3x64x64, JPEG files of {size:,.0f} bytes by two workers {files}; mirrored batches from memory {memory}"


def _faces(folder: Path) -> Path:
    """Pictures that cost a decoder about what faces cost: of CelebA's size and, within a tenth, its bytes."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    for number in range(200):
        coarse = Image.fromarray(rng.integers(0, 256, (9, 7, 3), np.uint8)).resize((178, 218), Image.Resampling.BICUBIC)
        noisy = np.asarray(coarse) + rng.normal(0.0, 3.0, (218, 178, 3))
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / f"{number:06d}.jpg", quality=90)
    return folder


def _best(batches: Callable[[], Iterator[Tensor]], num_rounds: int) -> str:
    """Images per second of wall time, and per second of one CPU: the second holds on a machine that does other things too."""
    wall, cpu = [], []
    for _ in range(num_rounds):
        start, before = time.perf_counter(), _cpu_seconds()
        count = sum(len(images) for images in batches())
        wall.append(count / (time.perf_counter() - start))
        cpu.append(count / (_cpu_seconds() - before))
    return f"{max(wall):,.0f} images/s ({max(cpu):,.0f} per second of one CPU)"


def _cpu_seconds() -> float:
    """Of this process and of its workers, which have ended."""
    import multiprocessing
    import resource

    while multiprocessing.active_children():
        time.sleep(0.01)
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


EVALUATION = (neighbours, kernel_distance, frechet, inception)
TRAINING = (busy_machine, waveglow, lightning_overhead, loader)
AUTOENCODERS = (vae, iwae, vamp_vae, vae_iaf, lvae, vdvae, vqvae)
FLOWS = (realnvp, nice, maf, iaf, nsf, nsf_autoregressive, glow, glow_spline, residual_flow, ffjord, tarflow)
LEVELS = (made, pixelcnn, pixelcnn_pp, image_gpt, masked_diffusion, d3pm)
GANS = (dcgan, lsgan, wgan_gp, sngan, r3gan, infogan, stylegan2)
DIFFUSIONS = (ddpm, iddpm, edm, score_sde, vdm, flow_matching, consistency, shortcut, meanflow)
ENERGIES, MANIFOLDS = (rbm, ebm, jem, recovery_ebm), (injective_flow, free_form_flow, manifold_flow)
MEMBERS = (*AUTOENCODERS, *FLOWS, *LEVELS, *GANS, *DIFFUSIONS, *ENERGIES, *MANIFOLDS, gmm, kde)
BENCHMARKS = {function.__name__: function for function in (start_time, *EVALUATION, *TRAINING, *MEMBERS)}


def main(names: list[str]) -> None:
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        raise UserError(f"unknown benchmark {', '.join(unknown)}: choose from {', '.join(BENCHMARKS)}")
    for name in names or BENCHMARKS:
        print(BENCHMARKS[name](), flush=True)


if __name__ == "__main__":
    cli.guard(lambda: main(sys.argv[1:]))
