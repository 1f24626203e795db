"""Sound of one channel and 16 bits as a WAV file. Imports no torch."""

import io
import wave

HEADER = 44  # bytes before the samples


def encoded(samples: bytes, sample_rate: int) -> bytes:
    """The file of little-endian samples of 16 bits."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(sample_rate)
        sound.writeframes(samples)
    return buffer.getvalue()
