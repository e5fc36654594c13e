"""Side-by-side runs against peers: `python -m benchmarks.<name>`, each with a check that both compute the same."""
