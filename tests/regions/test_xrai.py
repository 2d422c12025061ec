import dataclasses

import numpy as np
import pytest

from tests.cases import GOLDEN
from tfgig.regions import XRAI, Felzenszwalb, Regions

# One segmentation at one scale is quick.
QUICK = Felzenszwalb(scales=(5.0,), sigma=0.0, min_size=20, size=48, dilation=1)


@pytest.fixture(scope="module")
def arrays():
    with np.load(GOLDEN / "xrai.npz") as file:
        return dict(file)


def scene():
    """A dark square on a light ground, and attributions that are high on the square."""
    image = np.full((40, 50, 3), 200.0)
    image[10:25, 15:35] = (20.0, 60.0, 30.0)
    attributions = np.random.default_rng(0).normal(size=image.shape) * 0.1
    attributions[10:25, 15:35] += 1
    return image, attributions


@pytest.mark.parametrize("ranking", ["full", "fast"])
def test_the_reference_implementation(arrays, ranking):
    found = XRAI(ranking).rank(arrays["attributions"], arrays["segments"])
    np.testing.assert_array_equal(found.ranks, arrays[f"{ranking}_segments"])
    # Means of up to 4096 float64 numbers, added up in another order.
    np.testing.assert_allclose(found.strength, arrays[f"{ranking}_mask"], rtol=1e-13)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_image_that_is_not_finite_has_no_segments(value):
    image, attributions = scene()
    image[3, 4, 1] = value
    with pytest.raises(ValueError, match=r"image must be finite.*Received: 'NaN or infinity'"):
        XRAI(segmentation=QUICK)(attributions, image)


@pytest.mark.parametrize("ranking", ["full", "fast"])
def test_the_first_regions_are_the_square(ranking):
    image, attributions = scene()
    square = attributions.mean(-1) > 0.5
    found = XRAI(ranking, QUICK)(attributions, image)
    assert found.strength.shape == found.ranks.shape == (40, 50)
    first = found.mask(square.mean())
    assert (first & square).sum() / (first | square).sum() > 0.6
    assert found.strength[square].mean() > 5 * np.abs(found.strength[~square]).mean()


def test_rankings_by_hand():
    attributions = np.array([[10.0, 0.0, 4.0, 4.0]])
    segments = np.array([[[1, 0, 0, 0]], [[1, 1, 1, 0]], [[0, 0, 1, 1]]], bool)
    full = XRAI("full", min_pixels=1).rank(attributions, segments)
    # After the first, the third adds a mean of 4, the second but 2, and then 0.
    np.testing.assert_array_equal(full.strength, [[10, 0, 4, 4]])
    np.testing.assert_array_equal(full.ranks, [[1, 3, 2, 2]])
    fast = XRAI("fast", min_pixels=1).rank(attributions, segments)
    # As wholes 10, 14/3 and 4: the second takes a pixel from the third.
    np.testing.assert_array_equal(fast.strength, [[10, 2, 2, 4]])
    np.testing.assert_array_equal(fast.ranks, [[1, 3, 3, 2]])


def test_what_no_segment_covers_is_the_last_region():
    attributions = np.array([[3.0, 1.0, 7.0]])
    found = XRAI(min_pixels=1).rank(attributions, np.array([[[1, 0, 0]], [[0, 0, 0]]], bool))
    np.testing.assert_array_equal(found.ranks, [[1, 2, 2]])
    np.testing.assert_array_equal(found.strength, [[3, 4, 4]])


def test_the_area_limits_the_full_ranking(arrays):
    whole = XRAI().rank(arrays["attributions"], arrays["segments"])
    part = XRAI(area=0.3).rank(arrays["attributions"], arrays["segments"])
    assert part.ranks.max() < whole.ranks.max()
    last = part.ranks.max()
    assert (part.ranks < last).mean() > 0.3
    np.testing.assert_array_equal(part.ranks[part.ranks < last], whole.ranks[part.ranks < last])


def test_masks_cover_at_least_their_share():
    ranks = np.array([[1, 1, 2, 3, 3, 3, 3, 3, 3, 4]])
    regions = Regions(-ranks.astype(float), ranks)
    for share, area in ((0.1, 0.2), (0.2, 0.2), (0.25, 0.3), (0.9, 0.9), (1.0, 1.0)):
        assert regions.mask(share).mean() == pytest.approx(area)


def test_segments_cover_the_image_at_every_scale():
    image, _ = scene()
    masks = dataclasses.replace(QUICK, dilation=0)(image)
    np.testing.assert_array_equal(masks.sum(0), 1)
    grown = QUICK(image)
    assert (grown >= masks).all()
    assert grown.sum() > masks.sum()
    assert len(Felzenszwalb()(np.zeros((30, 30, 1)))) == 6  # a flat image: one a scale


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: XRAI("slow"), r"one of \('full', 'fast'\).*'slow'"),
        (lambda: XRAI(min_pixels=0), r"min_pixels.*Received: 0"),
        (lambda: XRAI(area=0), r"area.*Received: 0"),
        (lambda: Felzenszwalb(scales=()), r"scales.*Received: \(\)"),
        (lambda: Felzenszwalb(dilation=-1), r"dilation.*Received: -1"),
        (lambda: XRAI()(np.zeros((1, 4, 4, 3)), np.zeros((1, 4, 4, 3))), "one by one"),
        (lambda: XRAI().rank(np.zeros((4, 4)), np.ones((2, 4, 5))), "height and width"),
        (lambda: XRAI().rank(np.full((2, 2), np.nan), np.ones((1, 2, 2))), "finite"),
    ],
)
def test_mistakes_name_the_fix(make, message):
    with pytest.raises(ValueError, match=message):
        make()
