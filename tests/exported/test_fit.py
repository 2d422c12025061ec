"""One rule for what a tensor of a signature takes, whoever asks."""

import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf

from tfgig.exported.fit import check_fits, check_shape, check_type, fit, fit_targets


def spec(dtype, *axes):
    return tf.TensorSpec([None, *axes], dtype, "x")


TAKEN = {
    "floats of whole numbers": ([[1, 2]], spec(tf.float32, 2), np.float32([[1, 2]])),
    "floats of doubles": (np.array([0.1]), spec(tf.float32), np.float32([0.1])),
    "narrow floats": (np.array([0.5]), spec(tf.bfloat16), np.array([0.5], ml_dtypes.bfloat16)),
    "no numbers": ([np.nan, np.inf], spec(tf.float32), np.float32([np.nan, np.inf])),
    "a narrower type": (np.array([255, 0]), spec(tf.uint8), np.uint8([255, 0])),
    "no rows": ([], spec(tf.int64), np.zeros([0], np.int64)),
    "booleans": ([True, False], spec(tf.bool), np.array([True, False])),
    "texts": (["é", b"\0\xff\0"], spec(tf.string), np.array(["é".encode(), b"\0\xff\0"], object)),
    "arrays of texts": (np.array([["a"]]), spec(tf.string, 1), np.array([[b"a"]], object)),
    "a tensor": (tf.constant([b"a"]), spec(tf.string), np.array([b"a"], object)),
    "an open axis": (np.zeros([2, 9]), spec(tf.float32, None), np.zeros([2, 9], np.float32)),
}


@pytest.mark.parametrize("name", TAKEN)
def test_what_is_taken(name):
    value, wanted, expected = TAKEN[name]
    found = fit(value, wanted)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)
    check_fits(found, wanted)


REFUSED = {
    "floats for whole numbers": ([1.0], spec(tf.int64), TypeError, "must be int64. Rec.*: float64"),
    "whole numbers for booleans": ([1], spec(tf.bool), TypeError, "must be bool. Received: int64"),
    "booleans for numbers": (
        [True],
        spec(tf.float32),
        TypeError,
        "must be float32. Received: bool",
    ),
    "text for numbers": (["a"], spec(tf.float32), TypeError, "must be float32. Received: str"),
    "numbers for text": ([1], spec(tf.string), TypeError, "must be string. Received: int"),
    "a date": (np.array(["2026-01-01"], "M8[D]"), spec(tf.int64), TypeError, "datetime64"),
    "nothing": ([None], spec(tf.float32), TypeError, "must be float32. Received: object"),
    "too large": ([300, -1], spec(tf.uint8), ValueError, "0 to 255.*-1 to 300"),
    "far too large": ([2**70], spec(tf.int64), ValueError, "must be .*1180591620717411303"),
    "infinite as a float": ([1e300], spec(tf.float32), ValueError, "must be .*1e.300"),
    "a row": (np.zeros(2), spec(tf.float32, 2), ValueError, r"\[B, 2\]. Is the batch axis missing"),
    "a shape": ([[1, 2, 3]], spec(tf.float32, 2), ValueError, r"\[B, 2\]. Rec.*shape \(1, 3\)"),
    "ragged": (
        [[1, 2], [3]],
        spec(tf.float32, 2),
        ValueError,
        "'x' has rows of different lengths.*inhomogeneous",
    ),
    "ragged texts": (
        [["a"], ["b", "c"]],
        spec(tf.string, 1),
        ValueError,
        "rows of different lengths",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name):
    value, wanted, error, message = REFUSED[name]
    with pytest.raises(error, match=message):
        fit(value, wanted)


def test_one_example_has_no_batch():
    np.testing.assert_array_equal(fit([1, 2], spec(tf.float32, 2), rows=False), np.float32([1, 2]))
    with pytest.raises(ValueError, match=r"one example, without the batch, must have shape \[2\]"):
        fit([[1, 2]], spec(tf.float32, 2), rows=False)


def test_what_came_over_the_wire_is_not_changed():
    with pytest.raises(TypeError, match=r"'x' must be int64. Received: int32"):
        check_fits(np.zeros([1], np.int32), spec(tf.int64))


def test_symbolic_tensors_are_checked_by_type_and_shape():
    check_type(tf.float16, spec(tf.float32))
    check_shape(tf.TensorShape([None, None]), spec(tf.float32, 2))
    with pytest.raises(TypeError, match=r"'x' must be int32. Received: float32"):
        check_type(tf.float32, spec(tf.int32))


@pytest.mark.parametrize("target", [2, [2], np.int32(2), [2, 2, 2]])
def test_targets(target):
    found = fit_targets(target, 3)
    assert found.dtype == np.int64
    assert found.tolist() == [2, 2, 2]


@pytest.mark.parametrize("target", [1.5, True, "cat", [0, 1], [[0]] * 3])
def test_what_is_no_target(target):
    with pytest.raises(ValueError, match=r"one for each of the 3 rows. Received: "):
        fit_targets(target, 3)
