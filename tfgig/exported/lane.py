"""How the explanations of an export share a machine with its predictions."""

from __future__ import annotations

import dataclasses

from tfgig.spec import Spec, check, is_whole


@dataclasses.dataclass(frozen=True)
class Lane(Spec):
    """How explanations of an exported version share the machine with predictions.

    All signatures that explain share the bound: within a session, which is a version in TensorFlow
    Serving, and within a process that loads the version with `tf.saved_model.load`.

    Args:
        at_once: How many explanations run at once; 0 has no lane, so that each runs when it comes.
        waiting: How many requests may wait. One more is UNAVAILABLE at once.
        rows: The most rows of one run, for which the rows of waiting requests for the same
            signature are put together and larger requests are split. 0 runs each request by
            itself: what it answers then does not depend on what came with it, not in the last
            bit, and its deadline stops no one else's.
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
