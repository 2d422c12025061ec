import numpy as np
import pytest
import scipy.ndimage
import tensorflow as tf

from tfgig.image import gaussian_blur
from tfgig.image.blur import (
    blur_spectrum,
    cosine_transform,
    cosines,
    gaussian_matrix,
    inverse_cosine_transform,
    waves,
)

SIGMAS = [0.0, 0.05, 0.1, 0.125, 0.3, 0.5, 1.0, 2.7, 5.0, 13.0, 50.0]
IMAGES = np.random.default_rng(0).uniform(0, 1, (len(SIGMAS), 11, 7, 2))
PADDINGS = pytest.mark.parametrize(
    ("padding", "mode"), [("reflect", "reflect"), ("zero", "constant")]
)


def scipy_blur(image, sigma, mode):
    return scipy.ndimage.gaussian_filter(image, [sigma, sigma, 0], mode=mode)


@PADDINGS
def test_every_image_is_blurred_by_its_own_width(padding, mode):
    found = gaussian_blur(tf.constant(IMAGES), tf.constant(SIGMAS, tf.float64), padding)
    for blurred, image, sigma in zip(found.numpy(), IMAGES, SIGMAS, strict=True):
        # float64, sums of up to 401 terms below 1.
        np.testing.assert_allclose(blurred, scipy_blur(image, sigma, mode), rtol=0, atol=1e-12)


@pytest.mark.parametrize("shape", [(11, 7, 2), (1, 1, 1), (1, 9, 3), (9, 1, 3), (3, 40, 1)])
def test_a_blur_is_a_factor_of_each_cosine(shape):
    image = np.random.default_rng(1).uniform(0, 1, shape)
    images = tf.constant(image[np.newaxis])
    basis = cosines(images)
    coefficients = cosine_transform(images, basis)
    np.testing.assert_allclose(inverse_cosine_transform(coefficients, basis)[0], image, atol=1e-13)
    tables = waves(images, max(SIGMAS))
    factors = blur_spectrum(tf.constant(SIGMAS, tf.float64), tables, tf.float64)
    found = inverse_cosine_transform(coefficients * factors, basis)
    for blurred, sigma in zip(found, SIGMAS, strict=True):
        # The same truncated kernels, as wide as they may be against the image.
        np.testing.assert_allclose(blurred, scipy_blur(image, sigma, "reflect"), atol=1e-12)


@PADDINGS
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 9, 3), (9, 1, 3), (3, 40, 1)])
def test_images_of_any_size(padding, mode, shape):
    image = np.random.default_rng(1).uniform(0, 1, shape)
    for sigma in (0.4, 3.0, 20.0):
        found = gaussian_blur(tf.constant(image[np.newaxis]), tf.constant([sigma]), padding)[0]
        # The width is float32.
        np.testing.assert_allclose(found, scipy_blur(image, np.float32(sigma), mode), atol=1e-6)


def test_no_blur_is_the_image_itself():
    found = gaussian_blur(tf.constant(IMAGES, tf.float32), tf.zeros([len(IMAGES)]))
    np.testing.assert_array_equal(found, IMAGES.astype(np.float32))
    assert found.dtype == tf.float32


def test_reflection_keeps_the_brightness():
    matrix = gaussian_matrix(tf.constant(9), tf.constant(SIGMAS))
    np.testing.assert_allclose(tf.reduce_sum(matrix, 2), 1, rtol=1e-12)
    np.testing.assert_allclose(tf.reduce_sum(matrix, 1), 1, rtol=1e-12)


@PADDINGS
def test_no_images_give_no_images(padding, mode):
    found = gaussian_blur(tf.zeros([0, 5, 4, 3]), tf.zeros([0]), padding)
    assert found.shape == (0, 5, 4, 3)
