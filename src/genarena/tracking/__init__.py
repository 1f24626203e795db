"""Where numbers and pictures go while a run trains: always a CSV, and W&B or TensorBoard where they are asked for.

`loggers` opens and closes them for a run. Every other file is one tracker; all get the same keys at the same steps. A step
is the number of batches done.
"""
