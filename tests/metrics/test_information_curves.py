"""Performance information curves, against the reference implementation's arrays."""

import itertools

import keras
import numpy as np
import pytest

import tfgig
from tests.cases import GOLDEN
from tests.metrics.conftest import SHAPE, explained
from tfgig import revealing
from tfgig.metrics import Example, InformationCurve, SimilarityCurve, Subject
from tfgig.metrics import information_curves as curves
from tfgig.metrics.base import area


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN / "information_curve.npz") as file:
        return dict(file)


def predicted(golden, pictures):
    difference = (pictures / 255.0 - golden["image"] / 255.0) ** 2
    weight = golden["weight"]
    weighted = (difference * weight[..., np.newaxis]).sum((1, 2)) / weight.sum()
    return np.exp(-400 * weighted.mean(-1))


def curve_of(golden, saliency):
    pictures = revealing.revealed(
        golden["image"], saliency, golden["random_mask"], golden["thresholds"]
    )
    entropy = np.array([revealing.webp_length(picture) for picture in pictures], np.float64)
    performance = curves.normalized(predicted(golden, pictures))
    return pictures, curves.information_curve(curves.normalized(entropy), performance)


def test_thresholds_are_the_references(golden):
    np.testing.assert_array_equal(curves.THRESHOLDS, golden["thresholds"])


def test_the_curve_is_the_references(golden):
    if revealing.webp_length(golden["image"]) != golden["entropy_image"]:
        pytest.skip("this Pillow compresses WebP otherwise than the reference's did")
    pictures, curve = curve_of(golden, golden["saliency"])
    np.testing.assert_array_equal(pictures[1], golden["blurred"])
    np.testing.assert_allclose(curve.x, golden["curve_x"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(curve.y, golden["curve_y"], rtol=0, atol=1e-6)
    assert curve.area == pytest.approx(float(golden["auc"]), abs=1e-6)


def by_hand(information, performance):
    """The area under the curve through (0, 0), the pictures and (1, 1), point by point."""
    best, points = 0.0, []
    for x, y in zip(information, performance, strict=True):
        best = max(best, y)
        points.append((x, best))
    points = sorted([*points, (0.0, 0.0), (1.0, 1.0)], key=lambda point: point[0])
    x, y = zip(*points, strict=True)
    values = np.interp(np.arange(1001) / 1000, x, y)
    values[-1] = 1
    return sum((a + b) / 2000 for a, b in itertools.pairwise(values))


def test_the_statistic_as_by_hand(golden):
    """SIC and AIC of a whole example, from nothing but the pictures that the model is shown."""
    shown = {}

    class Sure:
        """Two classes, the first with the reference's probability."""

        value_range = (0, 255)

        def predict(self, pictures):
            p = predicted(golden, pictures)
            shown.update(pictures=pictures.astype(np.uint8), p=p)
            return np.stack([p, 1 - p], -1)

    image, saliency = golden["image"].astype(np.float32), golden["saliency"]
    example = Example(image, saliency[..., np.newaxis], 0, 1.0, 0.0, 0.0)
    (found,) = InformationCurve(channels="signed").statistics([example], Sure())
    pictures, p = shown["pictures"], shown["p"]
    entropy = np.array([revealing.webp_length(picture) for picture in pictures])
    share = np.clip((entropy[2:] - entropy[1]) / (entropy[0] - entropy[1]), 0, 1)
    softmax = np.clip((p[2:] - p[1]) / (p[0] - p[1]), 0, 1)
    assert 0 < (p[2:] > 0.5).sum() < len(p) - 2  # the class changes on the way
    assert found["sic"] == pytest.approx(by_hand(share, softmax), abs=1e-12)
    assert found["aic"] == pytest.approx(by_hand(share, p[2:] > 0.5), abs=1e-12)


def test_over_examples_the_median_curve_counts(golden):
    metric = InformationCurve()
    information = np.linspace(0.1, 0.9, 13)
    performances = [information, information**2, np.sqrt(information)]
    statistics = {
        str(i): {"sic": 0.0, "aic": None, "softmax": y.tolist(), "accuracy": None}
        | {"information": information.tolist()}
        for i, y in enumerate(performances)
    }
    found = metric.aggregate(statistics)
    middle = curves.information_curve(information, information)
    assert found["sic"] == pytest.approx(middle.area, abs=1e-12)
    assert np.isnan(found["aic"])
    (drawn,) = metric.curves(statistics).values()
    np.testing.assert_allclose(drawn.y, middle.y)
    assert area(drawn.y) == found["sic"]


def test_performance_may_only_grow():
    curve = curves.information_curve([0.2, 0.4, 0.6], [0.5, 0.1, 0.7])
    assert np.all(np.diff(curve.y) >= 0)
    assert curve.y[400] == pytest.approx(0.5)


def test_an_image_is_its_own_reconstruction_from_all_its_pixels(golden):
    everything = np.ones(golden["random_mask"].shape, bool)
    np.testing.assert_array_equal(
        revealing.interpolated(golden["image"], everything), golden["image"]
    )


def test_a_plane_is_reconstructed_from_its_corners():
    down, right = np.mgrid[0:20, 0:30]
    plane = np.stack([4 * down, 5 * right, 2 * down + 3 * right], -1).astype(np.uint8)
    found = revealing.interpolated(plane, np.zeros((20, 30), bool))
    np.testing.assert_array_equal(found, plane)


@pytest.fixture(scope="module")
def subject():
    """A model that is sure of a white square on black, and of nothing else."""
    inputs = keras.Input(SHAPE)
    centre = keras.layers.Cropping2D(16)(keras.layers.Rescaling(1 / 255)(inputs))
    bright = keras.layers.GlobalAveragePooling2D()(centre)
    score = keras.ops.mean(bright, axis=-1, keepdims=True) * 20 - 14
    both = keras.layers.Softmax()(keras.layers.Concatenate()([score, -score]))
    model = tfgig.load_model(keras.Model(inputs, both))
    return Subject(model, tfgig.presets.get("gradient"))


@pytest.mark.parametrize("metric", [InformationCurve(), SimilarityCurve()], ids=lambda m: m.kind)
def test_a_map_of_the_evidence_beats_its_reverse(metric, subject):
    image = np.random.default_rng(0).uniform(0, 120, (1, *SHAPE)).astype(np.float32)
    image[:, 16:32, 16:32] = np.random.default_rng(1).uniform(180, 255, (1, 16, 16, 3))
    (example,) = explained(subject, image)
    evidence = np.zeros(SHAPE, np.float32)
    evidence[16:32, 16:32] = np.random.default_rng(2).uniform(1, 2, (16, 16, 3))
    best, worst = (
        metric.statistics([example._replace(attributions=a)], subject)[0]
        for a in (evidence, 2 - evidence)
    )
    assert best["sic"] > worst["sic"] + 0.3
    assert best["aic"] > worst["aic"] + 0.3


def test_an_unsure_prediction_has_no_sic(subject):
    image = np.full((1, *SHAPE), 0.71 * 255, np.float32)
    image += np.random.default_rng(0).normal(0, 20, image.shape).astype(np.float32)
    (example,) = explained(subject, image)
    statistic = InformationCurve().statistics([example], subject)[0]
    assert statistic["sic"] is None
    assert statistic["softmax"] is None


@pytest.mark.parametrize(
    "options",
    [{"thresholds": (0.5, 0.2)}, {"thresholds": ()}, {"random_share": 0}, {"channels": "max"}],
)
def test_refusals(options):
    with pytest.raises(ValueError, match="Received"):
        InformationCurve(**options)
