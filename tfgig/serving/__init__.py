"""Serving: exported models the way TensorFlow Serving runs them."""

from tfgig.serving.session import SessionModel

__all__ = ("SessionModel",)
