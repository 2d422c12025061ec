import numpy as np
import pytest
import tensorflow as tf

from tests.cases import SHAPE, images, objective, quadratic, run
from tfgig import noise
from tfgig.baselines import Blurred, Constant, Gaussian, MaximumDistance, Several, Uniform
from tfgig.image import gaussian_blur
from tfgig.methods import PathIntegral
from tfgig.paths import Guided, Straight

IMAGES = tf.constant(images(3))
RANDOM = (Gaussian(samples=3), Uniform(samples=3))


@pytest.mark.parametrize("baseline", RANDOM, ids=lambda b: b.kind)
def test_a_row_alone_gets_the_numbers_that_it_gets_in_a_batch(baseline):
    together = baseline(IMAGES, None)
    assert together.shape == (baseline.count, *IMAGES.shape)
    for row in range(3):
        alone = baseline(IMAGES[row : row + 1], None)[:, 0]
        np.testing.assert_array_equal(alone, together[:, row])
    again = tf.function(lambda x: baseline(x, None))(IMAGES)
    np.testing.assert_allclose(again, together, rtol=1e-6)


@pytest.mark.parametrize("kind", [Gaussian, Uniform])
def test_samples_differ_and_so_do_seeds(kind):
    first, second = kind(samples=2, seed=5)(IMAGES, None).numpy()
    other = kind(samples=1, seed=6)(IMAGES, None).numpy()[0]
    assert np.abs(first - second).mean() > 1
    assert np.abs(first - other).mean() > 1


def test_gaussian_noise_is_as_wide_as_it_says():
    inputs = np.zeros((2, 100, 100, 3), np.float32)
    inputs[0, 0, 0] = 200  # a range of 200; the other row has none
    found = Gaussian(0.1, samples=2)(tf.constant(inputs), None) - inputs
    assert np.std(found[:, 0]) == pytest.approx(20, rel=0.02)
    np.testing.assert_array_equal(found[:, 1], 0)
    absolute = Gaussian(3.0, relative=False)(tf.constant(inputs), None) - inputs
    assert np.std(absolute) == pytest.approx(3, rel=0.02)
    clipped = Gaussian(1.0, value_range=(0, 255))(IMAGES, None).numpy()
    assert (clipped.min(), clipped.max()) == (0, 255)


def test_uniform_noise_fills_the_range():
    found = Uniform((-1, 1), samples=4)(IMAGES, None).numpy()
    assert -1 <= found.min() < -0.98
    assert 0.98 < found.max() < 1
    assert np.mean(found) == pytest.approx(0, abs=0.05)


def test_noise_has_the_moments_of_its_name():
    inputs = tf.zeros([1, 200, 200])
    normal = noise.normal(2, inputs, seed=0).numpy()
    assert (normal.mean(), normal.std()) == (pytest.approx(0, abs=0.02), pytest.approx(1, rel=0.02))
    uniform = noise.uniform(2, inputs, seed=0).numpy()
    assert uniform.std() == pytest.approx(12**-0.5, rel=0.02)


def test_blurred_is_the_blurred_input():
    expected = gaussian_blur(IMAGES, tf.constant([2.0]))
    np.testing.assert_array_equal(Blurred(2.0)(IMAGES, None)[0], expected)
    with pytest.raises(ValueError, match=r"Blurred\(\) needs images.*use Constant.*\(4, 7\)"):
        Blurred()(tf.zeros([4, 7]), None)


def test_maximum_distance_is_the_farther_end():
    inputs = tf.constant([[0.0, 100, 127.5, 128, 255]])
    np.testing.assert_array_equal(MaximumDistance()(inputs, None), [[[255, 255, 255, 0, 0]]])
    np.testing.assert_array_equal(MaximumDistance((-1, 1))(inputs - 127.5, None)[0, 0, :2], [1, 1])


@pytest.mark.parametrize("path", [Straight, Guided])
def test_random_baselines_average(path):
    model = objective(quadratic(SHAPE), SHAPE)
    both = Uniform(samples=2)
    found = run(model, PathIntegral(path(both), steps=6), IMAGES)
    starts = both(IMAGES, None)[:, 0].numpy()  # noise does not depend on the row
    single = [run(model, PathIntegral(path(Constant(s)), steps=6), IMAGES) for s in starts]
    mean = (single[0]["attributions"] + single[1]["attributions"]) / 2
    np.testing.assert_allclose(found["attributions"], mean, atol=1e-4 * np.abs(mean).max())


def test_how_many_there_are():
    several = Several((Uniform(samples=3), Constant(0.0), Gaussian(samples=2)))
    assert several.count == several(IMAGES, None).shape[0] == 6


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Gaussian(-1), r"Gaussian\(spread=.*Received: -1"),
        (lambda: Gaussian(samples=0), r"Gaussian\(samples=.*Received: 0"),
        (lambda: Gaussian(seed=-1), r"Gaussian\(seed=.*Received: -1"),
        (lambda: Gaussian(value_range=(1, 0)), r"Gaussian\(value_range=.*Received: \(1, 0\)"),
        (lambda: Uniform(5), r"Uniform\(value_range=.*such as \(0, 255\).*Received: 5"),
        (lambda: Uniform(samples=1.5), r"Uniform\(samples=.*Received: 1\.5"),
        (lambda: Blurred(0), r"Blurred\(sigma=.*Received: 0"),
        (lambda: Blurred(padding="wrap"), r"Blurred\(padding=.*'wrap'"),
        (lambda: MaximumDistance((0, np.inf)), r"MaximumDistance\(value_range="),
    ],
)
def test_mistakes_name_the_field(make, message):
    with pytest.raises(ValueError, match=message):
        make()
