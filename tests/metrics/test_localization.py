import numpy as np
import pytest

from tfgig.metrics import pixel_saliency, roc_auc


def test_a_perfect_map_scores_one_and_a_reversed_one_zero():
    mask = np.zeros((6, 5), bool)
    mask[1:3, 2:4] = True
    saliency = mask + np.random.default_rng(0).uniform(0, 0.5, mask.shape)
    assert roc_auc(saliency, mask) == 1.0
    assert roc_auc(-saliency, mask) == 0.0


def test_a_map_that_says_nothing_scores_chance():
    mask = np.eye(7, dtype=bool)
    assert roc_auc(np.zeros(mask.shape), mask) == 0.5


def test_it_counts_pairs_ties_half():
    generator = np.random.default_rng(1)
    saliency = generator.integers(0, 4, (8, 8))
    mask = generator.uniform(size=(8, 8)) < 0.3
    inside, outside = saliency[mask][:, None], saliency[~mask][None]
    pairs = (inside > outside) + 0.5 * (inside == outside)
    assert roc_auc(saliency, mask) == pytest.approx(pairs.mean(), abs=1e-12)


@pytest.mark.parametrize("mask", [np.zeros((4, 4), bool), np.ones((4, 4), bool)])
def test_a_mask_of_all_or_nothing_is_refused(mask):
    with pytest.raises(ValueError, match=r"inside and outside.*Received: '(0|16) of 16 pixels'"):
        roc_auc(np.zeros((4, 4)), mask)


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match="one shape"):
        roc_auc(np.zeros((4, 4)), np.zeros((4, 5), bool))


def test_pixel_saliency_adds_absolute_channels():
    attributions = np.array([[[1.0, -2.0, 0.5], [0.0, 0.0, -1.0]]])
    np.testing.assert_array_equal(pixel_saliency(attributions), [[3.5, 1.0]])
