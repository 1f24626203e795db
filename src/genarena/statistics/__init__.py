"""Numbers in, numbers out: Frechet distances, kernels, neighbours, intervals."""
