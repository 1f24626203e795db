"""Generative adversarial networks: two players, no likelihood.

    min_G max_D  E_data[ f(D(x)) ] + E_z[ f(-D(G(z))) ],      z ~ N(0, I)

f(a) = -softplus(-a) is the game of Goodfellow et al. 2014 (arXiv 1406.2661); its optimal discriminator is the log-odds
D*(x) = log p_data(x) - log p_G(x). f(a) = -max(0, 1 - a) is the hinge; its optimal discriminator is the sign of
p_data(x) - p_G(x). With f(a) = a, and D held near Lipschitz constant 1 by a penalty on its gradient (`penalties.py`), the
value is close to the Wasserstein-1 distance, and D is called a critic. The generator minimises softplus(-D(G(z)))
("non-saturating") with the first, -D(G(z)) with the other two. A relativistic loss pairs the two terms: f(D(x) - D(G(z))).

Conventions
- Discriminators return logits (N,), never probabilities; `objectives.py` holds the losses as pure functions, float32.
- Images are levels mapped to [-1, 1]. A generator ends in tanh and its images are rounded to the levels of the data,
  with a straight-through gradient: the discriminator sees exactly what `sample` returns, and cannot tell fake images by
  values between the levels. Vectors, where a class takes them, are neither scaled nor rounded.
- `discriminator_loss` draws its fake images without a graph; `generator_loss` draws new ones. Each training batch makes one
  discriminator step, every `n_critic`-th batch also a generator step.
- `augmentation` (`DiffAugment`; for `stylegan2` also `AdaptiveAugment`) is applied to the discriminator's inputs only, real
  and fake, in both losses.
- `infogan` draws some of the entries of z as codes (`latent_codes.py`), and a network on the discriminator's last hidden layer
  finds them again: a lower bound on their information is maximised by all three.
- A code of `stylegan2` is its latent vector and the noise of its layers. Its discriminator's deviation over a minibatch is a
  running mean in eval mode, so that `discriminate` judges each example alone.
- Samples come from the averaged generator (`Training.ema_decay`). Its batch normalisation uses the running statistics
  of the raw generator; the learning rate decays to zero, so that at the end of the budget the two generators agree.
- Nothing is selected on validation: an adversarial loss says nothing about held-out data.
"""
