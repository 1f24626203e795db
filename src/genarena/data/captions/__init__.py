"""Captions: words, their tokens, and data sets whose examples are described in words.

A caption is a row of token ids y (length,): 0 is padding, 1 a word that is not known, the others are words. A vocabulary is
the words of the data set, so a model can be asked only for what its set has words for.
"""
