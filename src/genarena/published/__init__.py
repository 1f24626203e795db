"""Published numbers, images made elsewhere, and checks of our own numbers."""
