"""Invertible autoencoders: an encoder f: R^D -> R^d and a decoder g: R^d -> R^D of any architecture. They are trained to be
inverse to each other on the d-dimensional manifold g(R^d), and to maximise the likelihood of the data on it.

    min over f, g of  E[ ||x - g(f(x))||^2 ]           the manifold, which contains the reconstructions
        and of        E[ -log p_g(g(f(x))) ]           the distribution on it, p(z) = N(0, I) pushed through g

    log p_g(x_hat) = log p(z) - 1/2 log det(J_g(z)^T J_g(z)),   z = f(x_hat)        (injective change of variables)

Conventions. `u` is the data in the units of the networks: dequantised levels in [0, 1)^D for integers, the data itself
otherwise. Encoder and decoder take and give `u`; `encode`, `decode`, `sample` and `reconstruct` take and give levels.
p_g is a density with respect to the d-dimensional volume of the manifold, and zero elsewhere. It gives no probability of
integer data, and densities on different manifolds cannot be compared: there is no bits/dim here. The exception is d = D:
the manifold is the whole space, the model is a free-form flow, and its density is an ordinary one.
Training makes f the inverse of g only approximately: `reconstruction` shows how well. In `manifold_flow` f is the chart of
the manifold and g its inverse, exactly, and the first minimum is taken over the chart, the second over the density of its
coordinates alone.

`manifold_model.py` has what the members share.
"""
