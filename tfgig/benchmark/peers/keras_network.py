"""The network of peers that explain Keras models."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfgig.benchmark.peers.base import Peer

_APPLICATIONS = {"mobilenet_v2": "MobileNetV2", "inception_v3": "InceptionV3"}


class KerasPeer(Peer):
    """A peer whose network is one of `keras.applications`, by whatever Keras is installed."""

    def __init__(self, network: str):
        import tensorflow as tf

        application = getattr(tf.keras.applications, _APPLICATIONS[network])
        self.model: Any = application(weights=None, classifier_activation="softmax")

        @tf.function(reduce_retracing=True)
        def evaluate(images: tf.Tensor) -> tf.Tensor:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(images)
                score = self.model(images, training=False)[:, 0]
            return tape.gradient(score, images)

        self._evaluate = evaluate
        self._constant = tf.constant

    def gradients(self, images: np.ndarray) -> np.ndarray:
        return self._evaluate(self._constant(images, "float32")).numpy()
