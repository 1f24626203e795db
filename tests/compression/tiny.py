"""Small untrained models, and images sampled from them."""

import torch
from torch import Tensor

from genarena.files.progress import Bars
from genarena.models.autoregressive.made import MADE
from genarena.models.autoregressive.pixelcnn import PixelCNN
from genarena.models.base import GenerativeModel
from genarena.models.vae.vae import VAE
from genarena.spec import DataSpec

QUIET = Bars(False)
HEADS = [
    ((1, 8, 8), 2, "bernoulli"),
    ((1, 8, 8), 17, "categorical"),
    ((1, 8, 8), 17, "logistic"),
    ((3, 6, 5), 256, "logistic_mixture"),
    ((2, 5, 6), 17, "categorical"),
]


def pixelcnn(shape: tuple[int, ...], num_levels: int, pixels: str) -> PixelCNN:
    torch.manual_seed(3)
    model = PixelCNN(
        DataSpec(shape, num_levels),
        hidden_channels=8,
        num_blocks=2,
        dilations=(1, 2),
        head_channels=16,
        pixels=pixels,
        num_mixtures=3,
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)  # so that no distribution is close to uniform
    return model.eval()


def made(shape: tuple[int, ...], num_levels: int, pixels: str) -> MADE:
    torch.manual_seed(3)
    model = MADE(DataSpec(shape, num_levels), hidden=(40, 40), pixels=pixels, num_mixtures=3, direct=True)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)
    return model.eval()


def vae(shape: tuple[int, ...], num_levels: int, pixels: str) -> VAE:
    torch.manual_seed(3)
    model = VAE(DataSpec(shape, num_levels), latent_dim=5, channels=8, hidden=32, pixels=pixels, num_mixtures=3)
    with torch.no_grad():  # posteriors that differ between images and from the prior
        model.encoder[-1].weight.mul_(4.0)
        model.encoder[-1].bias[5:] = -2.0
    return model.eval()


@torch.no_grad()
def images(model: GenerativeModel, num: int) -> Tensor:
    torch.manual_seed(0)
    return model.sample(num)
