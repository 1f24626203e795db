"""What models share whose q(z|x) is a diagonal normal."""

from torch import Tensor

from genarena.models.vae.diagonal_normal import Gaussian, GaussianHead


class NormalPosterior:
    """q(z|x) = N(mean, exp(log_var)), both outputs of the encoder, for a `LatentModel`."""

    def posterior_of(self, outputs: Tensor) -> Gaussian:
        return GaussianHead()(outputs)

    def centre(self, posterior: Gaussian) -> Tensor:
        return posterior.mean

    def log_q(self, posterior: Gaussian, z: Tensor) -> Tensor:
        return posterior.log_prob_of_each(z)

    def draw(self, posterior: Gaussian) -> tuple[Tensor, Tensor]:
        noise = posterior.noise()
        return posterior.at(noise), posterior.log_prob_at(noise).sum(1)

    def draws(self, posterior: Gaussian, size: int) -> tuple[Tensor, Tensor]:
        noise = posterior.noise_of_draws(size)
        return posterior.at(noise), posterior.log_prob_at(noise).sum(2)
