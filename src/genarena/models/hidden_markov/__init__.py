"""Hidden semi-Markov models: the data is a row of frames, and hidden states take their turns in it.

    p(x | y) = sum_d p(d | y) p(x | d, y)        d_i: frames of state i, in the order of y

The states are given, the characters of a text; how long each lasts is hidden. The sum over all durations d is at least any of
its terms, log p(x | y) >= log p(d | y) + log p(x | d, y), so such models have a lower bound, here with the d of a Viterbi
search (`statistics/alignment.py`). Learning with this d in place of the sum is hard expectation-maximisation.

Conventions: h (N, C, L) of characters, frames (N, C, T), durations (N, L) in frames, 0 for padding; x is scaled by the mean and
the deviation of speech within a model, and every value that leaves it is in nats of the log-mel itself.
"""
