"""An exported model in a plain session: graph and variables only, no Python objects.

This is how TensorFlow Serving loads a SavedModel. Faults that `tf.saved_model.load` hides, such as
variables that only Python can restore, show here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfgig.exported.directory import unloadable
from tfgig.exported.signatures import defaults_of, public
from tfgig.spec import nearest


class SessionModel:
    """The signatures of a SavedModel directory, called by name.

        with SessionModel(directory) as model:
            explanation = model.run("explain_ig", image=images, target=[-1])

    Args:
        directory: A version's directory.
        inter_op_threads: Threads that run the operations of all requests, also those of other
            models; 0 for one per processor, as in TensorFlow Serving.
        intra_op_threads: Threads that share one operation; 0 for one per processor. The first
            session of a process sets it for all.

    Attributes:
        signatures: For each signature, its inputs and outputs as `TensorInfo` by name.
        internal: TensorFlow's internal signatures.

    Raises:
        ValueError: TensorFlow cannot load it; a file is damaged or missing.
    """

    def __init__(
        self,
        directory: str | os.PathLike,
        inter_op_threads: int = 0,
        intra_op_threads: int = 0,
    ) -> None:
        graph = tf.Graph()
        config = _config(inter_op_threads, intra_op_threads)
        self._session = tf.compat.v1.Session(graph=graph, config=config)
        try:
            with graph.as_default():
                meta_graph = tf.compat.v1.saved_model.load(self._session, ["serve"], str(directory))
        except Exception as error:  # whatever a file makes TensorFlow raise, it is the file's
            self._session.close()
            raise unloadable(error, str(directory)) from error
        self.signatures = public(meta_graph.signature_def)
        self.internal = {
            name: found
            for name, found in meta_graph.signature_def.items()
            if name not in self.signatures
        }

    def run(self, signature: str, **inputs: Any) -> dict[str, np.ndarray]:
        """The outputs of a signature, by name; missing inputs take the signature's defaults.

        Raises:
            ValueError: the signature or input is unknown; the error suggests the nearest.
        """
        if signature not in self.signatures:
            known = nearest(signature, sorted(self.signatures))
            raise ValueError(f"Unknown signature {signature!r}. {known}")
        definition = self.signatures[signature]
        feeds = {**defaults_of(definition), **inputs}
        if set(feeds) ^ set(definition.inputs):
            raise ValueError(
                f"{signature!r} needs the inputs {sorted(definition.inputs)}. Received: "
                f"{sorted(inputs)}."
            )
        return self.call(signature, feeds)

    def call(
        self,
        signature: str,
        inputs: Mapping[str, Any],
        outputs: Sequence[str] = (),
        seconds: float | None = None,
    ) -> dict[str, np.ndarray]:
        """The outputs of a signature for all of its inputs; may be called from many threads.

        Args:
            signature: The signature's name.
            inputs: A value for each of its inputs.
            outputs: The outputs to return; all by default. The others are not computed.
            seconds: The time limit. The computation is then stopped, including loops.

        Raises:
            tf.errors.OpError: the graph failed; DeadlineExceededError if it took too long.
        """
        definition = self.signatures[signature]
        options = tf.compat.v1.RunOptions()
        if seconds is not None:
            options.timeout_in_ms = max(1, int(seconds * 1000))
        return self._session.run(
            {name: definition.outputs[name].name for name in outputs or definition.outputs},
            {definition.inputs[name].name: value for name, value in inputs.items()},
            options=options,
        )

    def close(self) -> None:
        """Frees the session."""
        self._session.close()

    def __enter__(self) -> SessionModel:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _config(threads: int, intra_op_threads: int) -> tf.compat.v1.ConfigProto:
    """One pool of threads that all sessions of the process share."""
    config = tf.compat.v1.ConfigProto(intra_op_parallelism_threads=intra_op_threads)
    config.session_inter_op_thread_pool.add(global_name=f"tfgig-{threads}", num_threads=threads)
    return config
