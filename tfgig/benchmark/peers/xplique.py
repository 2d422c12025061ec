"""Xplique: attributions of Keras models as calls of a `tf.function`."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfgig.benchmark.peers.base import NOISE
from tfgig.benchmark.peers.keras_network import KerasPeer


class Xplique(KerasPeer):
    """Explains the images together, in as many points a call as it is told."""

    name = "xplique"
    title = "Xplique"
    requirements = ("xplique==2.0.2", "tensorflow>=2.19")

    def methods(self):
        from xplique import attributions

        made: dict[tuple, Any] = {}

        def explained(kind, images, points, **options):
            key = kind, points, *options.values()
            if key not in made:  # its functions are traced once for each explainer
                made[key] = kind(self.model, batch_size=points, reducer=None, **options)
            first = np.eye(1, self.model.output_shape[-1], dtype=np.float32)
            return np.asarray(made[key](images, np.repeat(first, len(images), 0)))

        return {
            "ig": lambda images, steps, points: explained(
                attributions.IntegratedGradients, images, points, steps=steps
            ),
            "smooth_grad": lambda images, samples, points: explained(
                attributions.SmoothGrad,
                images,
                points,
                nb_samples=samples,
                noise=NOISE * float(np.ptp(images)),
            ),
        }
