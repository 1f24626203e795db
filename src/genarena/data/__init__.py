"""Data sets: one DataModule per file, on the splits, loaders and integrity checks of `base.py`."""
