"""Latent diffusion (Rombach et al. 2022, arXiv 2112.10752): a DDPM on the codes of a finished autoencoder.

Differs from the paper: the first stage is a run of this arena, e.g. a `vae`, without adversarial or perceptual losses; codes
of a `vae` are vectors, and their network is an MLP; where the first stage has q(z|x) and p(x|z), the pair has a bound on
log p(x).
"""

from genarena.models.diffusion.samplers import DiffusionSampler
from genarena.models.first_stage import TwoStage


class LatentDDPM(TwoStage):
    """min_theta E_{q(z|x), t, eps} |target_t - f_theta(a_t z / s + s_t eps, t)|^2, s the standard deviation of the codes.

    first_stage: the folder of a finished run whose model has codes. prior: the diffusion model of the codes.
    """

    family = "diffusion"
    paper = "2112.10752"
    guides = True
    samplers = DiffusionSampler

    @property
    def sampler(self) -> DiffusionSampler:
        """That of the prior."""
        return self.prior.sampler

    def use(self, sampler: DiffusionSampler) -> None:
        self.prior.use(sampler)
