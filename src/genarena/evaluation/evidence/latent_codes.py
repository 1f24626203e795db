"""The parts of a bound over codes: what is left unsaid, what codes cost, and how far they tell examples apart."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from genarena.evaluation.evidence.base import Kind, piece
from genarena.likelihood import Parts
from genarena.metrics.base import Unavailable
from genarena.models.splitting import Splits
from genarena.options.settings import Settings
from genarena.options.values import Count


@dataclass(frozen=True)
class LatentCodesSettings(Settings):
    """num_test: largest number of test examples."""

    num_test: Count = 1_000


class LatentCodes(Kind):
    """log p(x) >= -(distortion + rate), of one draw of the codes of each test example."""

    Settings = LatentCodesSettings

    @piece
    def bound_parts(self) -> Parts:
        """Float64. Raises Unavailable for a model whose bound is not in two parts."""
        split, model = self.subject.test(self.settings.num_test), self._model()

        def parts(block: slice) -> Parts:
            found = model.parts(*self.subject.on_device(split[block]))
            return Parts(*(part.double().cpu() for part in found[:3]), found.layers)

        found = self.subject.blocks(parts, self.subject.slices(split.size), "rate and distortion")
        return Parts(*(torch.cat(part) for part in list(zip(*found, strict=True))[:3]), found[0].layers)

    @piece
    def code_information(self) -> Tensor:
        """(N,) float64 nats, log q(z_n|x_n) - log 1/N sum_m q(z_n|x_m). Raises Unavailable as `bound_parts` does."""
        split, model = self.subject.test(self.settings.num_test), self._model()
        (found,) = self.subject.blocks(
            lambda whole: model.information(*self.subject.on_device(split[whole])),
            [slice(0, split.size)],
            "information",
        )
        return found.double()

    def _model(self) -> Splits:
        if not isinstance(self.subject.model, Splits):
            raise Unavailable(f"the bound of {self.subject.model_name} is not in two parts, or it has none")
        return self.subject.model

    def facts(self, piece: str) -> dict[str, Any]:
        return self.subject.given | {"split": self.subject.split_name(self.settings.num_test), "draws": 1}
