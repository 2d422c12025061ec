"""Deployment: the files that TensorFlow Serving is started with, and what they must agree on."""
