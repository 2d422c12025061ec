"""Every baseline there is, exported and run in a session; a new one has to be given here."""

import numpy as np
import pytest

from tests.cases import SHAPE, image_model, images
from tfgig import Endpoint, Explainer, PathIntegral, baselines, export_saved_model
from tfgig.baselines import Baseline
from tfgig.paths import Straight
from tfgig.serving import SessionModel
from tfgig.spec import members

INPUTS = images(3)
DATA = images(6, seed=7)
SUBJECTS = (
    baselines.black(),
    baselines.black_and_white(),
    baselines.Gaussian(0.2, samples=2, value_range=(0, 255)),
    baselines.Uniform(),
    baselines.Blurred(2.0),
    baselines.MaximumDistance(),
    baselines.DatasetStatistic.of(DATA, "median"),
    baselines.DatasetSample.of(DATA, samples=2),
    baselines.NearestBoundary(steps=4, refinements=3),
    baselines.MaximumEntropy(steps=4),
)
METHODS = {
    baseline.kind: PathIntegral(Straight(baseline), steps=6, internal_batch_size=4)
    for baseline in SUBJECTS
}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    endpoints = [Endpoint(f"explain_{name}", method) for name, method in METHODS.items()]
    place = tmp_path_factory.mktemp("baselines") / "model"
    with SessionModel(export_saved_model(image_model(), place, endpoints)) as model:
        yield model


def test_every_baseline_is_here():
    assert {type(baseline) for baseline in SUBJECTS} == set(members(Baseline))


@pytest.mark.parametrize("name", METHODS)
def test_a_session_gives_what_the_layer_gives_for_a_batch_and_a_row(served, name):
    explanation = Explainer(image_model(), METHODS[name])(INPUTS, target=[1, 2, 0])
    found = served.run(f"explain_{name}", image=INPUTS, target=np.array([1, 2, 0]))
    alone = served.run(f"explain_{name}", image=INPUTS[1:2], target=np.array([2]))
    assert found["ok"].all()
    for key in ("attributions", "score", "baseline_score"):
        expected = explanation[key].numpy()
        # float32, in batches of other sizes; a search repeats its rounding at every step.
        tolerance = 1e-3 * np.abs(expected).max()
        np.testing.assert_allclose(found[key], expected, rtol=0, atol=tolerance)
        np.testing.assert_allclose(alone[key][0], expected[1], rtol=0, atol=tolerance)
    empty = served.run(f"explain_{name}", image=INPUTS[:0], target=np.zeros([0], np.int64))
    assert empty["attributions"].shape == (0, *SHAPE)
