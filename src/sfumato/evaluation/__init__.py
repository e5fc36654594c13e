"""Measures of what a model paints, by a classifier that has seen renders alone. Knows nothing of how models work."""
