"""Statistics of arrays and numbers: Frechet distance, kernel distance, nearest neighbours, confidence intervals."""
