import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tfgig.image import Overlay
from tfgig.image.style import encode_png

RANDOM = np.random.default_rng(0)
ATTRIBUTIONS = RANDOM.normal(size=(3, 16, 20, 3)).astype(np.float32)
IMAGES = RANDOM.uniform(0, 255, (3, 16, 20, 3)).astype(np.float32)
RANGE = (0.0, 255.0)


@pytest.mark.parametrize("overlay", [Overlay(), Overlay(smoothing=0), Overlay(percentile=100)])
def test_saliency_is_a_share(overlay):
    saliency = overlay.saliency(tf.constant(ATTRIBUTIONS)).numpy()
    assert saliency.shape == (3, 16, 20)
    assert saliency.dtype == np.float32
    assert saliency.min() >= 0
    np.testing.assert_array_equal(saliency.max((1, 2)), 1)


def test_saliency_is_the_strength_of_a_pixel_by_hand():
    attributions = np.zeros((1, 2, 2, 2), np.float32)
    attributions[0, 0, 0] = (3, -1)  # a sign does not cancel another
    attributions[0, 1, 1] = (-2, 0)
    saliency = Overlay(percentile=100, smoothing=0).saliency(tf.constant(attributions))
    np.testing.assert_allclose(saliency, [[[1, 0], [0, 0.5]]])


def test_the_percentile_caps_single_hot_pixels():
    attributions = np.ones((1, 10, 10, 1), np.float32)
    attributions[0, 5, 5] = 1000
    saliency = Overlay(percentile=90, smoothing=0).saliency(tf.constant(attributions))
    np.testing.assert_array_equal(saliency, 1)
    alone = Overlay(percentile=100, smoothing=0).saliency(tf.constant(attributions)).numpy()
    assert alone[0, 0, 0] == pytest.approx(1e-3)


def test_one_pixel_among_zeros_is_drawn_in_full():
    attributions = np.zeros((1, 10, 10, 1), np.float32)
    attributions[0, 5, 5] = 1e-12
    saliency = Overlay(smoothing=0).saliency(tf.constant(attributions)).numpy()
    assert saliency[0, 5, 5] == 1
    assert saliency.sum() == 1


def test_every_image_by_itself():
    scaled = ATTRIBUTIONS * np.float32([1e-6, 1, 1e6]).reshape(3, 1, 1, 1)
    together = Overlay().draw(tf.constant(IMAGES), tf.constant(scaled), RANGE).numpy()
    for row in range(3):
        alone = Overlay().draw(IMAGES[row : row + 1], ATTRIBUTIONS[row : row + 1], RANGE).numpy()
        # Rounded to whole numbers after float32 arithmetic of another scale.
        assert np.abs(alone[0].astype(int) - together[row]).max() <= 1


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_attributions_of_zero_leave_the_image_in_grey(channels):
    images = IMAGES[..., :1].repeat(channels, axis=-1)
    picture = Overlay().draw(images, np.zeros_like(images), RANGE).numpy()
    assert picture.dtype == np.uint8
    assert picture.shape == (3, 16, 20, 3)
    # Dimmed; 0.299 + 0.587 + 0.114 = 1.
    np.testing.assert_allclose(
        picture, np.broadcast_to(0.75 * images[..., :1], picture.shape), atol=1
    )


@pytest.mark.parametrize("value_range", [(0, 255), (-1, 1), (0, 1), (-0.5, 0.5)])
def test_pictures_do_not_depend_on_the_inputs_units(value_range):
    low, high = value_range
    images = low + IMAGES / 255 * (high - low)
    expected = Overlay().draw(IMAGES, ATTRIBUTIONS, RANGE).numpy().astype(int)
    found = Overlay().draw(images, ATTRIBUTIONS, value_range).numpy()
    assert np.abs(found - expected).max() <= 1  # rounded to whole numbers


def test_values_beyond_the_range_are_clipped():
    images = np.full((1, 4, 4, 3), 1e6, np.float32)
    picture = Overlay().draw(images, np.zeros_like(images), RANGE).numpy()
    np.testing.assert_array_equal(picture, 191)  # 0.75 of white


def test_strong_pixels_are_coloured():
    attributions = np.zeros((1, 9, 9, 3), np.float32)
    attributions[0, 4, 4] = 1
    picture = Overlay(smoothing=0).draw(np.zeros((1, 9, 9, 3)), attributions, RANGE).numpy()
    red, green, blue = picture[0, 4, 4].astype(int)
    assert red > 200
    assert green > 200 > blue  # bright yellow
    assert picture[0, 0, 0].max() <= 1


def test_png_files():
    pictures = Overlay().draw(IMAGES, ATTRIBUTIONS, RANGE)
    files = encode_png(pictures)
    assert files.shape == (3,)
    for file, picture in zip(files, pictures, strict=True):
        np.testing.assert_array_equal(tf.io.decode_png(file), picture)


def test_no_images_give_no_pictures():
    images = tf.zeros([0, 4, 5, 3])
    pictures = tf.function(lambda x: encode_png(Overlay().draw(x, x, RANGE)), autograph=False)
    assert pictures(images).shape == (0,)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("percentile", 0),
        ("percentile", 101),
        ("smoothing", -0.1),
        ("smoothing", 0.6),
        ("opacity", -0.1),
        ("opacity", 1.1),
        ("opacity", float("nan")),
    ],
)
def test_mistakes_name_the_field(field, value):
    with pytest.raises(ValueError, match=rf"Overlay\({field}=\.\.\.\).*Received: {value}"):
        dataclasses.replace(Overlay(), **{field: value})
