"""PAIR saliency: the reference implementations of Guided IG and Blur IG, in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tfgig.benchmark.peers.keras_network import KerasPeer


class Saliency(KerasPeer):
    """Explains one image at a time and asks for gradients, which are those of a `tf.function`."""

    name = "saliency"
    title = "PAIR saliency"
    # With NumPy 2.4 its Guided IG calls `quantile` by an argument that is gone.
    requirements = ("saliency==0.2.1", "tensorflow>=2.19", "numpy<2.4")
    one_by_one = frozenset({"guided_ig", "smooth_grad"})

    def methods(self):
        from saliency import core

        def call(images, call_model_args=None, expected_keys=None):
            return {core.INPUT_OUTPUT_GRADIENTS: self.gradients(images)}

        def of_each(mask: Callable[..., Any], images: np.ndarray, **options: Any) -> np.ndarray:
            return np.stack([mask(image, call, None, **options) for image in images])

        return {
            "ig": lambda images, steps, points: of_each(
                core.IntegratedGradients().GetMask, images, x_steps=steps, batch_size=points
            ),
            "blur_ig": lambda images, steps, points: of_each(
                core.BlurIG().GetMask, images, steps=steps, batch_size=points
            ),
            "guided_ig": lambda images, steps, points: of_each(
                core.GuidedIG().GetMask, images, x_baseline=np.zeros_like(images[0]), x_steps=steps
            ),
            "smooth_grad": lambda images, samples, points: of_each(
                core.GradientSaliency().GetSmoothedMask, images, nsamples=samples, magnitude=False
            ),
        }
