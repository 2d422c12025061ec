"""Alibi: Integrated Gradients of Keras models, in eager TensorFlow."""

from __future__ import annotations

from tfgig.benchmark.peers.keras_network import KerasPeer


class Alibi(KerasPeer):
    """Explains the images together, in as many points a call as it is told."""

    name = "alibi"
    title = "Alibi"
    python = "3.11"  # the newest for which there is a TensorFlow that alibi takes, 2.14
    requirements = ("alibi[tensorflow]==0.9.6", "click")  # which alibi imports and does not name

    def methods(self):
        from alibi.explainers import IntegratedGradients

        def ig(images, steps, points):
            explainer = IntegratedGradients(
                self.model, method="riemann_middle", n_steps=steps, internal_batch_size=points
            )
            return explainer.explain(images, target=[0] * len(images)).attributions[0]

        return {"ig": ig}
