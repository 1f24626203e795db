"""Run folders on disk: rows, checkpoints, locks, status, resuming and interruption of runs."""
