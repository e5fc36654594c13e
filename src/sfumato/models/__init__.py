"""Architectures, one a file, each with its configuration dataclass on top. No files, no diffusion."""
