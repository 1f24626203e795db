"""Energy-based models: an unnormalised density, a chain that samples it, and an estimate of its constant.

    p(v) = N(v; m, S) exp(-f(v)) / Z,        Z = E_{v ~ N(m, S)} exp(-f(v))

Conventions of the family
-------------------------
- `v` is the variable of the density: v = x + noise for continuous data, v = to_unit(x) + noise for integer levels. It is
  unbounded, so chains need no reflection at a border. The noise is Gaussian with standard deviation sigma (`data_noise`)
  and part of the model: for levels the model is "v from p, then x from P(x | v)".
- f (the *tilt*) is a network that grows at most linearly, so that the Gaussian *reference* measure N(m, S) keeps Z finite
  whatever the weights are. S is diagonal; m and S are the moments of the first training batches, so that the network need
  not learn empty borders. U(v) = f(v) - log N(v; m, S) is the *energy*, in nats.
- Chains follow U at temperature one: v <- v - step_size grad U(v) + sqrt(2 step_size) N(0, I). If the noise of a paper does
  not match its step size, its temperature is T = noise^2 / (2 step_size). Here T is explicit: f = network / T.
- The gradient of the log-likelihood is E_model grad f - E_data grad f (contrastive divergence: Hinton 2002); the
  expectation under the model is over a `ReplayBuffer` of persistent chains (Tieleman 2008; Du & Mordatch 2019).
- Z is estimated by annealed importance sampling. The estimate of log Z is too small on average, so the log-likelihood is
  too large on average: the likelihood is an ESTIMATE, with a standard error.

`jem` is an `ebm` whose network classifies. `recovery_ebm` has an energy per level of a diffusion, and chains of conditional
densities that start where they are nearly right. `rbm` is binary, needs neither noise nor a reference measure, and is
sampled by turns of its two layers.

Files: `ebm` the model, `langevin` the chain, `replay_buffer` the chains between updates, `reference` the measure that they
start from, `level_posterior` from v back to levels, `sampler_kl` an optional term of the loss,
`annealed_importance_sampling` the constant, `kept_partition` that of the evaluated weights. The networks: `nets/energy.py`.
"""
