"""The lane: in the graph, what bounds how many explanations run at once.

A loop keeps its thread of the runtime from its first step to its last, and a server has as many as
processors: two explanations on two processors hold up every prediction. So explanations go through
an operation of TensorFlow's that waits without a thread (`BatchFunction`), and the server needs to
know nothing of it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence

import tensorflow as tf

from tfgig.export.guard import Outputs, unless_empty
from tfgig.exported.lane import Lane
from tfgig.tracing import AS_IS, Concrete, concrete

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
        self, function: Callable[..., Outputs], inputs: Sequence[tf.Tensor], signature: str
    ) -> Outputs:
        """`function(*inputs)`, outputs [B, ...] by name, when its turn comes; for B = 0 at once.

        Args:
            function: What explains.
            inputs: [B, ...] each, with one B.
            signature: Its name. Only requests for one signature are put together.
        """
        if not self._lane.at_once:
            return unless_empty(function, inputs)
        if self._lane.rows and all(_mergeable(tensor) for tensor in inputs):
            return self._merged(function, inputs, signature)
        return self._alone(function, inputs)

    def _alone(self, function: Callable[..., Outputs], inputs: Sequence[tf.Tensor]) -> Outputs:
        # Each request is one row of the operation's, so that it runs as it came: rows of different
        # shape never meet, and there is no request too large. Without rows there is no request.
        def explain_request(*requests):
            outputs = function(*(tf.squeeze(request, 0) for request in requests))
            return {name: tf.expand_dims(value, 0) for name, value in outputs.items()}

        rows = tf.shape(inputs[0])[0]
        number = tf.minimum(rows, 1)
        requests = [tf.expand_dims(value, 0)[:number] for value in inputs]
        traced = concrete(explain_request, *map(_whole, inputs), attributes=AS_IS)
        return self._operation(traced, requests, rows, 2)

    def _merged(
        self, function: Callable[..., Outputs], inputs: Sequence[tf.Tensor], signature: str
    ) -> Outputs:
        traced = concrete(function, *inputs, attributes=AS_IS)
        return self._operation(traced, inputs, tf.shape(inputs[0])[0], 1, signature)

    def _operation(
        self,
        function: Concrete,
        inputs: Sequence[tf.Tensor],
        rows: tf.Tensor,
        leading: int,
        signature: str | None = None,
    ) -> Outputs:
        """The outputs; the first `leading` axes of the operation's own are the rows."""
        merged = signature is not None
        answers = tf.raw_ops.BatchFunction(
            in_tensors=list(inputs),
            captured_tensors=function.captured_inputs,
            f=function,
            Tout=[output.dtype for output in function.outputs],
            num_batch_threads=self._lane.at_once,
            max_batch_size=_LARGEST_REQUEST if merged else 1,
            batch_timeout_micros=0,
            max_enqueued_batches=self._lane.waiting,
            # All sizes, so that nothing is padded.
            allowed_batch_sizes=list(range(1, self._lane.rows + 1)) if merged else [],
            enable_large_batch_splitting=merged,
            shared_name=self._name + ("_merged" if merged else ""),
            batching_queue=signature or _QUEUE,
        )
        found = [
            _of_rows(value, rows, known.shape[leading:], leading)
            for value, known in zip(answers, function.outputs, strict=True)
        ]
        return tf.nest.pack_sequence_as(function.structured_outputs, found)


def _mergeable(tensor: tf.Tensor) -> bool:
    """Whether rows of different requests have one shape, and none can fail the others."""
    return tensor.dtype != tf.string and tensor.shape[1:].is_fully_defined()


def _whole(tensor: tf.Tensor) -> tf.TensorSpec:
    """The spec of a request, [1, B, ...]."""
    return tf.TensorSpec([1, *tensor.shape], tensor.dtype)


def _of_rows(
    value: tf.Tensor, rows: tf.Tensor, features: tf.TensorShape, leading: int
) -> tf.Tensor:
    """An output [B, *features] of the operation's; for no rows that is of no known shape at all.

    A size that is not known is then 0.
    """
    # Of no rows, the operation answers with the shape [0].
    found = tf.concat([tf.shape(value)[leading:], tf.zeros([len(features)], tf.int32)], 0)
    sizes = [found[axis] if size is None else size for axis, size in enumerate(features)]
    return tf.reshape(value, [rows, *sizes])
