"""Baselines: the floor and the ceiling of every table. None of them is trained by gradient descent.

    uniform     p(x) = L^-D                  the floor: knows only the number of levels L and of dimensions D
    gaussian    p(x) = N(mean, covariance)   what means and covariances alone explain
    gmm         p(x) = sum_k pi_k N(mean_k, covariance_k)   the floor of every table of densities, fitted by EM
    kde         p(x) = mean_i N(x; x_i, h^2 I)   training examples, blurred as much as is best for the others
    memoriser   x ~ training images          the ceiling of image quality; memorisation metrics must detect it
    heldout     x ~ validation images        the ceiling without copying: the score of unseen real data

Of sound, with `data.condition=mel`:

    gaussian_mel   p(x | mel) = a Gaussian process   what the mel spectrogram alone explains
    griffin_lim    x(mel)                            phases that fit the magnitudes of the mel
    heldout        the recording of the mel          what a measure of distance to it can have at best
    mu_law         the recording in 8 bits           the ceiling of quality: hardly heard, and not zero

With `data.condition=label`, `gaussian`, `gmm` and `kde` have a density per label (`by_label.py`).

A trained model that is worse than `gaussian` in bits/dim or Frechet distance has learnt less than means and covariances
say. One that beats `memoriser` in Frechet distance but not in memorisation measures has copied training images.

Both hold finitely many examples and give each once: a table's n says how many there were, where these are fewer than asked for.

Conventions. `loss` has no gradient, so no optimiser step is taken. `observe` adds each training batch to statistics:
buffers of a fixed shape, saved and resumed like weights. `max_epochs` is the number of passes over the training set after which
the statistics are complete. On several devices every process adds the whole batch (`exchange.whole_batch`), so that all
have the same statistics.
"""
