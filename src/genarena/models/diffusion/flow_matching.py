"""Flow matching on straight lines (Lipman et al. 2022, arXiv 2210.02747; Liu et al. 2022, arXiv 2209.03003, rectified flow).

With `coupling: optimal_transport` it is OT-CFM (Tong et al. 2023, arXiv 2302.00482). Samples are drawn by any sampler of
`samplers.py` with a given number of steps: `ddim` is Euler's method in t, `heun` the method of Heun in t.

Differs from the papers
- Time runs from 0 (data) to 1 (noise), and sigma_min is 0, as in rectified flow.
- The times of a training batch are spread evenly over [0, 1) from one random start.
- The optimal transport pairs the examples of a batch that one process holds. With conditions it is within each class: noise
  that leaves its class would not be N(0, I) given the class.
- Integer levels get uniform noise in training, so that the likelihood has a bounded density to integrate.
- Samplers clip the predicted x_0 = x_t - t v to the range of the data. The likelihood does not.
- With `whitening`, the data is what linear prediction by the mel leaves of sound, and the sound follows from it at the end:
  noise and errors have the spectrum of the mel, as in SpecGrad (Koizumi et al. 2022, arXiv 2203.16749).
- A condition is dropped for some training examples, for guidance (Ho & Salimans 2022, arXiv 2207.12598).
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from genarena.models.diffusion.coupling import optimal_transport
from genarena.models.diffusion.samplers import DiffusionSampler, DPMSolver
from genarena.models.diffusion.straight_path import StraightPath
from genarena.models.diffusion.times import column, even_times
from genarena.nets.by_shape import unet_or_mlp
from genarena.options.values import Share, Whole
from genarena.spec import Batch, DataSpec
from genarena.training.module import Training


class FlowMatching(StraightPath):
    """min_theta E_{t ~ U(0, 1), (x_0, eps)} |v_theta((1 - t) x_0 + t eps, t) - (eps - x_0)|^2,

    whose solution v = E[eps - x_0 | x_t] is the velocity of an ODE from data to noise: E[x_0 | x_t] = x_t - t v.

    net: a network of `conf/net`. coupling: of x_0 and eps, independent or
    optimal_transport. dequantisation: noise on integer levels in training, none or uniform. whitening: coefficients of linear
    prediction by the mel; 0 for none. It goes without `condition_dropout`.
    """

    paper = "2210.02747"

    def __init__(
        self,
        spec: DataSpec,
        training: Training | None = None,
        sampler: DiffusionSampler = DPMSolver(),  # noqa: B008 - frozen
        coupling: Literal["independent", "optimal_transport"] = "independent",
        dequantisation: Literal["none", "uniform"] = "uniform",
        net: Callable[..., nn.Module] = unet_or_mlp,
        condition_dropout: Share = 0.1,
        whitening: Whole = 0,
    ) -> None:
        super().__init__(spec, net, training, sampler, dequantisation, condition_dropout, whitening)
        self.coupling = coupling

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Mean squared error of the velocity, per dimension."""
        x_0 = self.training_points(batch.x, batch.y)
        eps = torch.randn_like(x_0)
        if self.coupling == "optimal_transport":
            eps = optimal_transport(x_0, eps, batch.y if self.conditioning else None)
        t = even_times(len(x_0), x_0.device)
        x_t = torch.lerp(x_0, eps, column(t, x_0))
        v = self.outputs(x_t, t, self.context(batch.y, len(x_0)))
        return {"loss": (v - (eps - x_0)).square().mean()}
