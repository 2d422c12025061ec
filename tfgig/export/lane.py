"""The lane: in the graph, what bounds how many explanations run at once.

A loop keeps its thread of the runtime from its first step to its last, and a server has as many as
processors: two explanations on two processors hold up every prediction. So explanations go through
an operation of TensorFlow's that waits without a thread (`BatchFunction`), and the server needs to
know nothing of it.
"""

from __future__ import annotations

import functools
import secrets
from collections.abc import Callable, Sequence

import tensorflow as tf

from tfgig.export.guard import Outputs, unless_empty
from tfgig.exported.lane import Lane
from tfgig.tracing import AS_IS, WHOLE, Concrete, call_as_it_is, concrete

_LARGEST_REQUEST = 1 << 30  # rows; larger ones than a run are split
_QUEUE = "explanations"
_HOST = "CPU:0"  # where the operation takes and gives its tensors, whatever computes them


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
        # Each request is one row of the operation's, whatever its own rows: so it runs as it came,
        # rows of different shape never meet, and there is no request too large.
        # Its answers do not come out of the operation, which ends well, and without any, for a
        # request that was stopped while it waited. They are laid down in arrays of the request's
        # own, and taken up by a call, which the runtime refuses to a stopped request as CANCELLED.
        known = concrete(function, *inputs, attributes=AS_IS)
        outputs = tf.nest.flatten(known.structured_outputs)

        def wait(*values):
            with tf.device(_HOST):
                arrays = [_array(output) for output in outputs]

            def lay_down(_, *given):
                arrays, values = given[: len(outputs)], given[len(outputs) :]
                answers = tf.nest.flatten(known(*values))
                with tf.device(_HOST):
                    written = [_write(*pair) for pair in zip(arrays, answers, strict=True)]
                return tf.add_n(written)[tf.newaxis]

            turn = concrete(lay_down, tf.TensorSpec([1]), *arrays, *values, attributes=AS_IS)
            done = self._operation(turn, [tf.zeros([1])], [*arrays, *values])
            with tf.control_dependencies(done):
                return tf.nest.pack_sequence_as(known.structured_outputs, take_up(*arrays))

        def read(*arrays):
            with tf.device(_HOST):
                return [_read(*pair) for pair in zip(arrays, outputs, strict=True)]

        handle = tf.TensorSpec(None, tf.resource)
        take_up = concrete(read, *[handle for _ in outputs], attributes=WHOLE)
        # As it is: the operation seems to have no effect if nothing takes its output.
        waiting = concrete(wait, *inputs, attributes={**WHOLE, **AS_IS})
        call = functools.partial(call_as_it_is, waiting)
        return unless_empty(call, inputs, waiting.structured_outputs)

    def _merged(
        self, function: Callable[..., Outputs], inputs: Sequence[tf.Tensor], signature: str
    ) -> Outputs:
        traced = concrete(function, *inputs, attributes=AS_IS)
        answers = self._operation(traced, inputs, (), signature)
        rows = tf.shape(inputs[0])[0]
        known = [output.shape[1:] for output in traced.outputs]
        found = [_of_rows(value, rows, shape) for value, shape in zip(answers, known, strict=True)]
        return tf.nest.pack_sequence_as(traced.structured_outputs, found)

    def _operation(
        self,
        function: Concrete,
        inputs: Sequence[tf.Tensor],
        beside: Sequence[tf.Tensor],
        signature: str | None = None,
    ) -> list[tf.Tensor]:
        """What `function(*inputs, *beside)` returns; for a signature, rows of inputs are merged."""
        merged = signature is not None
        return tf.raw_ops.BatchFunction(
            in_tensors=list(inputs),
            captured_tensors=[*beside, *function.captured_inputs],
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


def _mergeable(tensor: tf.Tensor) -> bool:
    """Whether rows of different requests have one shape, and none can fail the others."""
    return tensor.dtype != tf.string and tensor.shape[1:].is_fully_defined()


def _array(answer: tf.TensorSpec) -> tf.Tensor:
    """The handle of a place for one tensor, of this run alone; it goes with the run."""
    handle, _ = tf.raw_ops.TensorArrayV3(size=1, dtype=answer.dtype, element_shape=answer.shape)
    return handle


def _write(handle: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    return tf.raw_ops.TensorArrayWriteV3(handle=handle, index=0, value=value, flow_in=0.0)


def _read(handle: tf.Tensor, answer: tf.TensorSpec) -> tf.Tensor:
    value = tf.raw_ops.TensorArrayReadV3(handle=handle, index=0, flow_in=0.0, dtype=answer.dtype)
    value.set_shape(answer.shape)
    return value


def _of_rows(value: tf.Tensor, rows: tf.Tensor, features: tf.TensorShape) -> tf.Tensor:
    """An output [B, *features] of the operation's; for no rows that is of no known shape at all.

    A size that is not known is then 0.
    """
    # Of no rows, the operation answers with the shape [0].
    found = tf.concat([tf.shape(value)[1:], tf.zeros([len(features)], tf.int32)], 0)
    sizes = [found[axis] if size is None else size for axis, size in enumerate(features)]
    return tf.reshape(value, [rows, *sizes])
