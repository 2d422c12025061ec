"""DiffID against values worked out by hand."""

import keras
import numpy as np
import pytest

import tfgig
from tfgig.metrics import DiffID, Example, Subject
from tfgig.metrics.diff_id import replaced

IMAGE = np.array([[[4.0], [0.0]], [[2.0], [0.0]]], np.float32)


@pytest.fixture(scope="module")
def subject():
    """Probabilities of two classes: an eighth of the upper left value plus .3, and the rest."""
    inputs = keras.Input((2, 2, 1), name="image")
    share = keras.layers.Dense(1, name="share")
    first = share(keras.layers.Flatten()(inputs))
    share.set_weights([np.array([[0.125], [0], [0], [0]], np.float32), np.array([0.3], np.float32)])
    model = keras.Model(inputs, keras.layers.Concatenate()([first, 1 - first]), name="first")
    return Subject(tfgig.load_model(model, value_range=(0, 4)), tfgig.PathIntegral(steps=2))


def example(attributions):
    maps = np.reshape(np.array(attributions, np.float32), IMAGE.shape)
    return Example(IMAGE, maps, 0, 0.8, 0.3, 0.0)


def test_by_hand(subject):
    metric = DiffID(shares=(0.25, 0.5))
    # p = 4/8 + .3 = .8. Signs do not count: the order is upper left, lower left, and the rest.
    (found,) = metric.statistics([example([[-4, 0.1], [2, 0.2]])], subject)
    # Insertion leaves the upper left value alone: .8 of both shares, and the class stays.
    # Deletion of a quarter: the upper left becomes (0 + 2 + 0) / 3, so p = 2/24 + .3 = .38333;
    # of a half: it becomes 0, p = .3; the other class is on top in both.
    expected = 1 - ((2 / 24 + 0.3) / 0.8 + 0.3 / 0.8) / 2
    assert found["probability_ratio"] == pytest.approx(expected, rel=1e-5)
    assert found["top_class"] == 1.0
    # The reverse: insertion and deletion change places.
    (found,) = metric.statistics([example([[0.1, 4], [0.2, 3]])], subject)
    assert found["probability_ratio"] == pytest.approx(-expected, rel=1e-5)
    assert found["top_class"] == -1.0


def test_what_grows_counts_no_more_than_the_whole(subject):
    # Deleting half, both zeros: the upper left stays. Inserting those: it becomes 0.
    (found,) = DiffID(shares=(0.5,)).statistics([example([[0, 2], [1, 3]])], subject)
    assert found["probability_ratio"] == pytest.approx(0.3 / 0.8 - 1, rel=1e-5)


def test_a_map_of_pixels_counts_for_all_colours():
    image = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    maps = np.array([[[3.0], [1]], [[2], [0]]], np.float32)
    found = DiffID()._saliency(Example(image, maps, 0, 0, 0, 0))
    np.testing.assert_array_equal(found, np.broadcast_to(maps, image.shape))
    colours = np.arange(12, dtype=np.float32).reshape(2, 2, 3) - 6
    by_value = DiffID()._saliency(Example(image, colours, 0, 0, 0, 0))
    np.testing.assert_array_equal(by_value, np.abs(colours))
    summed = DiffID(channels="absolute")._saliency(Example(image, colours, 0, 0, 0, 0))
    np.testing.assert_array_equal(summed[..., 0], np.abs(colours).sum(-1))


def test_the_mean_of_those_that_are_left():
    np.testing.assert_array_equal(replaced(IMAGE, np.array([0, 1])).ravel(), [1, 1, 2, 0])
    assert IMAGE[0, 0, 0] == 4.0  # a copy


@pytest.mark.parametrize("shares", [(), (0.0,), (0.5, 1.0)])
def test_refusals(shares):
    with pytest.raises(ValueError, match="Received"):
        DiffID(shares=shares)
