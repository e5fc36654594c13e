"""Training: one loop, and one task a thing to be trained. Needs the extra `train`."""
