"""Insertion and deletion against a computation of their own."""

import numpy as np
import pytest

import tfgig
from tests.metrics.conftest import SHAPE, explained, mask_of
from tfgig.metrics import Deletion, Insertion, Subject
from tfgig.metrics.insertion_deletion import exchange_steps


def by_hand(metric, example, background, predict):
    """Pixel by pixel, one picture after another."""
    strength = np.abs(example.attributions).sum(-1)
    places = [(row, column) for row in range(SHAPE[0]) for column in range(SHAPE[1])]
    places.sort(key=lambda place: -strength[place])
    start, end = (
        (background, example.image) if metric.kind == "insertion" else (example.image, background)
    )
    curve = []
    for step in range(metric.steps + 1):
        picture = start.copy()
        for place in places[: round(len(places) * step / metric.steps)]:
            picture[place] = end[place]
        curve.append(predict(picture[np.newaxis])[0, example.target])
    curve = np.array(curve)
    inner = curve[1:-1].sum() + (curve[0] + curve[-1]) / 2
    return curve, inner / metric.steps


@pytest.mark.parametrize("kind", [Insertion, Deletion])
@pytest.mark.parametrize("background", ["black", "mean"])
def test_as_by_hand(kind, background, subjects, examples):
    metric = kind(steps=6, background=background)
    example = examples["ig"][0]
    assert len(np.unique(np.abs(example.attributions).sum(-1))) == SHAPE[0] * SHAPE[1]
    found = metric.statistics([example], subjects["ig"])[0]
    behind = np.zeros_like(example.image)
    if background == "mean":
        behind = behind + example.image.reshape(-1, 3).mean(0)
    predict = subjects["ig"].source.model.serve
    curve, mean = by_hand(
        metric, example, behind, lambda x: predict(x.astype(np.float32)).values["scores"].numpy()
    )
    np.testing.assert_allclose(found["curve"], curve, rtol=1e-4, atol=1e-6)
    assert found["probability"] == pytest.approx(mean, rel=1e-4)
    whole = curve[-1] if kind is Insertion else curve[0]
    assert found["probability_ratio"] == pytest.approx(mean / whole, rel=1e-4)


@pytest.fixture(scope="module")
def bright(linear):
    subject = Subject(linear, tfgig.PathIntegral(steps=2))
    image = np.full((1, *SHAPE), 204, np.float32)
    return subject, explained(subject, image)[0]


def test_perfect_reversed_and_random_maps(bright):
    subject, example = bright
    assert example.target == 0
    mask = np.broadcast_to(mask_of()[..., np.newaxis], SHAPE).astype(np.float32)
    random = np.random.default_rng(0).uniform(size=SHAPE)
    share = mask_of().mean()
    metric = Insertion(steps=96, background="black", channels="signed")
    ratio = {
        name: metric.statistics([example._replace(attributions=a)], subject)[0]["probability_ratio"]
        for name, a in {"perfect": mask, "reversed": -mask, "random": random}.items()
    }
    # The score grows with the share of the mask that is there, and with nothing else.
    assert ratio["perfect"] == pytest.approx(1 - share / 2, abs=1e-3)
    assert ratio["reversed"] == pytest.approx(share / 2, abs=1e-3)
    assert ratio["random"] == pytest.approx(0.5, abs=0.05)


def test_deletion_mirrors_insertion(bright):
    subject, example = bright
    options = {"steps": 8, "background": "black"}
    inserted = Insertion(**options).statistics([example], subject)[0]
    reverse = example._replace(attributions=-np.abs(example.attributions))
    deleted = Deletion(**options, channels="signed").statistics([reverse], subject)[0]
    # A linear score: what one order puts in first, the reversed order takes out last.
    np.testing.assert_allclose(deleted["curve"], inserted["curve"][::-1], atol=1e-3)


def test_a_map_that_says_nothing_is_worth_as_much_as_chance():
    steps = exchange_steps(np.zeros((40, 50)), 4, seed=0)
    assert [int(step.sum()) for step in steps] == [0, 500, 1000, 1500, 2000]
    assert 0.4 < steps[2][:20].mean() < 0.6  # not from the top


def test_nothing_and_everything(bright):
    subject, example = bright
    blurred = Insertion(steps=3).statistics([example], subject)[0]["curve"]
    assert blurred[-1] == pytest.approx(example.score, abs=1e-5)
    assert blurred[0] == pytest.approx(example.score, abs=1e-5)  # a grey image, blurred


@pytest.mark.parametrize("options", [{"steps": 0}, {"background": "white"}, {"blur": 0}])
def test_refusals(options):
    with pytest.raises(ValueError, match="Received"):
        Insertion(**options)
