"""Models of two stages: a finished run gives codes of data, and a second model learns their distribution.

Two-stage VAE: Dai & Wipf 2019, arXiv 1903.05789. Latent diffusion: Rombach et al. 2022, arXiv 2112.10752.

Differs from the papers: the codes of training are draws of q(z|x), made anew at every step from stored means and variances;
the pair keeps its bound on log p(x); one number scales all codes, and no adversarial or perceptual loss is used.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from genarena.errors import UserError
from genarena.likelihood import Likelihood
from genarena.models.base import GenerativeModel
from genarena.models.capabilities import Decodes, Encodes, Infers, Represents
from genarena.options.values import Folder
from genarena.spec import Batch, DataSpec
from genarena.training.module import Training

ROWS = 256  # examples that are encoded or decoded at once
FIRST = 10_000  # training examples that give the scale, where training examples are not the same every time
DRAWS = 8  # in the bound on log p(z), per draw that is asked for: codes are small, and one draw is 0.2 bits/dim off on digits
ENCODED_DIMS = 5  # axes of encoded examples; data has four at most, (N, C, H, W)


class FirstStage(nn.Module):
    """The frozen model of a finished run, and its codes divided by `scale`, their standard deviation over the training set.

    model: has codes (`Encodes`, `Decodes`); one that `Infers` has draws z ~ q(z|x), another one code per example.
    name, run, sha256, data_id: of the run: the model's YAML, the folder, the file of weights, the data set.
    Codes are (N, *code_shape), encoded examples (N, M, C, H, W): mean and log-variance (M = 2), or the code itself (M = 1).
    A vector of D numbers has C, H, W = D, 1, 1. Raises ValueError for a model without codes, or with a condition.
    """

    def __init__(
        self, model: nn.Module, name: str = "", run: str = "", sha256: str = "", data_id: str | None = None
    ) -> None:
        super().__init__()
        if not (isinstance(model, Encodes) and isinstance(model, Decodes)):
            raise ValueError(f"model.first_stage: {name or type(model).__name__} does not both encode and decode")
        if model.spec.condition:
            given = f"data.condition={model.spec.condition.kind}"
            raise ValueError(f"model.first_stage: {name} was trained with {given}, and a first stage has no condition")
        self.model = model.requires_grad_(False)
        self.name, self.run, self.sha256, self.data_id = name, run, sha256, data_id
        self.register_buffer("scale", torch.ones(()))
        self.train(False)
        with torch.no_grad():
            self.code_shape = tuple(model.encode(torch.zeros(2, *model.spec.shape, dtype=model.spec.dtype)).shape[1:])

    def train(self, mode: bool = True) -> "FirstStage":
        """It stays in eval mode: no dropout, no batch statistics."""
        return super().train(False)

    @property
    def has_density(self) -> bool:
        """Whether log q(z|x) and log p(x|z) are known."""
        return isinstance(self.model, Infers)

    def code_spec(self, spec: DataSpec) -> DataSpec:
        """What the codes are to a model that is conditional as `spec` is. Raises ValueError for data of another shape."""
        own = self.model.spec
        if (own.shape, own.num_levels) != (spec.shape, spec.num_levels):
            raise ValueError(
                f"model.first_stage: {self.name} models shape {own.shape} with num_levels={own.num_levels}, and this "
                f"data set has shape {spec.shape} with num_levels={spec.num_levels}"
            )
        return replace(spec, shape=self.code_shape, num_levels=None, palette=None)

    def check_data(self, data_id: str) -> None:
        """Raise UserError if the run was trained on other data than `data_id`."""
        if self.data_id not in (None, data_id):
            raise UserError(
                f"model.first_stage: the run {self.run} was trained on {self.data_id}, and the data here is {data_id}"
            )

    # -- data to codes ------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def encoded(self, x: Tensor) -> Tensor:
        """Examples (N, *shape), or encoded ones, as encoded examples (N, M, C, H, W), not scaled."""
        if x.dim() == ENCODED_DIMS:
            return x
        parts = []
        for part in x.split(ROWS):
            q = self.model.posterior(part) if self.has_density else None
            parts.append(torch.stack([q.mean, q.log_var] if q else [self.model.encode(part)], 1))
        whole = torch.cat(parts).float()
        return whole[..., None, None] if len(self.code_shape) == 1 else whole

    def draw(self, encoded: Tensor) -> Tensor:
        """Scaled codes z / scale with z ~ q(z|x), (N, *code_shape)."""
        mean, *log_var = encoded.view(len(encoded), -1, *self.code_shape).unbind(1)
        z = mean + (0.5 * log_var[0]).exp() * torch.randn_like(mean) if log_var else mean
        return z / self.scale

    def entropy(self, encoded: Tensor) -> Tensor:
        """-E_q[log q(z|x)] of codes that are not scaled, (N,) nats."""
        log_var = encoded[:, 1].flatten(1)
        return 0.5 * (log_var + 1.0 + torch.log(2.0 * torch.tensor(torch.pi))).sum(1)

    def log_posterior(self, encoded: Tensor, codes: Tensor) -> Tensor:
        """log q(z|x) of scaled codes, as a density of codes that are not scaled; (N,) nats."""
        mean, log_var = encoded.view(len(encoded), -1, *self.code_shape).unbind(1)
        squared = (codes * self.scale - mean).square() * (-log_var).exp()
        return -0.5 * (squared + log_var + math.log(2.0 * math.pi)).flatten(1).sum(1)

    def settle(self, encoded: Tensor) -> None:
        """Set `scale`: the square root of the variance of z ~ q(z|x) over encoded training examples and dimensions."""
        mean = encoded[:, 0].double()
        variance = mean.var(correction=0)
        if encoded.shape[1] == 2:
            variance = variance + encoded[:, 1].double().exp().mean()
        self.scale.copy_(variance.sqrt() if variance > 0 else torch.ones(()))

    # -- codes to data ------------------------------------------------------------------------------------------------

    def log_likelihood(self, x: Tensor, codes: Tensor) -> Tensor:
        """log p(x|z) of scaled codes, (N,) nats."""
        pairs = zip(x.split(ROWS), codes.split(ROWS), strict=True)
        parts = [self.model.likelihood_of(z * self.scale).log_prob(part).flatten(1).sum(1) for part, z in pairs]
        return torch.cat(parts)

    @torch.no_grad()
    def render(self, codes: Tensor) -> Tensor:
        """x ~ p(x|z) of scaled codes, or the decoded ones of a model without p(x|z); (N, *shape) in the space of data."""
        draw = self.model.render if self.has_density else self.model.decode
        return torch.cat([draw(part * self.scale) for part in codes.split(ROWS)])


class TwoStage(GenerativeModel, Encodes, Decodes):
    """log p(x) >= E_q(z|x)[ log p(x|z) + log p(z) - log q(z|x) ],  q(z|x) and p(x|z) frozen, p(z) learnt on draws of q(z|x).

    It is a lower bound where q and p(x|z) are known and log p(z) is exact or bounded itself; else there is no likelihood.

    first_stage: on the command line the folder of a finished run, which is only read. Its model has the capability `needs`.
    prior: makes a `GenerativeModel` for a `spec`, the codes. With a condition y it is p(z | y), and the first stage has none.
    """

    conditional = True
    needs: ClassVar[type] = Decodes

    def __init__(
        self,
        spec: DataSpec,
        prior: Callable[..., GenerativeModel],
        first_stage: Folder | FirstStage,
        training: Training | None = None,
    ) -> None:
        super().__init__(spec, training)
        if not isinstance(first_stage, FirstStage):
            raise ValueError(f"model.first_stage={first_stage}: expected the folder of a finished run")
        if not isinstance(first_stage.model, self.needs):
            raise ValueError(
                f"model.first_stage: {first_stage.name} cannot be one here, for the first stage has to be a model that "
                f"{self.needs.__name__}, see docs/capabilities.md"
            )
        self.first_stage = first_stage
        self.prior = prior(spec=self.code_spec(spec))
        self.conditioning = self.prior.conditioning  # it reads y once

    def code_spec(self, spec: DataSpec) -> DataSpec:
        """What the codes of data `spec` are to the prior. Raises ValueError for other data than that of the first stage."""
        return self.first_stage.code_spec(spec)

    @property
    def likelihood(self) -> Likelihood:
        bounded = self.prior.likelihood in (Likelihood.EXACT, Likelihood.LOWER_BOUND)
        return Likelihood.LOWER_BOUND if self.first_stage.has_density and bounded else Likelihood.NONE

    @torch.no_grad()
    def training_data(self, data: Any, device: torch.device) -> Any:
        """The data set with its training examples encoded, once; the scale of the codes is set."""
        stage, size = self.first_stage.to(device), data.train.size if data.is_fixed else min(data.train.size, FIRST)
        blocks = (data.train[first : first + ROWS].x for first in range(0, size, ROWS))
        encoded = torch.cat([stage.encoded(block.to(device)).cpu() for block in blocks])
        stage.settle(encoded)
        return data.with_training(encoded) if data.is_fixed else data

    def observe(self, batch: Batch) -> None:
        self.prior.observe(self._codes(batch))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The loss of the prior on codes of `x`, which are data (N, *shape) or encoded examples."""
        self.prior.progress = self.progress
        return self.prior.loss(self._codes(batch))

    def _codes(self, batch: Batch) -> Batch:
        """The batch with codes, drawn anew, in place of data or encoded examples."""
        return Batch(self.first_stage.draw(self.first_stage.encoded(batch.x)), batch.y)

    @torch.no_grad()
    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        """x ~ p(x|z) for z ~ p(z | y)."""
        return self.first_stage.render(self.prior.sample(num_samples, y))

    def log_prob(self, x: Tensor, y: Tensor | None = None, num_samples: int = 1) -> Tensor:
        """(N,) nats: the bound with one draw of z, the exact entropy of q, and 8 `num_samples` draws in the bound on log p(z).

        Its expectation is at most log p(x). A log-density for continuous data. Raises TypeError without a likelihood.
        """
        if self.likelihood is Likelihood.NONE:
            return super().log_prob(x, y, num_samples)
        encoded = self.first_stage.encoded(x)
        joint = self.log_joint(x, self.first_stage.draw(encoded), y, DRAWS * num_samples)
        return joint + self.first_stage.entropy(encoded)

    def log_joint(self, x: Tensor, codes: Tensor, y: Tensor | None = None, draws: int = 1) -> Tensor:
        """log p(x|z) + log p(z | y) of scaled codes, as a density of codes that are not scaled, (N,) nats; `draws` in p(z)."""
        prior = self.prior.log_prob(codes, y, draws) - codes[0].numel() * self.first_stage.scale.log()
        return self.first_stage.log_likelihood(x, codes) + prior

    def estimator(self, num_samples: int = 1) -> dict[str, Any]:
        prior = self.prior.estimator(DRAWS * num_samples)
        method = f"evidence lower bound of two stages, one code; log p(z): {prior.pop('method')}"
        return {"method": method, "draws": num_samples, **prior}

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """The codes (N, *code_shape) of data, without noise, as the first stage gives them."""
        return self.first_stage.model.encode(x)

    def features(self, x: Tensor, y: Tensor | None = None) -> dict[str, Tensor]:
        """Those of the first stage, and those that the prior has of the code of x, which begin with
        `prior`."""
        own = self.first_stage.model.features(x)
        prior = self.prior.features(self.fixed_codes(x), y) if isinstance(self.prior, Represents) else {}
        return own | {f"prior {name}": vectors for name, vectors in prior.items()}

    def fixed_codes(self, x: Tensor) -> Tensor:
        """The code of each example as the prior sees codes, without noise."""
        return self.encode(x) / self.first_stage.scale

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return self.first_stage.model.decode(z)

    @property
    def nfe(self) -> int:
        return self.prior.nfe
