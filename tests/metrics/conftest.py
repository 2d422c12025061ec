"""A model of images large enough for every metric, and examples explained by two methods."""

import keras
import numpy as np
import pytest

import tfgig
from tests.cases import image_model, images
from tfgig.metrics import Example, Subject
from tfgig.paths import Guided

SHAPE = (48, 48, 3)
METHODS = {
    "ig": tfgig.PathIntegral(steps=6),
    "guided_ig": tfgig.PathIntegral(Guided(fraction=0.5), steps=6),
    "gradient": tfgig.presets.get("gradient"),
}


def mask_of(shape=SHAPE[:2]):
    mask = np.zeros(shape, bool)
    mask[8:20, 24:40] = True
    return mask


def explained(subject, batch):
    found = subject.explain(batch)
    return [
        Example(
            batch[i],
            found["attributions"][i],
            int(found["target"][i]),
            float(found["score"][i]),
            float(found["baseline_score"][i]),
            float(found["delta"][i]),
            mask_of(),
            float(found["error"][i]),
        )
        for i in range(len(batch))
    ]


@pytest.fixture(scope="session")
def source():
    return tfgig.load_model(image_model(shape=SHAPE))


@pytest.fixture(scope="session")
def subjects(source):
    return {name: Subject(source, method) for name, method in METHODS.items()}


@pytest.fixture(scope="session")
def examples(subjects):
    """Images that go from dark to light, so that each class has a gradient worth the name."""
    ramp = np.linspace(0.3, 1, SHAPE[1], dtype=np.float32)[:, np.newaxis]
    batch = images(4, SHAPE, seed=3) * ramp
    return {name: explained(subject, batch) for name, subject in subjects.items()}


@pytest.fixture(scope="session")
def linear():
    """Probabilities of two classes, one proportional to the brightness of the mask, and a map."""
    inputs = keras.Input(SHAPE, name="image")
    weights = np.zeros((np.prod(SHAPE), 1), np.float32)
    weights[np.broadcast_to(mask_of()[..., np.newaxis], SHAPE).ravel()] = 1
    weights /= 255 * weights.sum()
    share = keras.layers.Dense(1, use_bias=False, name="share")
    bright = share(keras.layers.Flatten()(keras.layers.Rescaling(1.0)(inputs)))
    share.set_weights([weights])
    model = keras.Model(inputs, keras.layers.Concatenate()([bright, 1 - bright]), name="linear")
    return tfgig.load_model(model, value_range=(0, 255))
