"""The processes (ranks) of one run: their numbers, communication, start, seeds and threads."""
