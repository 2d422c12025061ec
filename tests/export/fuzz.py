"""Sends requests of every kind to exports, in a process of its own, which must live.

python -m tests.export.fuzz <examples> <version directory>...
"""

from __future__ import annotations

import faulthandler
import sys

import hypothesis
import numpy as np
import tensorflow as tf
from hypothesis import strategies as st

from tests.raw_session import RawSession
from tfgig.exported.signatures import TARGET

DTYPES = ("float32", "float64", "float16", "int64", "int32", "uint8", "bool", "complex64", "object")
EXTREMES = (0.0, 1.0, -1.0, 255.0, np.nan, np.inf, -np.inf, 3e38, -3e38, 1e-45)
TEXTS = (b"", b"a", b"\x00", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"x" * 2000)


@st.composite
def shapes(draw, info, rows):
    """Right, near what the signature takes, or anything."""
    known = [3 if axis.size < 0 else axis.size for axis in info.tensor_shape.dim[1:]]
    kind = draw(st.integers(0, 5))
    if kind == 5:
        return tuple(draw(st.lists(st.integers(0, 3), max_size=6)))
    if kind == 4:
        known = [draw(st.sampled_from([size, size, 0, 1, 2, 3])) for size in known]
    return (rows, *known)


@st.composite
def values(draw, info, rows):
    """An array: mostly of the right type."""
    right = tf.dtypes.as_dtype(info.dtype)
    right = "object" if right == tf.string else right.name
    dtype = draw(st.sampled_from(DTYPES)) if draw(st.integers(0, 5)) == 5 else right
    shape = draw(shapes(info, rows))
    if dtype == "object":
        texts = draw(st.lists(st.one_of(st.sampled_from(TEXTS), st.binary()), min_size=1))
        flat = [texts[i % len(texts)] for i in range(int(np.prod(shape)))]
        found = np.empty(len(flat), object)
        found[:] = flat
        return found.reshape(shape)
    numbers = draw(st.lists(st.sampled_from(EXTREMES), min_size=1, max_size=4))
    if np.dtype(dtype).kind in "iub":
        numbers = draw(st.lists(st.sampled_from([0, 1, -1, 2**31, -(2**40)]), min_size=1))
    with np.errstate(all="ignore"):
        return np.resize(np.array(numbers), shape).astype(dtype)


def check(name, inputs, outputs):
    """What holds of an answer, whatever was asked."""
    # One `target` for all rows is taken, with an axis or without.
    rows = {len(value) for key, value in inputs.items() if key != TARGET}
    for key, value in outputs.items():
        assert len(value) == max(rows), (name, key, value.shape, rows)
        if "ok" in outputs and value.dtype.kind == "f":
            assert np.isfinite(value).all(), (name, key)


def main(examples, directories):
    """Asks, and says what was asked last if the process ends."""
    faulthandler.enable()
    sessions = [RawSession(directory) for directory in directories]
    pairs = [(session, name) for session in sessions for name in session.signatures]
    answered = set()

    @hypothesis.settings(
        max_examples=examples, deadline=None, derandomize=True, database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )  # fmt: skip
    @hypothesis.given(st.data())
    def ask(data):
        session, name = data.draw(st.sampled_from(pairs))
        taken = session.signatures[name].inputs
        rows = data.draw(st.integers(0, 3))
        inputs = {key: data.draw(values(info, rows)) for key, info in sorted(taken.items())}
        told = {key: (value.dtype, value.shape) for key, value in inputs.items()}
        print(name, told, file=sys.stderr, flush=True)
        try:
            outputs = session.run(name, **inputs)
        except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError):
            return
        answered.add(name)
        check(name, inputs, outputs)

    ask()
    assert {name for _, name in pairs} == answered, "some signatures never answered"


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
