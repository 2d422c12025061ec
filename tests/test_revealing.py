"""Pictures made from some of an image's pixels: exactly what SciPy's interpolator makes of them."""

import numpy as np
import pytest

from tests import worker_calls
from tfgig import revealing
from tfgig.workers import Call, Workers, all_made


@pytest.fixture(scope="module")
def workers():
    """SciPy's interpolator, beside TensorFlow, needs minutes where a process with one thread of
    BLAS needs seconds."""
    with Workers(2) as two:
        yield two


def blob(shape, share, random):
    """A mask of neighbouring pixels, as maps of attributions give."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    centre = random.uniform(0, 1, 2) * shape
    distance = np.hypot(rows - centre[0], columns - centre[1])
    return distance <= np.quantile(distance, share)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.05, 0.3, 0.5, 0.75, 0.97])
def test_to_the_last_pixel_what_scipy_makes(workers, channels, share):
    random = np.random.default_rng(int(1000 * share) + channels)
    for shape in ((2, 2), (2, 9), (17, 5), (48, 33), (64, 64)):
        image = random.integers(0, 256, (*shape, channels), np.uint8)
        scattered = random.random(shape) < share
        for known in (scattered, scattered | blob(shape, share, random)):
            found = revealing.interpolated(image, known)
            expected = workers.submit("x", worker_calls.by_scipy, image, known).result()
            np.testing.assert_array_equal(found, expected)


def test_halves_go_to_the_even_number():
    image = np.zeros((3, 3, 2), np.uint8)
    image[0, 0], image[0, 2] = [0, 2], [1, 3]  # between them 0.5 and 2.5
    assert revealing.interpolated(image, np.zeros((3, 3), bool))[0, 1].tolist() == [0, 2]


def test_what_is_not_known_is_never_looked_at():
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (40, 30, 3), np.uint8)
    known = random.random((40, 30)) < 0.2
    known[[0, 0, -1, -1], [0, -1, 0, -1]] = True
    other = np.where(known[..., np.newaxis], image, 255 - image)
    np.testing.assert_array_equal(
        revealing.interpolated(image, known), revealing.interpolated(other, known)
    )


def test_a_worker_makes_the_same_without_tensorflow():
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (40, 32, 3), np.uint8)
    scene = revealing.SalientImage(image, random.random((40, 32)))
    pictures = Call(revealing.pictures_of, (scene, (0.1, 0.5), 0.01, 0))
    calls = [pictures, Call(revealing.webp_lengths, (pictures,))]
    with Workers(2) as workers:
        there = workers.submit("x", all_made, calls).result()
        loaded = set().union(*workers.map(worker_calls.loaded, range(4)))
    here = all_made(calls)
    np.testing.assert_array_equal(there[0], here[0])
    assert there[1] == here[1] == tuple(map(revealing.webp_length, here[0]))
    assert loaded == {"numpy"}


def test_scenes_of_the_same_numbers_are_one():
    image, saliency = np.zeros((4, 4, 3), np.uint8), np.arange(16.0).reshape(4, 4)
    same = revealing.SalientImage(image.copy(), saliency.copy())
    assert len({revealing.SalientImage(image, saliency), same}) == 1
    assert same != revealing.SalientImage(image, saliency + 1)
    assert same != revealing.SalientImage(image + 1, saliency)
