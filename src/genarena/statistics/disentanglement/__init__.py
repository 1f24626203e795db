"""Disentanglement: how codes z (N, D) depend on the known factors v (N, K) of the data, value indices 0, 1, 2, ...

A code is disentangled if each of its numbers follows one factor. The metrics and their constants are those of
disentanglement_lib (Locatello et al. 2019, arXiv 1811.12359), read again from its formulas. Differs from it: the whole grid of
combinations is encoded once, so what it samples is exact here where that can be, and the rest are look-ups in that table. A
code that does not move, a single code and a factor with one value have defined values.
"""
