"""The lane: in the graph, what bounds how many explanations run at once.

A loop keeps its thread of the runtime from its first step to its last, and a server has as many as
processors: two explanations on two processors hold up every prediction. So explanations go through
an operation of TensorFlow's that waits without a thread (`BatchFunction`), and the server needs to
know nothing of it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from tfgig.exported.lane import Lane

_LARGEST_REQUEST = 1 << 30  # rows; larger ones than a run are split
_QUEUE = "explanations"


class Entrance:
    """The way into the lane of one export.

    Args:
        lane: How it is bounded.
    """

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        # Of its own for every export: two that are loaded in one process are not to meet.
        self._name = f"tfgig_lane_{secrets.token_hex(8)}"

    def through(
        self, function: Callable[..., Any], inputs: Sequence[tf.Tensor], signature: str
    ) -> Any:
        """`function(*inputs)`, a structure of tensors [B, ...], when its turn comes.

        Args:
            function: What explains.
            inputs: [B, ...] each, with one B.
            signature: Its name. Only requests for one signature are put together.
        """
        if not self._lane.at_once:
            return function(*inputs)
        if self._lane.rows and all(_mergeable(tensor) for tensor in inputs):
            return self._merged(function, inputs, signature)

        # Each request is one row of the operation's, so that it runs alone, as it came: rows of
        # different shape never meet, and there is no request too large.
        def explain_request(*requests):
            outputs = function(*(tf.squeeze(request, 0) for request in requests))
            return tf.nest.map_structure(lambda value: tf.expand_dims(value, 0), outputs)

        requests = [tf.expand_dims(value, 0) for value in inputs]
        answers = self._operation(explain_request, requests, 1, (), _QUEUE)
        return tf.nest.map_structure(lambda value: tf.squeeze(value, 0), answers)

    def _merged(
        self, function: Callable[..., Any], inputs: Sequence[tf.Tensor], signature: str
    ) -> Any:
        # All sizes are allowed, so that nothing is padded.
        sizes = range(1, self._lane.rows + 1)
        return self._operation(function, inputs, _LARGEST_REQUEST, sizes, signature)

    def _operation(
        self,
        function: Callable[..., Any],
        inputs: Sequence[tf.Tensor],
        most: int,
        sizes: Sequence[int],
        queue: str,
    ) -> Any:
        specs = [tf.TensorSpec(v.shape, v.dtype, f"x{i}") for i, v in enumerate(inputs)]
        # A lambda of its own, for TensorFlow counts retraces by code object.
        traced = tf.function(lambda *values: function(*values), autograph=False)
        concrete = traced.get_concrete_function(*specs)
        outputs = tf.raw_ops.BatchFunction(
            in_tensors=list(inputs),
            captured_tensors=concrete.captured_inputs,
            f=concrete,
            Tout=[output.dtype for output in concrete.outputs],
            num_batch_threads=self._lane.at_once,
            max_batch_size=most,
            batch_timeout_micros=0,
            max_enqueued_batches=self._lane.waiting,
            allowed_batch_sizes=list(sizes),
            enable_large_batch_splitting=bool(sizes),
            shared_name=self._name + ("_merged" if sizes else ""),
            batching_queue=queue,
        )
        for output, known in zip(outputs, concrete.outputs, strict=True):
            output.set_shape(known.shape)
        return tf.nest.pack_sequence_as(concrete.structured_outputs, outputs)


def _mergeable(tensor: tf.Tensor) -> bool:
    """Whether rows of different requests have one shape, and none can fail the others."""
    return tensor.dtype != tf.string and tensor.shape[1:].is_fully_defined()
