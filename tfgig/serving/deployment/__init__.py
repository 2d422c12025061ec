"""Deployment: TensorFlow Serving's configuration files, and checks that they agree."""
