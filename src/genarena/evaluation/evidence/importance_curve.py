"""Importance weights of many draws, which give the bound for every smaller number of draws too."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from genarena.evaluation.evidence.base import Kind, piece
from genarena.likelihood import log_mean_exp
from genarena.options.settings import Settings
from genarena.options.values import Count


@dataclass(frozen=True)
class ImportanceCurveSettings(Settings):
    """k: increasing numbers of draws. num_test: largest number of test examples."""

    k: Sequence[Count] = (1, 10, 100, 1000, 5000)
    num_test: Count = 16

    def check(self) -> None:
        if not self.k or list(self.k) != sorted(set(self.k)):
            raise ValueError(f"k={self.plain['k']}: expected rising numbers")


class ImportanceCurve(Kind):
    """log w = log p(x, z) - log q(z | x) for draws z ~ q."""

    Settings = ImportanceCurveSettings

    @piece
    def iw_bounds_k(self) -> list[int]:
        return list(self.settings.k)

    @piece
    def iw_log_weights(self, iw_bounds_k: list[int]) -> Tensor:
        """(k, N) float64 nats of `num_test` test examples, k the largest of `iw_bounds_k`."""
        self.subject.require_weights()
        split, draws = self.subject.test(self.settings.num_test), iw_bounds_k[-1]
        jobs = [
            (row, block) for row in range(split.size) for block in self.subject.slices(draws)
        ]  # draws of one example

        def weights(job: tuple[int, slice]) -> Tensor:
            row, block = job
            x, y = self.subject.on_device(split[row : row + 1])
            return self.subject.model.log_weights(x, y, num_samples=block.stop - block.start).flatten()

        chunks = self.subject.blocks(weights, jobs, f"importance weights, k={draws}")
        found = torch.cat(chunks).double().view(split.size, draws).T
        self.subject.possible(log_mean_exp(found), split)
        return found

    def facts(self, piece: str) -> dict[str, Any]:
        draws, split = self.settings.k[-1], self.subject.split_name(self.settings.num_test)
        estimator = self.subject.model.estimator(draws)
        facts = {"split": split, "draws": draws, "estimator": estimator}
        return self.subject.given | facts if piece == "iw_log_weights" else {}
