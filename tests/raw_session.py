"""A session that is fed as TensorFlow Serving feeds it: the graph is the first to see a shape."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from tensorflow.python.client import pywrap_tf_session

from tfgig.exported.signatures import defaults_of, public


class RawSession:
    """The signatures of a SavedModel directory, called by name, with whatever inputs."""

    def __init__(self, directory):
        self._graph = tf.Graph()
        self._session = tf.compat.v1.Session(graph=self._graph)
        with self._graph.as_default():
            loaded = tf.compat.v1.saved_model.load(self._session, ["serve"], str(directory))
        self.signatures = public(loaded.signature_def)

    def run(self, signature, seconds=None, **inputs):
        """The outputs by name; what may be left out is filled in.

        Raises:
            tf.errors.OpError: what the server would answer.
        """
        definition = self.signatures[signature]
        feeds = {**defaults_of(definition), **inputs}
        options = None
        if seconds is not None:
            options = tf.compat.v1.RunOptions(timeout_in_ms=int(seconds * 1000))
            options = pywrap_tf_session.TF_NewBufferFromString(options.SerializeToString())
        outputs = list(definition.outputs)
        values = self._session._call_tf_sessionrun(
            options,
            {self._tensor(definition.inputs[k].name): np.asarray(v) for k, v in feeds.items()},
            [self._tensor(definition.outputs[name].name) for name in outputs],
            [],
            None,
        )
        return dict(zip(outputs, values, strict=True))

    def close(self):
        """Stops what runs."""
        self._session.close()

    def _tensor(self, name):
        return self._graph.get_tensor_by_name(name)._as_tf_output()
