"""Warm-up records: requests that a server runs when it loads a version, before it serves it.

TensorFlow Serving reads them from `assets.extra/tf_serving_warmup_requests`. They spare the first
users the wait while graphs are optimised, and they are a canary: a version with an endpoint that
fails is not taken up, and the one before goes on serving.
"""

from __future__ import annotations

import itertools
import os
import pathlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.framework import tensor_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from tfgig.export import protos
from tfgig.export.parsing import parsed_examples
from tfgig.exported.description import read_description
from tfgig.exported.directory import meta_graph_of, signatures_in
from tfgig.exported.fit import fit, spec_of
from tfgig.exported.signatures import SERVING_DEFAULT, defaults_of, has_rows, target_of
from tfgig.spec import check, is_whole, nearest
from tfgig.targets import TOP_CLASS

WARMUP_FILE = pathlib.PurePath("assets.extra") / "tf_serving_warmup_requests"
MOST_RECORDS = 1000  # TensorFlow Serving fails the load past that
_NO_CLASS = -2  # as a target; -1 is the top class
_PREAMBLE = ("Graph execution error", "Detected at node", "<stack traces")
_OPEN_SIZES = (1, 32, 224)  # tried in turn for what a signature leaves open beyond the batch


class _NoInputFound(Exception):
    """No input was found that a signature takes."""


def write_warmup(
    directory: str | os.PathLike,
    batch_sizes: Sequence[int] = (1,),
    inputs: Mapping[str, Any] | None = None,
) -> int:
    """Writes a warm-up record for each signature and batch size into an exported version.

    The inputs are constants of the right type and shape, in the middle of an image's value range.
    If tfgig wrote the version, the explanations are invalid on purpose: of a class that does not
    exist, or of NaN. Such a row returns zeros, so that a loop of two hundred steps takes only one,
    but everything in it runs once. Strings (encoded images, texts) and open sizes are found by
    trial. A signature for which nothing works is left out, with a warning.

    Args:
        directory: The version's directory.
        batch_sizes: The sizes of the batches that the server will run, such as its
            `allowed_batch_sizes`. An empty sequence writes nothing.
        inputs: One example's value by input name, without the batch dimension, to override the
            constants.

    Returns:
        The number of records written.

    Raises:
        TypeError: an input has the wrong type.
        ValueError: a batch size below 1, more records than TensorFlow Serving accepts, or an input
            that no signature has or that does not fit.
    """
    for size in batch_sizes:
        check(
            is_whole(size) and size >= 1, "A batch size must be a whole number of at least 1.", size
        )
    directory = pathlib.Path(directory)
    signatures = signatures_in(directory)
    count = len(signatures) * len(batch_sizes)
    check(
        count <= MOST_RECORDS,
        f"TensorFlow Serving accepts at most {MOST_RECORDS} warm-up records; use fewer batch "
        "sizes.",
        count,
    )
    if not count:
        return 0
    known = sorted({key for definition in signatures.values() for key in definition.inputs})
    for key in inputs or {}:
        check(key in known, f"No signature has this input. {nearest(key, known)}", key)
    examples = _Examples(directory, signatures, inputs or {})
    records = []
    for name in signatures:
        try:
            example = examples.of(name)
        except _NoInputFound as error:
            warnings.warn(
                f"No warm-up record for {name!r}: {error} Write it with "
                "tfgig.export.write_warmup(directory, inputs={...}), or disable it with warmup=().",
                stacklevel=3,
            )
            continue
        definition = signatures[name]
        records += [_record(name, definition, example, size) for size in batch_sizes]
    path = directory / WARMUP_FILE
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    return len(records)


def read_warmup(directory: str | os.PathLike) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """The signature's name and the inputs of each record of a prediction.

    There may be none, nor a file. Records of other requests, which TensorFlow Serving also takes
    (classification, regression), are passed over.

    Raises:
        tf.errors.OpError: the file is damaged.
        ValueError: a record is no `PredictionLog`.
    """
    path = pathlib.Path(directory) / WARMUP_FILE
    if not path.is_file():
        return
    for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        try:
            log = protos.message("PredictionLog").FromString(record)
            request = log.predict_log.request
            inputs = {entry.key: tf.make_ndarray(entry.value) for entry in request.inputs}
        except (DecodeError, TypeError) as error:
            raise ValueError(f"A warm-up record is not a PredictionLog: {error}") from error
        if log.HasField("predict_log"):
            yield request.model_spec.signature_name or SERVING_DEFAULT, inputs


