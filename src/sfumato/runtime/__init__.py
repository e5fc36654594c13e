"""The machine: where to compute, in which precision, how fast. Knows no model."""
