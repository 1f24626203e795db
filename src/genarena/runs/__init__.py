"""A run folder on disk: its row, checkpoints, lock, status, and how a run is interrupted."""
