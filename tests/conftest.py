"""Set before TensorFlow is imported: its logs would bury pytest's."""

import os
import zlib

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@pytest.fixture(scope="module", autouse=True)
def same_weights_every_time(request):
    """What a module's tests draw, the weights of their models first of all, is drawn alike."""
    import keras  # after the line above

    keras.utils.set_random_seed(zlib.crc32(request.module.__name__.encode()))
