"""The posterior samplers, in order of preference: the first that fits a model is used."""

from genarena.tasks.posterior.ancestral import Ancestral
from genarena.tasks.posterior.base import PosteriorSampler
from genarena.tasks.posterior.clamp import Clamp
from genarena.tasks.posterior.closed_form import ClosedForm
from genarena.tasks.posterior.elliptical_slice import EllipticalSlice
from genarena.tasks.posterior.mmps import MMPS
from genarena.tasks.posterior.one_step import OneStep
from genarena.tasks.posterior.smc import SequentialMonteCarlo

ALGORITHMS: tuple[type[PosteriorSampler], ...] = (
    ClosedForm,
    MMPS,
    OneStep,
    EllipticalSlice,
    SequentialMonteCarlo,
    Ancestral,
    Clamp,
)
