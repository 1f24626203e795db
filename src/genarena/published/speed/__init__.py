"""The speed of models and of evaluations beside public libraries and plain PyTorch: `scripts/bench.py`."""
