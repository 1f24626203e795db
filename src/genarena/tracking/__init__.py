"""Trackers, which receive numbers and pictures during a run: a CSV file, and W&B or TensorBoard if asked for.

`loggers` opens and closes them for a run; the other files have the trackers. All get the same keys at the same steps. A
step is the number of batches done.
"""
