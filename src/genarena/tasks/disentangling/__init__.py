"""Disentanglement: the codes of all combinations of known factors, the metrics on that table, floors, and pictures."""
