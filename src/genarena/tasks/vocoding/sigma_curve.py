"""How near sound is to its mel against sigma, the deviation of the noise that it is made from."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from genarena.evaluation.figures import figure, png
from genarena.tasks.vocoding.copies import Distances, mean_distances

ACROSS = 3  # plots beside each other


@dataclass(frozen=True)
class SigmaCurve:
    """means: name of a distance -> its mean over the clips at each sigma. usual: sigma where nobody says one."""

    sigmas: tuple[float, ...]
    means: Mapping[str, tuple[float, ...]]
    num_clips: int
    usual: float

    @classmethod
    def of(cls, distances: Mapping[float, Sequence[Distances]], usual: float) -> "SigmaCurve":
        """distances: sigma -> those of each clip, at least one, all of the same names."""
        sigmas = tuple(sorted(distances))
        found = [mean_distances(distances[sigma]) for sigma in sigmas]
        means = {title: tuple(each[title] for each in found) for title in found[0]}
        return cls(sigmas, means, len(distances[sigmas[0]]), usual)

    def rows(self) -> list[list[str]]:
        """A heading, and a line per sigma."""
        lines = [
            [f"{sigma:g}", *(f"{values[row]:.4f}" for values in self.means.values())]
            for row, sigma in enumerate(self.sigmas)
        ]
        return [["sigma", *self.means], *lines]

    def table(self) -> str:
        """The rows as a text, in columns."""
        rows = self.rows()
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)

    def csv(self) -> str:
        return "".join(f"{','.join(row)}\n" for row in self.rows())

    def drawn(self) -> bytes:
        """A PNG: a plot per distance; a vertical line is the usual sigma."""
        across, down = min(ACROSS, len(self.means)), math.ceil(len(self.means) / ACROSS)
        made = figure(0.4 + 3.6 * across, 0.2 + 2.8 * down)
        for place, (title, values) in enumerate(self.means.items(), 1):
            axes = made.add_subplot(down, across, place)
            axes.axvline(self.usual, color="0.7", linestyle="--", linewidth=1.0)
            axes.plot(self.sigmas, values, marker="o")
            axes.set_xlabel("sigma")
            axes.set_title(title, fontsize=10)
            axes.set_ylim(0.0, 1.1 * max(values))
        clips = "one clip" if self.num_clips == 1 else f"mean of {self.num_clips} clips"
        made.suptitle(f"{clips}; dashed: sigma = {self.usual:g}", fontsize=9)
        return png(made)
