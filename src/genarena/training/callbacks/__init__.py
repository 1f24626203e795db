"""What happens around training, one concern per file. Their order matters and is written down in
`genarena.training.fitting`."""
