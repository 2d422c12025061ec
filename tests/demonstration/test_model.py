"""Tests of the shipped models of the shapes in tfgig.demonstration.scenes."""

import keras
import numpy as np
import pytest

from tests.cases import ROOT
from tfgig.demonstration import scenes

FOLDER = ROOT / "saved_models"


@pytest.fixture(scope="module", params=["shapes", "shapes_residual"])
def model(request):
    return keras.saving.load_model(FOLDER / request.param / "model.keras")


def test_its_input_and_its_output(model):
    (image,) = model.inputs
    assert (image.name, tuple(image.shape)) == ("image", (None, 96, 96, 3))
    assert image.dtype == "float32"
    assert model.layers[-1].name == "probabilities"
    assert tuple(model.outputs[0].shape) == (None, len(scenes.CLASSES))


def test_it_recognises_the_shapes_on_photographs_which_it_has_not_seen(model):
    images, _, labels = scenes.compose(200, seed=2024, split="test")
    probabilities = model.predict(images.astype(np.float32), batch_size=50, verbose=0)
    np.testing.assert_allclose(probabilities.sum(axis=-1), 1, atol=1e-5)
    assert (probabilities.argmax(axis=-1) == labels).mean() >= 0.95


def test_it_is_small_and_without_the_state_of_an_optimizer(model):
    assert 60_000 <= model.count_params() <= 150_000
    assert (FOLDER / model.name / "model.keras").stat().st_size < 1_000_000
    assert getattr(model, "optimizer", None) is None


def test_one_has_residual_connections_and_one_has_not(model):
    sums = [layer for layer in model.layers if isinstance(layer, keras.layers.Add)]
    assert bool(sums) == (model.name == "shapes_residual")


def test_its_readme_names_the_classes():
    text = (FOLDER / "shapes" / "README.md").read_text(encoding="utf-8")
    for name in scenes.CLASSES:
        assert name in text
