"""Diffusion: noise is added to the data, in known steps or in continuous time, and a network learns to reverse it.

Forward process in steps, t = 0 (data) .. T (noise), alpha_bar_0 = 1 falling to about 0:

    q(x_t | x_0) = N(a_t x_0, s_t^2 I),   a_t = sqrt(alpha_bar_t),   s_t = sqrt(1 - alpha_bar_t)

One network sees x_t and t and predicts one of three things, each of which gives the other two:

    eps    the noise                x_0 = (x_t - s_t eps) / a_t
    v      a_t eps - s_t x_0        x_0 = a_t x_t - s_t v
    x      the data                 eps = (x_t - a_t x_0) / s_t

and the score is grad log q_t(x_t) = -eps / s_t. The mean squared error of a prediction, averaged over t, weighs the error
of x_0 by SNR_t (eps), SNR_t + 1 (v) or 1 (x), SNR_t = a_t^2 / s_t^2; the variational bound weighs it by
T (SNR_{t-1} - SNR_t) / 2. A model that is good in one of these numbers therefore need not be good in another.

Other models know no steps. `flow_matching` learns the velocity E[eps - x_0 | x_t] of the straight path a = 1 - t, s = t, and
`edm` a denoiser in sigma = s / a whose network has inputs and targets of unit variance. `score_sde` predicts eps along one of
three stochastic differential equations, and `vdm` along a path that it learns, with the bound as its loss
(`noise_prediction.py` is what these two share). What any of the models learnt gives E[x_0 | x] at any (a, s), so that every
sampler serves every model.

Three models jump. `shortcut` and `meanflow` learn the average velocity between two times of the straight path, and
`consistency` the map to the data; one to a few evaluations draw a sample, from level to level or with new noise in between
(`flow_map.py`). With equal times an average velocity is the velocity, so that the samplers of all models are there too.

Conventions. Time is 0 (data) to 1 (noise); the steps 0 .. T of `ddpm` reach the network as t / T. Integer data is scaled to
[-1, 1] by `to_unit`. `paths.py` has the paths (a, s), `schedules.py` the steps of `ddpm`, computed in float64, `sdes.py` the
processes of `score_sde`; `samplers.py`, `unipc.py`, `predictor_corrector.py`, `edm_sampler.py` and `given_betas.py` have the
samplers, all with one signature. `noised_data.py` scales the data and knows its range; `gaussian_diffusion.py` is the base of
all denoisers: drawing, guidance; `continuous_time.py` is that of models without steps, `straight_path.py` that of velocities.
`preconditioning.py` has the inputs and targets of `edm`. `variational_bound.py` has the terms of the bound;
`statistics/ode.py` integrates the log-density along the probability-flow ODE; `coupling.py` pairs data with noise; a model
has its network and its loss. `latent_ddpm` has a diffusion of the codes of a finished run
(`models/first_stage.py`). `nfe` is the number of network evaluations per sample.
"""
