"""Reproduction of published numbers, scores of images made elsewhere, and checks of genarena's own numbers."""
