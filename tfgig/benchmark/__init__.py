"""Benchmarks: how fast a method is beside the gradients it needs, and how exact for its steps."""
