"""Baselines: the floor and the ceiling of every table, none of which has a parameter to descend.

    uniform     p(x) = L^-D                  the floor: what a model knows that has only been told the alphabet
    gaussian    p(x) = N(mean, covariance)   what means and covariances alone explain
    memoriser   x ~ training images          the ceiling of image quality, and the alarm of memorisation metrics
    heldout     x ~ validation images        the ceiling that is no copy: what real data scores

A trained model below `gaussian` in bits/dim or Frechet distance has learnt nothing that second moments do not say; one
that beats `memoriser` in Frechet distance but not in memorisation measures has copied.

Conventions. `loss` returns a number without a gradient, so the base takes no optimiser step; while training it folds
the batch into statistics, which are buffers of a fixed shape, saved and resumed like weights. `max_epochs` is the number
of passes over the training set after which there is nothing left to learn. On several devices each process sees, and the
first one saves, the statistics of its own share of the data.
"""
