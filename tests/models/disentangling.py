"""A VAE whose codes are what a test says: the encoder reads means from the data, the decoder says N(0, I) of any code."""

import torch
from torch import Tensor, nn

from genarena.models.base import GenerativeModel
from genarena.models.vae.vae import VAE
from genarena.spec import Batch, DataSpec


class AsGiven(nn.Module):
    """x (N, 2) to mean x and a constant log-variance."""

    def __init__(self, log_var: float) -> None:
        super().__init__()
        self.log_var = log_var

    def forward(self, x: Tensor, context: None = None) -> Tensor:
        return torch.cat([x, torch.full_like(x, self.log_var)], 1)


def given(kind: type[GenerativeModel], log_var: float = 0.0, **options: object) -> GenerativeModel:
    """A model of the plane with two latent dimensions: q(z|x) = N(x, exp(log_var) I), p(x|z) = N(0, I)."""
    model = kind(DataSpec((2,)), latent_dim=2, hidden=4, **options)
    model.encoder = AsGiven(log_var)
    for parameter in model.decoder.parameters():
        parameter.data.zero_()
    return model


def same_as_vae(kind: type[GenerativeModel], term: str = "loss", **options: object) -> bool:
    """Whether loss and gradients of a model are those of `vae`, bit for bit, in the middle of the warm-up."""
    spec, found = DataSpec((1, 8, 8), 17), []
    for each, own in ((VAE, {}), (kind, options)):
        torch.manual_seed(0)
        model = each(spec, latent_dim=3, channels=4, hidden=8, warmup=0.4, **own)
        model.progress = 0.1
        batch = Batch(torch.randint(17, (6, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)))
        torch.manual_seed(2)
        loss = getattr(model, term if each is kind else "loss")(batch)["loss"]
        loss.backward()
        ends = [*model.encoder.parameters(), *model.decoder.parameters()]
        found.append([loss.detach(), *(parameter.grad for parameter in ends)])
    return all(torch.equal(one, other) for one, other in zip(*found, strict=True))
