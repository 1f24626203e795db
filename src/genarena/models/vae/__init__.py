"""Variational autoencoders: latent-variable models trained through a lower bound on the likelihood.

    log p(x) >= E_q(z|x)[ log p(x|z) ] - KL( q(z|x) || p(z) )           (the ELBO)
    log p(x) >= E_{z_1..z_k ~ q(z|x)}[ log 1/k sum_i p(x|z_i) p(z_i) / q(z_i|x) ]        (importance-weighted)

The second is the tighter of the two, does not loosen as k grows, and reaches log p(x) in the limit.

Conventions of this family
    z               latent code (N, latent_dim); the prior p(z) is N(0, I) unless a model says otherwise
    encoder         levels mapped to [-1, 1] -> parameters (mean, log_var) of the posterior q(z|x)
    decoder         z -> a distribution over integer levels (`genarena.distributions`): log p(x|z) is the log mass of
                    the levels themselves, never a squared error
    log_prob        the ELBO at num_samples=1, the importance-weighted bound beyond; both are lower bounds in
                    expectation. A loss with a KL weight other than one, or with free bits, is never called ELBO
    encode, decode  the posterior mean; the mode of p(x|z)
    layers          `lvae`, `vdvae`: z_1 at the top, z_l given those above it; the log has the KL of each, `kl_1`, `kl_2`, ...
    vqvae           its codes are discrete and q is deterministic: the bound is log p(x | codes) - M log K, prior uniform, or
                    log p(x | codes) + log p(codes | y), prior learnt beside the codes
    sample          z ~ p(z), then x ~ p(x|z): a draw from the model, pixel noise included

`iwae` trains on the second bound, with its own gradient of the encoder; `vae` on the first. `vae_iaf` has a posterior whose
dimensions depend on each other, `vamp_vae` a prior that is a mixture of posteriors, of any covariance, `lvae` and `vdvae`
layers of codes. Four members change the first bound so that each code follows one factor of the data, by a weight on a part
of the KL or a penalty: `vae_annealed` (its capacity), `beta_tcvae` and `factor_vae` (the total correlation, from a batch or
from a discriminator) and `dip_vae` (the covariance of codes); `vae_beta` weighs all of it. Their loss chooses the weights,
and their rows report the bound. Two members fit a new prior to the codes of a finished run: `latent_gmm` a mixture of
Gaussians, `latent_ar` an autoregressive model to discrete codes.

Files: `latent_model` the base of models with one vector of codes (bounds, samples, codes), `normal_prior` that of those whose
prior is a normal, `latent_variable` of those whose posterior is one too, `hierarchy` of models with layers,
`stochastic_layers` what a layer is, `discrete_codes` codes that are indices, `networks` encoders and decoders,
`diagonal_normal` the distribution of codes and vectors, `full_normal` and `inverse_autoregressive` those of posteriors whose
dimensions depend on each other, `aggregate_posterior` q(z) as a batch shows it, and one file per model.
"""
