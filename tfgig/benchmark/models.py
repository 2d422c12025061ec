"""Networks whose speed is measured: random weights, for their values cost nothing and tell nothing.

The values of random networks say nothing about exactness either; for that, take a trained model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf


class Network(NamedTuple):
    """A model, where it is explained, and the rows that it is asked about.

    Args:
        build: Makes the model, anew for each measurement.
        layer: The layer at which it is explained; None for its inputs.
        input_name: What to call its input, where Keras calls it after a counter.
        value_range: The least and the largest value of its inputs, `[low, high)` for whole numbers.
    """

    build: Callable[[], keras.Model]
    layer: str | None = None
    input_name: str = "image"
    value_range: tuple[float, float] = (-1.0, 1.0)


def _application(name: str) -> Callable[[], keras.Model]:
    return lambda: getattr(keras.applications, name)(weights=None, classifier_activation="softmax")


def _attention(tokens: keras.KerasTensor, heads: int, width: int) -> keras.KerasTensor:
    """A block of a transformer, normalised in front (Dosovitskiy et al., 2021, equations 2, 3)."""
    normal = keras.layers.LayerNormalization(epsilon=1e-6)(tokens)
    tokens = tokens + keras.layers.MultiHeadAttention(heads, width // heads)(normal, normal)
    normal = keras.layers.LayerNormalization(epsilon=1e-6)(tokens)
    hidden = keras.layers.Dense(4 * width, activation="gelu")(normal)
    return tokens + keras.layers.Dense(width)(hidden)


def vision_transformer(
    size: int = 224, patch: int = 16, width: int = 192, depth: int = 6, classes: int = 1000
) -> keras.Model:
    """A small vision transformer: 6 blocks of width 192, patches of 16, no positions added."""
    image = keras.Input((size, size, 3), name="image")
    tokens = keras.layers.Conv2D(width, patch, strides=patch, name="patches")(image)
    tokens = keras.layers.Reshape((-1, width))(tokens)
    for _ in range(depth):
        tokens = _attention(tokens, 3, width)
    pooled = keras.layers.GlobalAveragePooling1D()(keras.layers.LayerNormalization()(tokens))
    scores = keras.layers.Dense(classes, activation="softmax", name="scores")(pooled)
    return keras.Model(image, scores, name="vision_transformer")


def text_transformer(
    length: int = 128, words: int = 8000, width: int = 128, depth: int = 4, classes: int = 4
) -> keras.Model:
    """A small transformer over 128 token ids, no positions added."""
    ids = keras.Input((length,), dtype="int32", name="tokens")
    tokens = keras.layers.Embedding(words, width, name="embedding")(ids)
    for _ in range(depth):
        tokens = _attention(tokens, 4, width)
    pooled = keras.layers.GlobalAveragePooling1D()(tokens)
    scores = keras.layers.Dense(classes, activation="softmax", name="scores")(pooled)
    return keras.Model(ids, scores, name="text_transformer")


NETWORKS: Mapping[str, Network] = {
    "mobilenet_v2": Network(_application("MobileNetV2")),
    "resnet50_v2": Network(_application("ResNet50V2")),
    "inception_v3": Network(_application("InceptionV3")),
    "vision_transformer": Network(vision_transformer),
    "text_transformer": Network(text_transformer, "embedding", "tokens", (0, 8000)),
}


def random_rows(
    specs: tuple[tf.TensorSpec, ...], count: int, value_range: tuple[float, float], seed: int = 0
) -> list[np.ndarray]:
    """Rows [count, ...] for each input of a model, drawn evenly from a range.

    Raises:
        ValueError: an input has an open shape, or is no number.
    """
    random, found = np.random.default_rng(seed), []
    for spec in specs:
        if not spec.shape[1:].is_fully_defined() or spec.dtype == tf.string:
            raise ValueError(
                "Rows are drawn for inputs of numbers with a known shape; give shape= (--shape). "
                f"Received: {spec.name!r}, {spec.dtype.name} {spec.shape}."
            )
        rows = random.uniform(*value_range, [count, *spec.shape[1:]])
        found.append(rows.astype(spec.dtype.as_numpy_dtype))
    return found
