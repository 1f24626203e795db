"""What editing, interpolation and inversion share: codes of models, directions of attributes, measures, and features of images.

Images are floats in [-1, 1] here, not rounded, so that small moves of a code are seen.
"""
