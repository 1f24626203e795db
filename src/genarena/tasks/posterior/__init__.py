"""Algorithms that draw from p(x | y) of a model, y = A x + sigma n, one per file, each by a capability of the model.

Guidance is a denoiser that wraps a denoiser, so every sampler of `models/diffusion/samplers.py` serves every algorithm.
"""
