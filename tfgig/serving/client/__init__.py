"""Client: gets predictions and explanations from TensorFlow Serving or the development server."""

from tfgig.serving.protocol.extra import check_extra

check_extra()
