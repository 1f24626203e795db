"""The protocol's measurements: one torchmetrics `Metric` per file, found by its file name.

`metrics=[recall]` loads `recall.py`. A metric's `update` names what it needs (see `genarena.evaluate`).
"""
