"""Options: their allowed values, the options of each class, their form on a command line. Nothing here imports torch."""
