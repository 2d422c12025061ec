"""The residual demonstration model: the same shapes, another architecture."""
