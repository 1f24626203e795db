"""Lightning callbacks, one concern per file. Their order matters; it is defined in `genarena.training.fitting`."""
