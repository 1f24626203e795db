"""Train, compare and trust every family of deep generative model."""

__version__ = "0.1.0"
