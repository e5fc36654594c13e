"""Weights from files: safetensors, strictly checked and mapped, in the diffusers folder layout."""
