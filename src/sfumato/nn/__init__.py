"""Parts without diffusion: attention, residual blocks, embeddings. Module names are the state-dict layout."""
