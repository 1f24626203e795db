"""Training of models: optimisation, the trainer, strategies, callbacks."""