class _Examples:
    """One example for each signature of a version."""

    def __init__(
        self,
        directory: pathlib.Path,
        signatures: Mapping[str, meta_graph_pb2.SignatureDef],
        given: Mapping[str, Any],
    ) -> None:
        self._directory = directory
        self._signatures = signatures
        self._given = given
        description = read_description(directory)
        self._value_range = description.value_range
        self._explaining = frozenset(description.endpoints)
        self._found: dict[str, Any] = {}  # what worked, by the names of inputs
        self._loaded: Any = None

    def of(self, name: str) -> dict[str, np.ndarray]:
        """A value for each input, without the batch."""
        inputs, known = self._signatures[name].inputs, self._known(name)
        unsure = [key for key, info in inputs.items() if key not in known and _is_unsure(info)]
        if any(key not in self._found for key in unsure):
            self._try(name, unsure)
        return {
            key: self._found[key] if key in unsure else self._sure(key, inputs[key], name)
            for key in inputs
        }

    def _known(self, name: str) -> set[str]:
        """The inputs of a signature whose values need no search."""
        definition = self._signatures[name]
        whole = (k for k in defaults_of(definition) if not has_rows(definition.inputs[k]))
        return {*self._given, *whole}

    def _sure(self, key: str, info: meta_graph_pb2.TensorInfo, name: str) -> np.ndarray:
        dtype = tf.dtypes.as_dtype(info.dtype)
        if key in self._given:
            return fit(self._given[key], spec_of(key, info), rows=not has_rows(info))
        if key in self._known(name):
            return defaults_of(self._signatures[name])[key]
        shape = [axis.size for axis in info.tensor_shape.dim[1:]]
        value: float = 0
        in_vain = name in self._explaining
        target = target_of(self._signatures[name])
        if key == target:
            value = _NO_CLASS if in_vain else TOP_CLASS
        elif in_vain and dtype.is_floating and target is None:
            value = float("nan")
        elif dtype.is_floating and len(shape) == 3 and self._value_range:
            value = sum(self._value_range) / 2
        return np.full(shape, value, dtype.as_numpy_dtype)

    def _try(self, name: str, unsure: Sequence[str]) -> None:
        """Finds values for the inputs that leave something open, by calling the model."""
        default = self._signatures.get(SERVING_DEFAULT)
        # A prediction tells as much as an explanation, and costs less.
        cheap = default is not None and set(unsure) <= set(default.inputs)
        name = SERVING_DEFAULT if cheap else name
        inputs = self._signatures[name].inputs
        if self._loaded is None:
            self._loaded = tf.saved_model.load(str(self._directory))
        reasons = []
        texts = (_png(), *parsed_examples(meta_graph_of(self._directory).graph_def), b"")
        for size, text in itertools.product(_OPEN_SIZES, texts):
            values = {key: _candidate(inputs[key], size, text) for key in unsure}
            complete = {
                key: values[key] if key in values else self._sure(key, info, name)
                for key, info in inputs.items()
            }
            try:
                self._loaded.signatures[name](
                    **{
                        key: tf.constant(value[np.newaxis] if has_rows(inputs[key]) else value)
                        for key, value in complete.items()
                    }
                )
            except (tf.errors.OpError, ValueError, TypeError) as error:
                reasons.append(_reason(error))
                continue
            self._found.update(values)
            return
        raise _NoInputFound(
            f"{', '.join(unsure)} accepted none of the generated inputs ({reasons[-1]})."
        )


def _reason(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith(_PREAMBLE)]
    return (told or lines or [type(error).__name__])[0].strip()


def _is_unsure(info: meta_graph_pb2.TensorInfo) -> bool:
    open_axes = any(axis.size < 0 for axis in info.tensor_shape.dim[1:]) or not has_rows(info)
    return info.dtype == tf.string.as_datatype_enum or open_axes or info.tensor_shape.unknown_rank


def _candidate(info: meta_graph_pb2.TensorInfo, size: int, text: bytes) -> np.ndarray:
    axes = info.tensor_shape.dim[1 if has_rows(info) else 0 :]
    shape = [size if axis.size < 0 else axis.size for axis in axes]
    dtype = tf.dtypes.as_dtype(info.dtype)
    if dtype == tf.string:
        texts = np.empty(shape, object)
        texts.fill(text)  # np.full would strip zeros from its end
        return texts
    # What is one value for the batch may divide: a temperature, the share that is kept.
    value = 0 if has_rows(info) or dtype == tf.bool else 1
    return np.full(shape, value, dtype.as_numpy_dtype)


def _png() -> bytes:
    return tf.io.encode_png(np.full((32, 32, 3), 128, np.uint8)).numpy()


def _record(
    name: str,
    definition: meta_graph_pb2.SignatureDef,
    example: Mapping[str, np.ndarray],
    size: int,
) -> bytes:
    log = protos.message("PredictionLog")()
    request = log.predict_log.request
    request.model_spec.signature_name = name
    for key, value in example.items():
        entry = request.inputs.add(key=key)
        rows = has_rows(definition.inputs[key])
        entry.value.CopyFrom(_repeated(value, size) if rows else tf.make_tensor_proto(value))
    return log.SerializeToString(deterministic=True)


def _repeated(value: np.ndarray, size: int) -> tensor_pb2.TensorProto:
    """A batch of equal rows; a constant is stored as one number."""
    shape = [size, *value.shape]
    same = value == value.reshape(-1)[:1]
    if value.dtype.kind == "f":
        same |= np.isnan(value)  # examples are constants, so that all are
    if value.size and np.all(same):
        return tf.make_tensor_proto(value.reshape(-1)[0], tf.as_dtype(value.dtype), shape)
    return tf.make_tensor_proto(np.broadcast_to(value, shape))
