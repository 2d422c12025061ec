"""Development server: TensorFlow Serving's protocols for one model, on this machine."""

from tfgig.serving.protocol.extra import check_extra

check_extra()
