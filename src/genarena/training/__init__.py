"""How a model is trained: optimisation, the trainer, strategies, callbacks."""
