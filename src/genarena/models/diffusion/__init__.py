"""Diffusion: noise is added to the data in known steps, and a network learns to reverse them.

Forward process, t = 0 (data) .. T (noise), alpha_bar_0 = 1 falling to about 0:

    q(x_t | x_0) = N(a_t x_0, s_t^2 I),   a_t = sqrt(alpha_bar_t),   s_t = sqrt(1 - alpha_bar_t)

One network sees x_t and t and predicts one of three things, each of which gives the other two:

    eps    the noise                x_0 = (x_t - s_t eps) / a_t
    v      a_t eps - s_t x_0        x_0 = a_t x_t - s_t v
    x      the data                 eps = (x_t - a_t x_0) / s_t

and the score is grad log q_t(x_t) = -eps / s_t. The mean squared error of a prediction, averaged over t, weighs the error
of x_0 by SNR_t (eps), SNR_t + 1 (v) or 1 (x), SNR_t = a_t^2 / s_t^2; the variational bound weighs it by
T (SNR_{t-1} - SNR_t) / 2. A model that is good in one of these numbers therefore need not be good in another.

Conventions. Steps are integers 0 .. T here and reach the network as t / T. Integer data is scaled to [-1, 1] by `to_unit`.
`schedules.py` has every coefficient, computed in float64; `samplers.py` the samplers, all with one signature;
`variational_bound.py` the terms of the bound; `probability_flow.py` integrates the log-density along the probability-flow
ODE; a model has its network and its loss. `latent_ddpm` has a diffusion of the codes of a finished run
(`models/first_stage.py`). `nfe` is the number of network evaluations per sample.
"""
