"""What every test is run with."""

import os
import pathlib
import shutil
import zlib

import pytest

# Both before TensorFlow is imported. Its logs would bury pytest's.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# TensorFlow leaves oneDNN off on some processors, where it cannot convolve channels first.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


@pytest.fixture(scope="module", autouse=True)
def same_weights_every_time(request):
    """What a module's tests draw, the weights of their models first of all, is drawn alike."""
    import keras  # after the lines above

    keras.utils.set_random_seed(zlib.crc32(request.module.__name__.encode()))


@pytest.fixture(scope="module")
def spark():
    """A session of Spark on one core of this machine."""
    for package in ("pyarrow", "pyspark"):
        pytest.importorskip(package, reason="the extra bulk is not installed")
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        pytest.skip("Spark needs a Java of 17 or later, and there is none")
    from tfgig.bulk.spark import start_session

    session = start_session("local[1]", {"spark.ui.enabled": "false"})
    yield session
    session.stop()


# Whose files take longest: one that is begun last would leave the other processes idle.
_FIRST = ("conformance", "tools", "fuzz", "docs", "evaluation", "export", "serving", "models")

# A part of the tests that takes minutes and meets every room: `pytest -m quick`.
_QUICK = (
    "tests",
    "baselines",
    "exported",
    "image",
    "metrics",
    "paths",
    "plots",
    "regions",
    "targets",
)


def pytest_collection_modifyitems(items):
    """Longest first; with `--no-loadscope-reorder` the files are shared out in this order."""

    def place(item):
        folder = pathlib.Path(item.path).parent.name
        return _FIRST.index(folder) if folder in _FIRST else len(_FIRST)

    items.sort(key=place)
    for item in items:
        if pathlib.Path(item.path).parent.name in _QUICK and not item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.quick)
