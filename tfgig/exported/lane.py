"""How the explanations of an export share a machine with its predictions."""

from __future__ import annotations

import dataclasses

from tfgig.spec import Spec, check, is_whole


@dataclasses.dataclass(frozen=True)
class Lane(Spec):
    """How explanations of an exported version share the machine with predictions.

    All explaining signatures share the limits: within a session, which is a version in TensorFlow
    Serving, and within a process that loads the version with `tf.saved_model.load`.

    Args:
        at_once: The number of explanations that run at once; 0 disables the lane, so that each runs
            immediately.
        waiting: The number of requests that may wait. Further requests fail immediately with
            UNAVAILABLE.
        rows: The maximum rows of one run: rows of waiting requests for the same signature are
            merged, and larger requests are split. 0 runs each request alone: its answer then does
            not depend on other requests, to the last bit, and its deadline does not stop others.
    """

    family = "lane"
    kind = "lane"
    at_once: int = 1
    waiting: int = 4
    rows: int = 0

    def __post_init__(self) -> None:
        for name, least in (("at_once", 0), ("waiting", 1), ("rows", 0)):
            value = getattr(self, name)
            check(is_whole(value) and value >= least, f"`{name}` must be at least {least}.", value)
