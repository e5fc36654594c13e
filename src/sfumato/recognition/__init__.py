"""What pictures show: classes by a diffusion model, the attributes of nano's domain, embeddings. Paints nothing."""
