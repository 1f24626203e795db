"""Discrete diffusion: levels are corrupted as levels, and a network learns to restore them. No noise is added to a value.

Forward process, t = 0 (data) .. 1: each dimension of x by itself jumps to other levels, or to an absorbing state m, the mask.
With the mask, of which the share alpha_t of the dimensions is still free at time t,

    q(x_t,i | x_i) = alpha_t [x_t,i = x_i] + (1 - alpha_t) [x_t,i = m]

and the network learns p(x_i | x_t), the distribution of a masked level given the visible ones. As the time is no news about
x beyond what is visible, the best network does not depend on it. In continuous time the bound is an integral,

    log p(x) >= integral_0^1 alpha'_t / (1 - alpha_t) E_q( sum_{i masked} -log p(x_i | x_t) ) dt

It does not depend on alpha. It equals log p(x) for every x if the network is exact; it is then the chain rule, averaged
over all orders of the dimensions. Levels are never dequantised: the bound is on their mass.

`d3pm` has T steps and a choice of chains: to the mask, to any level, or to levels nearby. With q(x_t | x_{t-1}) = Q_t its
bound is the sum of KL(q(x_{t-1} | x_t, x_0) | p(x_{t-1} | x_t)), from matrices alone. For the mask it is the sum of which the
integral above is the limit of many steps.

Conventions
    dimension       one level of the data, a channel of a pixel; D = `num_dims` of them
    mask            the level L, beside 0 .. L-1
    t               1 - alpha_t, the share of masked dimensions: the schedule that every other one is equivalent to
    sample          starts with all masked; each of `nfe` steps fills some dimensions at random places, given the visible ones,
                    independently of each other. One dimension per step has no error but the network's. What is
                    filled stays
    drawing         by inversion of the cumulative distribution in float64: Gumbel noise in float32 lacks its tail, which acts
                    as a lower temperature (Zheng et al. 2024, arXiv 2409.02908)

Files: `masking.py` what is masked and how the bound is weighed, `unmasking.py` the sampler; `corruption.py` the chains of
`d3pm`, `level_predictions.py` its heads, `reverse_chain.py` its sampler; and one file per model.
"""
