"""Sound: clips of one channel and 16 bits, and the segments of equal length that models are shown.

x is (1, segment) int32 levels, the integers of a WAV file plus 32,768. Each segment has the frames that its clip's mel
spectrogram has there, so a clip that is made in parts is asked for the same frames as one that is made whole.
"""
