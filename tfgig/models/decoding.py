"""Models of images that take encoded files: decoding, resizing and scaling in the graph."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import tensorflow as tf

from tfgig.image.headers import GIF, readable
from tfgig.image.orientation import orientation, upright
from tfgig.models.graphs.cut import Cut
from tfgig.models.source import SourceModel
from tfgig.spec import check

ENCODED = "image_bytes"
SERVING = "serving_image_bytes"  # predictions for encoded images, beside the model's own
LONGEST_SIDE = 1024  # of a heat-map; a larger image is drawn smaller

_NAN = float("nan")


def taking_encoded_images(source: SourceModel) -> SourceModel:
    """The same model, explained for encoded images: JPEG, PNG or GIF (its first frame).

    Each image is decoded, turned upright as its EXIF data say, resized to the model's size
    (bilinear, with antialiasing and without keeping the aspect ratio) and scaled to its value
    range, inside the graph. Attributions are for the pixels that the model sees; heat-maps are
    drawn over the image at its original size (up to 1024 pixels per side).

    `serving_default` is unchanged; `serving_image_bytes` predicts for encoded images. A row that is
    not an image, is truncated, damaged or animated, or has more than 2^25 pixels returns `ok`
    false; in `serving_image_bytes`, it fails its request. Damage that the decoder ignores, such as
    wrong JPEG pixels, is not detected.

    Raises:
        ValueError: the model's only input is not an image of known size, or its value range is
            unknown.
    """
    entry = source.view.entry
    shape = source.inputs[0].shape
    one_image = len(source.inputs) == 1 and shape.rank == 4 and shape[1:].is_fully_defined()
    if entry is None or not one_image or shape[-1] not in (1, 3):
        taken = [f"{spec.name}: {spec.dtype.name} {spec.shape}" for spec in source.inputs]
        raise ValueError(
            "Decoding needs a model with one image input of fixed size, [None, height, width, 1 or "
            "3]; give the size with load_model(handle, shape=(224, 224, 3)). "
            f"Received: {taken!r}."
        )
    check(
        source.value_range is not None,
        "To scale decoded images, the value range of the input must be known: load_model(handle, "
        "value_range=(0, 255)), or (0, 1), or (-1, 1).",
        source.name,
    )
    decoder, served = _Decoder(source), source.model.served
    encoded = tf.TensorSpec([None], tf.string, ENCODED)

    def predict(files):
        good = tf.map_fn(readable, files, fn_output_signature=tf.bool)
        problem = "A file is not a complete, still JPEG, PNG or GIF of reasonable size."
        with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(good), [problem])]):
            files = tf.identity(files)
        values = source.model.serve(decoder.batch(files)).values
        return {served.output_names[name]: value for name, value in values.items()}

    prediction = tf.function(predict, autograph=False).get_concrete_function(encoded)
    model = dataclasses.replace(
        source.model,
        inputs=(encoded,),
        served=served._replace(signatures={**served.signatures, SERVING: prediction}),
        original=decoder.original,
    )
    at_pixels = decoder.before(entry)
    view = dataclasses.replace(
        source.view,
        cut=at_pixels if source.view.at_inputs else decoder.before(source.cut),
        entry=at_pixels,
        cut_at=lambda layer: decoder.before(source.view.cut_at(layer)),
    )
    return SourceModel(model, view)


class _Decoder:
    """Decodes images for one model."""

    def __init__(self, source: SourceModel) -> None:
        (spec,) = source.inputs
        self._height, self._width, self._channels = spec.shape[1:].as_list()
        self._dtype = spec.dtype
        self._spec = tf.TensorSpec(spec.shape[1:], spec.dtype)
        self._range = source.value_range or (0.0, 255.0)

    def before(self, cut: Cut) -> Cut:
        """The cut of the model that takes encoded images."""

        def front(files):
            black = tf.zeros(self._spec.shape, self._dtype)
            decoded = functools.partial(_if_readable, self._one, black)
            specs = self._spec, tf.TensorSpec([], tf.bool)
            images, good = tf.map_fn(decoded, files, fn_output_signature=specs)
            points, *context = cut.front(images)
            rows = tf.reshape(good, [-1] + [1] * (points.shape.rank - 1))
            # Not a number: so the row is not ok, whatever the model would say of it.
            return (tf.where(rows, points, tf.cast(_NAN, points.dtype)), *context)

        return dataclasses.replace(cut, front=front)

    def batch(self, files: tf.Tensor) -> tf.Tensor:
        """What the model takes, [B, height, width, channels], of encoded images [B]."""
        return tf.map_fn(self._one, files, fn_output_signature=self._spec)

    def original(self, file: tf.Tensor) -> tf.Tensor:
        """One image at its own size, float32 [height, width, channels] in the model's units."""
        image, _ = _if_readable(self._at_own_size, tf.zeros([1, 1, self._channels]), file)
        return self._in_units(image)

    def _at_own_size(self, file: tf.Tensor) -> tf.Tensor:
        image = self._decode(file)
        size = tf.cast(tf.shape(image)[:2], tf.float32)
        scale = tf.minimum(1.0, LONGEST_SIDE / tf.reduce_max(size))
        smaller = tf.maximum(tf.cast(tf.math.round(scale * size), tf.int32), 1)
        return tf.image.resize(image, smaller, antialias=True)

    def _one(self, file: tf.Tensor) -> tf.Tensor:
        image = self._decode(file)
        image = tf.image.resize(image, [self._height, self._width], antialias=True)
        image = self._in_units(image)
        return tf.cast(image if self._dtype.is_floating else tf.math.round(image), self._dtype)

    def _decode(self, file: tf.Tensor) -> tf.Tensor:
        def first_frame():
            return tf.io.decode_image(file, 3, expand_animations=False)

        def still():  # TensorFlow's operation for JPEG reads PNG, too
            return tf.io.decode_jpeg(file, 3, try_recover_truncated=True)

        image = tf.cond(tf.strings.substr(file, 0, len(GIF)) == GIF, first_frame, still)
        image = upright(tf.ensure_shape(image, [None, None, 3]), orientation(file))
        return tf.image.rgb_to_grayscale(image) if self._channels == 1 else image

    def _in_units(self, pixels: tf.Tensor) -> tf.Tensor:
        black, white = self._range
        return black + tf.clip_by_value(pixels / 255.0, 0.0, 1.0) * (white - black)


def _if_readable(
    decode: Callable[[tf.Tensor], tf.Tensor], instead: tf.Tensor, file: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """`decode(file)` and true; another tensor and false if the file cannot be decoded."""

    good = readable(file)
    files = tf.data.Dataset.from_tensors(file).filter(lambda _: good)
    # The one operation of TensorFlow's after which a graph goes on in spite of an error.
    decoded = files.map(lambda file: (decode(file), True)).ignore_errors()
    otherwise = tf.data.Dataset.from_tensors((instead, False))
    return decoded.concatenate(otherwise).take(1).get_single_element()
