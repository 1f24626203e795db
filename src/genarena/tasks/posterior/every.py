"""The posterior samplers, in order of preference: the first that fits a model and takes the problem is used.

`OF_VECTORS` is the order for rows of tables with holes, measured without noise: a Gibbs sampler of a VAE then keeps what is
known as it is.
"""

from genarena.tasks.posterior.ancestral import Ancestral
from genarena.tasks.posterior.base import PosteriorSampler
from genarena.tasks.posterior.clamp import Clamp
from genarena.tasks.posterior.closed_form import ClosedForm
from genarena.tasks.posterior.daps import DAPS
from genarena.tasks.posterior.ddnm import DDNM
from genarena.tasks.posterior.diffpir import DiffPIR
from genarena.tasks.posterior.dps import DPS
from genarena.tasks.posterior.elliptical_slice import EllipticalSlice
from genarena.tasks.posterior.importance_resampling import ImportanceResampling
from genarena.tasks.posterior.langevin import Langevin
from genarena.tasks.posterior.latent_optimisation import LatentOptimisation
from genarena.tasks.posterior.metropolis_within_gibbs import MetropolisWithinGibbs
from genarena.tasks.posterior.mmps import MMPS
from genarena.tasks.posterior.one_step import OneStep
from genarena.tasks.posterior.pigdm import PiGDM
from genarena.tasks.posterior.pseudo_gibbs import PseudoGibbs
from genarena.tasks.posterior.repaint import RePaint
from genarena.tasks.posterior.smc import SequentialMonteCarlo
from genarena.tasks.posterior.split_gibbs import SplitGibbs
from genarena.tasks.posterior.tmpd import TMPD

OF_VECTORS: tuple[type[PosteriorSampler], ...] = (
    ClosedForm,
    MMPS,
    MetropolisWithinGibbs,
    SequentialMonteCarlo,
    EllipticalSlice,
    Langevin,
    ImportanceResampling,
    PseudoGibbs,
    LatentOptimisation,
    Ancestral,
    Clamp,
)
ALGORITHMS: tuple[type[PosteriorSampler], ...] = (
    ClosedForm,
    MMPS,
    SplitGibbs,
    PiGDM,
    TMPD,
    RePaint,
    DiffPIR,
    DAPS,
    DDNM,
    DPS,
    OneStep,
    Langevin,
    EllipticalSlice,
    MetropolisWithinGibbs,
    PseudoGibbs,
    LatentOptimisation,
    SequentialMonteCarlo,
    Clamp,
    Ancestral,
)
