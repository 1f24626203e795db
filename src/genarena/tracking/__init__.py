"""Where numbers and pictures go while a run trains: always a CSV, and W&B or TensorBoard where they are asked for.

`loggers` opens and closes them for a run; the others are one tracker each, with the same keys at the same steps. A step is a
number of batches done.
"""
