"""Closed paths, stability, randomisation and class sensitivity; the model side."""

import itertools

import keras
import numpy as np
import pytest

import tfgig
from tests.cases import image_model, images
from tests.metrics.conftest import SHAPE, explained
from tfgig.metrics import (
    ClassSensitivity,
    ClosedPath,
    Completeness,
    Deletion,
    Infidelity,
    MaxSensitivity,
    ModelRandomization,
    Stability,
    Subject,
)
from tfgig.metrics.similarity import rank_correlation
from tfgig.metrics.stability import jpeg
from tfgig.regions import XRAI, Felzenszwalb, Regional


def test_a_linear_score_attributes_nothing_to_a_round_trip(linear):
    subject = Subject(linear, tfgig.PathIntegral(steps=2))
    examples = explained(subject, images(1, SHAPE))
    (found,) = ClosedPath().statistics(examples, subject)
    assert found["error"] == pytest.approx(0, abs=1e-15)


def test_the_closed_path_as_by_hand(subjects, examples, source):
    example = examples["ig"][1]
    (found,) = ClosedPath(trips=1, segments=3, seed=5).statistics([example], subjects["ig"])
    between = np.random.default_rng(5).uniform(0, 255, (2, *SHAPE)).astype(np.float32)
    corners = [example.image, *between, example.image]
    total = np.zeros(SHAPE)
    for start, end in itertools.pairwise(corners):
        for step in range(6):  # a midpoint sum of its own
            at = start + (step + 0.5) / 6 * (end - start)
            total += gradient_at(subjects["gradient"], at, example.target) * (end - start) / 6
    assert found["error"] == pytest.approx(np.mean(total**2), rel=1e-3)


def gradient_at(subject, image, target):
    return subject.explain(image[np.newaxis], target)["attributions"][0].astype(np.float64)


def test_a_method_without_a_baseline_has_no_closed_path(subjects, examples):
    found = ClosedPath().statistics(examples["gradient"][:1], subjects["gradient"])
    assert found == [{"error": None}]


def test_stability_is_the_logarithm_of_the_error(subjects, examples):
    example, subject = examples["ig"][0], subjects["ig"]
    (found,) = Stability(quality=40).statistics([example], subject)
    again = subject.explain(jpeg(example.image, 40, (0, 255))[np.newaxis], example.target)
    before = np.abs(example.attributions.astype(np.float64)).sum(-1)
    after = np.abs(again["attributions"][0].astype(np.float64)).sum(-1)
    error = np.mean((after / before.max() - before / before.max()) ** 2)
    assert found["negative_log_error"] == pytest.approx(-np.log(error), rel=1e-3)
    (finer,) = Stability(quality=100).statistics([example], subject)
    assert finer["negative_log_error"] > found["negative_log_error"]


def test_a_map_that_does_not_look_at_the_image_is_stable_without_end(linear):
    subject = Subject(linear, tfgig.presets.get("gradient"))
    examples = explained(subject, images(1, SHAPE))
    (found,) = Stability().statistics(examples, subject)
    assert found["negative_log_error"] == pytest.approx(-np.log(1e-12))


def test_jpeg_keeps_units_and_shape():
    ramp = np.linspace(-1, 1, SHAPE[1], dtype=np.float32)[:, np.newaxis]
    image = np.broadcast_to(ramp, SHAPE)
    again = jpeg(image, 100, (-1, 1))
    assert again.shape == image.shape
    assert np.abs(again - image).max() < 0.05


def test_shuffled_weights_are_put_back():
    model = image_model(shape=SHAPE)
    subject = Subject(model, tfgig.presets.get("gradient"))
    before = [weight.numpy() for weight in model.trainable_weights]
    image = images(1, SHAPE)
    outputs = subject.predict(image)

    def shuffle_and_fail():
        with subject.randomized(0) as changed:
            assert changed
            for weight, values in zip(model.trainable_weights, before, strict=True):
                np.testing.assert_array_equal(np.sort(weight.numpy(), None), np.sort(values, None))
            assert np.abs(subject.predict(image) - outputs).max() > 1e-3
            raise RuntimeError

    with pytest.raises(RuntimeError):
        shuffle_and_fail()
    np.testing.assert_array_equal(subject.predict(image), outputs)


