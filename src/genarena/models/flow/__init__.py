"""Normalising flows: an invertible map from data to a standard normal, so that the density is known exactly.

    log p(x) = log N(f(x); 0, I) + log |det df/dx|                        (change of variables)

Conventions of this folder
- A `Bijection` is a module: `forward` goes from data to latent and returns `(z, log_det)` with `log_det` (N,) in nats;
  `inverse` goes back and returns `x`. A `Chain` of bijections is a bijection.
- The whole flow maps (N, *shape) to `z` (N, D), and the latent is always standard normal: a learned prior is an affine
  bijection (z = (x - mean) / scale), a learned conditional prior is an affine coupling whose result is factored out.
- Integer data is made continuous by a dequantiser, x -> u in [0, 1) with density q(u | x), and then put on the real
  line: by a learned cumulative distribution and the normal's inverse, by a logit, or only centred. What is bounded is
  the mass of the integers:

    log P(x) >= E_q[ log p(u) - log q(u | x) ] ,                          (Theis et al. 2016; Ho et al. 2019, eq. 12)

  and with k draws the importance-weighted bound log 1/k sum_k exp(...) is tighter. On continuous data nothing is added
  and the likelihood is exact.
- Sampling at temperature T draws z from N(0, T^2 I) (Kingma & Dhariwal 2018, sec. 5).
- Networks inside couplings may run in bfloat16 under autocast; their outputs are cast to the type of the data that flows,
  float32 in training, and all other arithmetic keeps that type.

Files: `bijection.py` (the interface), `convolutions.py` (activation normalisation, invertible 1x1 convolution),
`couplings.py` (affine and additive couplings and their networks), `elementwise.py` (affine and spline functions of one
dimension, and couplings of them), `vector_couplings.py` (a chain of these for vectors), `splines.py` (rational-quadratic
splines), `autoregressive.py` (masked autoregressive bijections), `multiscale.py` (squeeze, factor-out, steps of flow),
`priors.py` (learned and logistic priors), `dequantisation.py` (levels to the real line), `density.py` (what all flows share),
`sound.py` and `sound_flow.py` (the same for sound), and one file per model. Masked networks are in `nets/masked_mlp.py`, those
that contract in `nets/lipschitz.py`, those of sound in `nets/wavenet.py` and `nets/wavenet_2d.py`; solvers of differential
equations and estimates of log-determinants in `statistics/ode.py` and `statistics/traces.py`.
"""
