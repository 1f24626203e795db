"""Generative adversarial networks: two players, no likelihood.

    min_G max_D  E_data[ f(D(x)) ] + E_z[ f(-D(G(z))) ],      z ~ N(0, I)

f(a) = -softplus(-a) is the game of Goodfellow et al. 2014 (arXiv 1406.2661), whose best discriminator is the log-odds
D*(x) = log p_data(x) - log p_G(x); f(a) = -max(0, 1 - a) is the hinge, whose best discriminator is the sign of
p_data(x) - p_G(x). The generator minimises softplus(-D(G(z))) ("non-saturating") or -D(G(z)).

Conventions
- Discriminators return logits (N,), never probabilities; `objectives.py` holds both losses as pure functions, float32.
- Images are levels mapped to [-1, 1]. A generator ends in tanh and its images are rounded to the levels of the data,
  with the gradient passed straight through: the discriminator sees exactly what `sample` returns and cannot win by
  telling 17 levels from a continuum.
- `discriminator_loss` draws its fakes without a graph; `generator_loss` draws new ones. One training batch is one
  discriminator step, and every `n_critic`-th also a generator step.
- `augmentation` (`DiffAugment`) is seen by the discriminator only, on real and fake images, in both losses.
- Samples come from the averaged generator (`Training.ema_decay`). Its batch normalisation uses the running statistics
  of the raw generator; the learning rate decays to zero, so that at the end of the budget the two generators agree.
- Nothing is selected on validation: an adversarial loss says nothing about held-out data.
"""
