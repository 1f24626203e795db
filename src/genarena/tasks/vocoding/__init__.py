"""Copy synthesis: the sound of clips or mels of one's own by a finished run, how near it is, and how sigma changes it."""
