"""Places right in front of a normalisation, where the straight way from zeros shows nothing."""

from __future__ import annotations

import tensorflow as tf

from tfgig.models.graphs.cut import Cut

_PASSING_ON = ("Identity", "Cast", "Reshape", "Transpose", "StopGradient", "ExpandDims", "Squeeze")
_SPREADS = ("Mean", "Sum", "Square", "SquaredDifference", "Sub", "Max", "Abs", "Sqrt")
_WITH_A_CONSTANT = ("AddV2", "Add", "Maximum", "Mul")
_INVERSES = ("Rsqrt", "Reciprocal", "Inv")


def is_normalised(cut: Cut) -> bool:
    """Whether the model divides what is explained by its own spread before anything else.

    Layer normalisation and unit lengths do. Then f(alpha x) is the same for nearly all alpha, and
    all that changes happens next to alpha = 0, where no step of a path looks.
    """
    graph = cut.forward.graph
    seen, waiting = set(), [graph.inputs[0]]
    while waiting:
        tensor = waiting.pop()
        for op in tensor.consumers():
            if op.type in _INVERSES:
                return True
            if op.type == "RealDiv" and op.inputs[1] is tensor and tensor is not graph.inputs[0]:
                return True
            alike = op.type in (*_PASSING_ON, *_SPREADS)
            if alike or (op.type in _WITH_A_CONSTANT and _is_with_a_number(op)):
                waiting += [output for output in op.outputs if output.name not in seen]
                seen |= {output.name for output in op.outputs}
    return False


def words_of_singular(name: str | None) -> str:
    """What a user is told of a place that is normalised at once."""
    return (
        f"{name!r} is immediately before a normalisation (LayerNormalization, unit length). From a "
        "baseline of 0, the score jumps right next to the baseline, and attributions do not sum to "
        "the score: check `delta`. Explain the model after the normalisation, or use another "
        "baseline, such as DatasetStatistic.of(data)."
    )


def _is_with_a_number(op: tf.Operation) -> bool:
    """Whether one side of an operation is a single number, such as an epsilon."""
    return any(t.op.type == "Const" and t.shape.num_elements() == 1 for t in op.inputs)
