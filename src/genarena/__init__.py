"""Train, compare and trust every family of deep generative model."""

from genarena.startup import lean_lightning

__version__ = "0.1.0"

lean_lightning.install()
