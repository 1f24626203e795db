"""Statistics of arrays and numbers: Frechet and kernel distances, nearest neighbours, confidence intervals, comparisons."""
