"""Models that take more than one tensor of floats, and something to ask them."""

from __future__ import annotations

from typing import ClassVar

import keras
import numpy as np
import tensorflow as tf

TOKENS, LENGTH, WIDTH = 20, 7, 4
SIZE = (8, 9, 3)


def words(rows=2):
    """Token ids int32 [rows, LENGTH], padded with zeros."""
    ids = np.random.default_rng(3).integers(1, TOKENS, (rows, LENGTH)).astype(np.int32)
    ids[:, -2:] = 0
    return ids


def text_model():
    """A classifier of padded token ids; the padding is masked."""
    ids = keras.Input((LENGTH,), dtype="int32", name="tokens")
    hidden = keras.layers.Embedding(TOKENS, WIDTH, mask_zero=True, name="embedding")(ids)
    hidden = keras.layers.Bidirectional(keras.layers.LSTM(3), name="reader")(hidden)
    scores = keras.layers.Dense(3, activation="softmax", name="scores")(hidden)
    return keras.Model(ids, scores, name="text")


def table_model():
    """A classifier of a dictionary of numbers, more numbers and a category."""
    numbers = keras.Input((3,), name="numbers")
    more = keras.Input((2, 2), name="more")
    category = keras.Input((1,), dtype="int32", name="category")
    known = keras.layers.Flatten()(keras.layers.Embedding(5, 2)(category))
    hidden = keras.layers.Concatenate()([numbers, keras.layers.Flatten()(more), known])
    hidden = keras.layers.Dense(6, activation="tanh", name="hidden")(hidden)
    scores = keras.layers.Dense(2, activation="softmax", name="scores")(hidden)
    inputs = {"numbers": numbers, "more": more, "category": category}
    return keras.Model(inputs, scores, name="table")


def rows_of_table(rows=3):
    random = np.random.default_rng(4)
    return {
        "numbers": random.normal(size=(rows, 3)).astype(np.float32),
        "more": random.normal(size=(rows, 2, 2)).astype(np.float32),
        "category": random.integers(0, 5, (rows, 1)).astype(np.int32),
    }


def pixel_model(dtype="uint8"):
    """A classifier of images of whole numbers."""
    image = keras.Input(SIZE, dtype=dtype, name="image")
    hidden = keras.layers.Rescaling(1 / 255)(image)
    hidden = keras.layers.Conv2D(4, 3, activation="tanh", name="features")(hidden)
    hidden = keras.layers.GlobalAveragePooling2D()(hidden)
    scores = keras.layers.Dense(3, activation="softmax", name="scores")(hidden)
    return keras.Model(image, scores, name="pixels")


def pixels(rows=2, size=SIZE):
    return np.random.default_rng(5).integers(0, 256, (rows, *size)).astype(np.uint8)


def encoded(*images, form="png"):
    encode = tf.io.encode_jpeg if form == "jpeg" else tf.io.encode_png
    return np.array([encode(image).numpy() for image in images], object)


class Decoding(tf.Module):
    """A model that decodes and resizes its images itself."""

    def __init__(self):
        super().__init__()
        self.model = pixel_model("float32")
        self.weights = [variable.value for variable in self.model.variables]

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "files")])
    def serve(self, files):
        def decode(file):
            image = tf.io.decode_image(file, 3, expand_animations=False)
            return tf.image.resize(image, SIZE[:2])

        spec = tf.TensorSpec(SIZE, tf.float32)
        return {"scores": self.model(tf.map_fn(decode, files, fn_output_signature=spec))}


class Parsing(tf.Module):
    """A model of tf.Example: two features of numbers and a category."""

    FEATURES: ClassVar = {
        "age": tf.io.FixedLenFeature([1], tf.float32),
        "place": tf.io.FixedLenFeature([2], tf.float32),
        "kind": tf.io.FixedLenFeature([1], tf.int64),
    }

    def __init__(self):
        super().__init__()
        random = np.random.default_rng(6)
        self.slope = tf.Variable(random.normal(size=(3, 2)), dtype=tf.float32)
        self.table = tf.Variable(random.normal(size=(5, 2)), dtype=tf.float32)

    def logits(self, age, place, kind):
        hidden = tf.concat([age, place], 1) @ self.slope
        return tf.tanh(hidden) + tf.gather(self.table, kind[:, 0])

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "examples")])
    def serve(self, examples):
        features = tf.io.parse_example(examples, self.FEATURES)
        return {"scores": tf.nn.softmax(self.logits(**features))}


def example(age, place, kind):
    """One serialized tf.Example."""
    features = {
        "age": tf.train.Feature(float_list=tf.train.FloatList(value=[age])),
        "place": tf.train.Feature(float_list=tf.train.FloatList(value=place)),
        "kind": tf.train.Feature(int64_list=tf.train.Int64List(value=[kind])),
    }
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return example.SerializeToString()


def save(module, path):
    tf.saved_model.save(module, str(path), signatures=module.serve)
    return path
