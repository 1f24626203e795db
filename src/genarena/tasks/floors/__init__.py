"""Floors of restoration: methods without a trained model, one per file. A model that is not above them adds nothing."""
