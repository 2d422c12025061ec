"""Set before TensorFlow is imported: its logs would bury pytest's."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
