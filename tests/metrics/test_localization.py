import numpy as np
import pytest

from tfgig.metrics import Localization, boxes_to_mask, pixel_saliency, roc_auc


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
    with pytest.raises(ValueError, match="the same shape"):
        roc_auc(np.zeros((4, 4)), np.zeros((4, 5), bool))


def test_pixel_saliency_adds_absolute_channels():
    attributions = np.array([[[1.0, -2.0, 0.5], [0.0, 0.0, -1.0]]])
    np.testing.assert_array_equal(pixel_saliency(attributions), [[3.5, 1.0]])


def test_the_metric_reports_the_centre_prior_beside_it(subjects, examples):
    mask = np.zeros((48, 48), bool)
    mask[20:28, 20:28] = True
    example = examples["ig"][0]._replace(mask=mask, attributions=np.zeros((48, 48, 3)))
    (found,) = Localization().statistics([example], subjects["ig"])
    assert found["roc_auc"] == 0.5
    assert found["centre_prior"] > 0.99
    perfect = example._replace(attributions=np.repeat(mask[..., np.newaxis], 3, 2) * 1.0)
    reverse = perfect._replace(attributions=-perfect.attributions)
    signed = Localization(channels="signed")
    assert signed.statistics([perfect], subjects["ig"])[0]["roc_auc"] == 1.0
    assert signed.statistics([reverse], subjects["ig"])[0]["roc_auc"] == 0.0


def test_a_random_map_scores_about_chance():
    random = np.random.default_rng(3)
    mask = np.zeros((48, 48), bool)
    mask[5:20, 5:20] = True
    scores = [roc_auc(random.uniform(size=mask.shape), mask) for _ in range(20)]
    assert np.mean(scores) == pytest.approx(0.5, abs=0.02)


def test_without_a_mask_there_is_nothing_to_say(subjects, examples):
    example = examples["ig"][0]
    for mask in (None, np.zeros((48, 48), bool), np.ones((48, 48), bool)):
        (found,) = Localization().statistics([example._replace(mask=mask)], subjects["ig"])
        assert found == {"roc_auc": None, "centre_prior": None}


def test_boxes_become_a_mask():
    mask = boxes_to_mask(np.array([[1, 2, 3, 5], [-1, 0, 1, 1]]), (4, 6))
    expected = np.zeros((4, 6), bool)
    expected[1:3, 2:5] = True
    expected[0, 0] = True
    np.testing.assert_array_equal(mask, expected)
