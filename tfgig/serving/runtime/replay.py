"""Runs the warm-up records of a version, as TensorFlow Serving does when it loads one."""

from __future__ import annotations

import os

from tfgig.export.warmup import read_warmup
from tfgig.exported.signatures import defaults_of
from tfgig.serving.protocol.arguments import check_inputs
from tfgig.serving.runtime.session import SessionModel
from tfgig.spec import nearest


def replay(model: SessionModel, directory: str | os.PathLike) -> int:
    """Runs every record; returns how many there are.

    Raises:
        ValueError: a record is none, or for a signature that the version does not have.
        InvalidRequest: a record does not fit its signature.
        tf.errors.OpError: an endpoint fails.
    """
    count = 0
    for signature, inputs in read_warmup(directory):
        if signature not in model.signatures:
            raise ValueError(
                f"A warm-up record is for the signature {signature!r}. "
                f"{nearest(signature, model.signatures)}"
            )
        definition = model.signatures[signature]
        complete = {**defaults_of(definition), **inputs}
        check_inputs(signature, definition, complete)  # a session would cast them
        model.call(signature, complete)
        count += 1
    return count
