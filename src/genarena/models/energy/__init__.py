"""Energy-based models: an unnormalised density, a chain that samples it, and an estimate of its constant.

    p(v) = N(v; m, S) exp(-f(v)) / Z,        Z = E_{v ~ N(m, S)} exp(-f(v))

Conventions of the family
-------------------------
- `v` is what the density is about: for continuous data v = x + noise, for integer levels v = to_unit(x) + noise, an
  unbounded vector (no cube, so nothing has to be reflected). The noise is Gaussian with standard deviation sigma
  (`data_noise`), part of the model and not a trick: for levels the model is "v from p, then x from P(x | v)".
- f (the *tilt*) is a network that grows at most linearly, so that Z is finite whatever its weights are: the Gaussian
  *reference* measure N(m, S) sees to it: S is diagonal, and both are the moments of the first training batches, so that
  empty borders cost the network nothing. U(v) = f(v) - log N(v; m, S) is the *energy*, in nats.
- Chains follow U at temperature one: v <- v - step_size grad U(v) + sqrt(2 step_size) N(0, I). A paper that takes
  another noise than its step asks for has a temperature T = noise^2 / (2 step); here it is explicit, f = network / T.
- The gradient of the log-likelihood is E_model grad f - E_data grad f (contrastive divergence: Hinton 2002); the
  expectation under the model is over a `ReplayBuffer` of persistent chains (Tieleman 2008; Du & Mordatch 2019).
- Z comes from annealed importance sampling, whose logarithm is on average too small: the log-likelihood it gives is too
  large on average, and the likelihood is an ESTIMATE, with a standard error.

Files: `ebm` the model, `langevin` the chain, `replay_buffer` where chains live between updates, `reference` where they
start, `level_posterior` the way back to levels, `sampler_kl` an optional term of the loss,
`annealed_importance_sampling` the constant; the networks are in `genarena.nets.energy`.
"""
