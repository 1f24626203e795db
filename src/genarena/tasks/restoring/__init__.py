"""The protocol of restoration: images, observations, what methods make of them, and their scores."""
