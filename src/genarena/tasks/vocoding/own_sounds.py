"""Clips and mels of one's own, made into sound by a finished run: checked first, then one file after the other."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch

from genarena.errors import UserError, printable
from genarena.evaluation import samplers
from genarena.evaluation.figures import png
from genarena.evaluation.sounds import save_wav, stacked
from genarena.files.atomic import replace_atomically
from genarena.models.vocoding import Vocodes
from genarena.options.values import absolute
from genarena.runs import stored_config
from genarena.runs.folder import RunFolder
from genarena.spec import DataSpec
from genarena.tasks import task_run
from genarena.tasks.vocoding.asked import Source, check_places, sources
from genarena.tasks.vocoding.copies import Copy, Distances, Draw, mean_distances, require, vocoded
from genarena.tasks.vocoding.sigma_curve import SigmaCurve


@dataclass(frozen=True)
class Request:
    """What is asked of a run.

    option, text: `audio` or `mel`, and its files. out: a name that ends in .wav for one file, else a folder. sigmas: of the
    noise; several give a curve; None: that of the model. denoise: see `Draw`. sampler: options of another one.
    """

    run: str
    option: str
    text: str
    out: Path
    sigmas: tuple[float, ...] | None = None
    denoise: float = 0.0
    seed: int = 0
    device: str = "cpu"
    sampler: Mapping[str, Any] = field(default_factory=dict)

    @property
    def has_curve(self) -> bool:
        return self.sigmas is not None and len(self.sigmas) > 1

    def place(self, name: str, ending: str) -> Path:
        """Of a file of a sound: beside `out`, or below it."""
        if self.out.suffix == ".wav":
            return self.out.with_name(f"{self.out.stem}{ending}")
        return self.out / f"{name}{ending}"

    def place_of_curve(self, suffix: str) -> Path:
        return self.place("sigma", f"-sigma{suffix}" if self.out.suffix == ".wav" else suffix)

    def endings(self) -> dict[float | None, str]:
        """Of the WAV file of each sigma."""
        if not self.has_curve:
            return {self.sigmas[0] if self.sigmas else None: ".wav"}
        return {sigma: f"-sigma{sigma:g}.wav" for sigma in self.sigmas}

    def places(self, found: list[Source]) -> list[Path]:
        """All files that are written."""
        endings = [*self.endings().values(), ".png"]
        own = [self.place(source.name, ending) for source in found for ending in endings]
        return own + ([self.place_of_curve(suffix) for suffix in (".png", ".csv")] if self.has_curve else [])


@dataclass(frozen=True)
class OwnSounds:
    """A request that can be fulfilled."""

    request: Request
    found: list[Source]
    folder: RunFolder
    spec: DataSpec

    @classmethod
    def checked(cls, request: Request) -> "OwnSounds":
        """Raises UserError for files, places, a run or options that do not fit: see `sources`, `check_places`, `require`,
        `Source.read`. The model is built, but its weights are not loaded, and nothing is written."""
        found = sources(request.option, request.text)
        _check_out(request, found)
        check_places(request.places(found), found)
        folder = task_run.finished(request.run)[0]
        cfg = stored_config.load(folder.config)
        with folder.bounded():
            model = folder.untrained(cfg)
        require(model, request.sigmas, request.denoise)
        if request.sampler:
            samplers.chosen(cfg, request.sampler)
        for source in found:
            source.read(model.spec)
        return cls(request, found, folder, model.spec)

    def lines(self) -> Iterator[str]:
        """Make and write the sounds; a line about each, and about all. A file that is there is complete, also after an error.

        Raises UserError for sound that is not finite.
        """
        cfg, model = self.folder.rebuild(self.request.device)
        if self.request.sampler:
            samplers.use(model, samplers.chosen(cfg, self.request.sampler))
        found: dict[float, list[Distances]] = defaultdict(list)
        for source in self.found:
            for sigma, copy, path in self._written(model, source):
                found[sigma].append(copy.distances)
                yield f"{printable(path)}: {self._told(copy)}"
        if self.request.has_curve:
            curve = SigmaCurve.of(found, model.usual_sigma)
            drawn, places = curve.drawn(), [self.request.place_of_curve(suffix) for suffix in (".png", ".csv")]
            replace_atomically(places[0], lambda temporary: temporary.write_bytes(drawn))
            replace_atomically(places[1], lambda temporary: temporary.write_text(curve.csv()))
            yield f"{curve.table()}\ncurve: {printable(places[0])}"
        elif len(self.found) > 1:
            yield f"mean of {len(self.found)}: {_listed(mean_distances(next(iter(found.values()))))}"

    def _written(self, model: Vocodes, source: Source) -> list[tuple[float, Copy, Path]]:
        """Each sigma, its sound and the path of that. All are made, and drawn, before the first is written."""
        request, asked = self.request, source.read(self.spec)
        made = []
        for sigma, ending in request.endings().items():
            sigma = (model.usual_sigma or 1.0) if sigma is None else sigma
            copy = vocoded(model, asked, Draw(sigma, request.denoise, request.seed))
            made.append((sigma, copy, request.place(source.name, ending)))
        by = f"made by {type(model).__name__}"
        titles = [f"{by}, sigma {sigma:g}" if request.has_curve else by for sigma, *_ in made]
        shown = {"asked for": asked.mel} | {title: copy.mel for title, (_, copy, _) in zip(titles, made, strict=True)}
        drawn = png(stacked(shown, self.spec.sample_rate))
        for _, copy, path in made:
            replace_atomically(path, partial(save_wav, copy.levels, self.spec.sample_rate))
        replace_atomically(request.place(source.name, ".png"), lambda temporary: temporary.write_bytes(drawn))
        return made

    def _told(self, copy: Copy) -> str:
        num, rate = copy.levels.shape[1], self.spec.sample_rate
        threads = torch.get_num_threads()
        on = self.request.device if self.request.device != "cpu" else f"cpu, {threads} thread{'s' * (threads > 1)}"
        speed = f"{copy.seconds * rate / num:.3g} s for a second of sound, {num / copy.seconds / 1000:.3g} kHz ({on})"
        return f"{num / rate:.2f} s; {speed}; {_listed(copy.distances)}"


def _listed(distances: Distances) -> str:
    return ", ".join(f"{title} {value:.4f}" for title, value in distances.items())


def _check_out(request: Request, found: list[Source]) -> None:
    """Raise UserError if one file is to become a folder, or many one file."""
    is_file, many = request.out.suffix == ".wav", len(found) > 1
    if many and is_file:
        raise UserError(f"out={request.out}: {len(found)} sounds are made: expected a folder, without .wav")
    if not many and not is_file and not Path(absolute(request.text)).is_dir():
        raise UserError(f"out={request.out}: expected a name that ends in .wav")
