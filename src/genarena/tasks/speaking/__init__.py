"""From a text to sound: a model of mel spectrograms, and a vocoder that makes sound of them."""
