"""The pictures nano learns from: drawn here from openly licensed parts, each with known attributes."""