def test_a_map_that_depends_on_the_model_does_not_survive_its_weights(subjects, examples):
    metric = ModelRandomization()
    found = metric.statistics(examples["gradient"], subjects["gradient"])
    assert metric.aggregate(dict(enumerate(found)))["rank_correlation"] < 0.5


def test_a_map_that_is_only_the_image_survives_and_serves_every_class(subjects, examples):
    """A method that ignores the model: the absolute image itself."""

    class Edges(Subject):
        def explain(self, batch, targets=-1):
            return {"attributions": np.asarray(batch), "ok": np.ones(len(batch), bool)}

    subject = Edges(subjects["ig"].source, subjects["ig"].method)
    fake = [example._replace(attributions=example.image) for example in examples["ig"]]
    for metric in (ModelRandomization(), ClassSensitivity()):
        for statistic in metric.statistics(fake, subject):
            assert statistic["rank_correlation"] == pytest.approx(1)


def test_rank_correlation():
    ramp = np.arange(12.0).reshape(3, 4)
    assert rank_correlation(ramp, np.exp(ramp)) == pytest.approx(1)
    assert rank_correlation(ramp, -ramp) == pytest.approx(-1)
    assert rank_correlation(ramp, np.zeros((3, 4))) is None


def test_a_model_of_logits_is_asked_how_they_become_probabilities():
    model = tfgig.load_model(image_model(last=None, shape=SHAPE))
    method = tfgig.presets.get("gradient")
    with pytest.raises(ValueError, match=r"not probabilities.*softmax"):
        Subject(model, method).predict(images(2, SHAPE))
    predicted = Subject(model, method, probabilities="softmax").predict(images(2, SHAPE))
    np.testing.assert_allclose(predicted.sum(1), 1, rtol=1e-5)


def test_a_single_output_is_refused():
    inputs = keras.Input(SHAPE)
    yes = keras.layers.Dense(1, activation="sigmoid")(keras.layers.GlobalAveragePooling2D()(inputs))
    subject = Subject(keras.Model(inputs, yes), tfgig.presets.get("gradient"))
    with pytest.raises(ValueError, match=r"at least two classes.*Concatenate"):
        subject.predict(images(1, SHAPE))


@pytest.fixture(scope="module")
def regional(source):
    """Gradients gathered over a few large segments."""
    segments = Felzenszwalb(scales=(50.0,), sigma=0.0, min_size=30, size=SHAPE[0], dilation=1)
    method = Regional(tfgig.presets.get("gradient"), XRAI(segmentation=segments))
    return Subject(source, method)


def test_regions_gather_what_the_method_attributes(regional, subjects):
    batch = images(2, SHAPE) / np.array([1, 4], np.float32).reshape(2, 1, 1, 1)
    found, pixels = regional.explain(batch), subjects["gradient"].explain(batch)
    assert found["attributions"].shape == (2, *SHAPE[:2], 1)
    for i in range(2):
        strength = regional.method.regions(pixels["attributions"][i], batch[i]).strength
        expected = strength - strength.min()
        assert len(np.unique(expected)) > 2
        np.testing.assert_allclose(found["attributions"][i, ..., 0], expected, rtol=1e-6)


def test_regions_rank_and_nothing_else(regional):
    examples = explained(regional, images(1, SHAPE))
    for metric, column in (
        (Completeness(), "relative_delta"),
        (Infidelity(), "infidelity"),
        (ClosedPath(trips=1), "error"),
    ):
        assert metric.statistics(examples, regional) == [{column: None}]
    assert Deletion(steps=3).statistics(examples, regional)[0]["probability"] is not None
    assert MaxSensitivity(samples=1).statistics(examples, regional)[0]["max_sensitivity"] > 0


def test_a_bad_image_among_regions_is_marked(regional):
    batch = images(3, SHAPE)
    batch[1] = np.nan
    found = regional.explain(batch)
    assert found["ok"].tolist() == [True, False, True]
    assert not found["attributions"][1].any()
    # A batch of another size is summed in another order.
    np.testing.assert_allclose(
        found["attributions"][[0, 2]], regional.explain(batch[[0, 2]])["attributions"], rtol=1e-4
    )


def test_a_bad_image_is_marked_and_no_error(subjects, examples):
    batch = np.stack([examples["ig"][0].image, np.full(SHAPE, np.nan, np.float32)])
    found = subjects["ig"].explain(batch)
    assert found["ok"].tolist() == [True, False]
