"""Images from guides: noise covers what is wrong with a guide, and the model makes an image of what is left."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from genarena.models.base import GenerativeModel
from genarena.models.capabilities import Decodes, Denoises
from genarena.models.diffusion.paths import DATA
from genarena.models.diffusion.samplers import DDIM, Ancestral, clipped
from genarena.options.values import Count
from genarena.tasks.base import Algorithm
from genarena.tasks.editing.codes import image_of, levels_of
from genarena.tasks.editing.probability_flow import Flow

SAMPLERS = {"ancestral": Ancestral, "ddim": DDIM}


@dataclass(frozen=True)
class Noising(Algorithm):
    """Makes images from guides."""

    @abstractmethod
    def draw(
        self,
        model: GenerativeModel,
        guide: Tensor,
        t: float,
        noise: Callable[[Tensor], Tensor],
        y: Tensor | None = None,
    ) -> Tensor:
        """Images (N, *shape), in the space of the guides (N, *shape), [-1, 1] for levels; not rounded.

        t: how much noise, in (0, 1]: near 0 the guide stays, at 1 nothing of it. noise: standard normal numbers like its
        argument.
        """

    @abstractmethod
    def evaluations(self) -> int:
        """Network evaluations of an image."""


@dataclass(frozen=True)
class SDEdit(Noising):
    """x_t = a g + s eps at the time t of the model's path, then its sampler from there (Meng et al. 2021, arXiv 2108.01073,
    algorithm 1): a draw of p(x_0 | x_t) as the steps grow.

    For N(m, S) and K = a^2 S (a^2 S + s^2 I)^-1 the ancestral sampler gives N(m + K (g - m), (I - K) S + (s / a)^2 K K^T), and
    the probability flow (`ddim`) the mean m + a S^(1/2) (a^2 S + s^2 I)^(-1/2) (g - m) and the covariance s^2 S (a^2 S + s^2
    I)^-1.
    sampler: ancestral or ddim. steps: from t to the data, a network evaluation each. clip: predictions of levels, to their
    range.
    """

    name = "sdedit"
    needs = Denoises
    exactness = "asymptotic"
    paper = "2108.01073"

    sampler: Literal["ancestral", "ddim"] = "ancestral"
    steps: Count = 50
    clip: bool = True

    def draw(
        self,
        model: GenerativeModel,
        guide: Tensor,
        t: float,
        noise: Callable[[Tensor], Tensor],
        y: Tensor | None = None,
    ) -> Tensor:
        flow = Flow(model, self.steps - 1, y, last=t)
        start = flow.levels[0]
        x = start.a * guide + start.s * noise(guide)
        denoise = clipped(flow, -1.0, 1.0) if self.clip and model.spec.is_discrete else flow
        return SAMPLERS[self.sampler]()(denoise, x, [*flow.levels, DATA], noise)

    def evaluations(self) -> int:
        return self.steps


@dataclass(frozen=True)
class EncodeNoiseDecode(Noising):
    """decode((1 - t^2)^(1/2) encode(g) + t eps), the analogue for a model with codes like N(0, I): at t = 1 a sample of it."""

    name = "encode_noise_decode"
    needs = Decodes
    exactness = "heuristic"

    def draw(
        self,
        model: GenerativeModel,
        guide: Tensor,
        t: float,
        noise: Callable[[Tensor], Tensor],
        y: Tensor | None = None,
    ) -> Tensor:
        z = model.encode(levels_of(guide, model), y).float()
        z = (1.0 - t**2) ** 0.5 * z + t * noise(z)
        return image_of(model, z, y)

    def evaluations(self) -> int:
        return 2
