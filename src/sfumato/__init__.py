"""sfumato: a complete Stable Diffusion system, CPU first."""
