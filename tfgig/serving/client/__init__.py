"""Client: asks TensorFlow Serving, or the development server, for predictions and explanations."""

from tfgig.serving.protocol.extra import check_extra

check_extra()
