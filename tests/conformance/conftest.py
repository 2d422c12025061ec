"""One export of all methods and one fresh process that runs it, for the whole suite."""

import dataclasses
import functools
import pathlib

import numpy as np
import pytest
import tensorflow as tf

import tfgig
from tests import cases

IMAGES = cases.images(6)
# A bad batch and its clean twin: the same good rows, at the same places.
BAD_IMAGES = IMAGES[[0, 1, 1, 2, 0, 2]].copy()
BAD_IMAGES[1, 3, 4, 1] = np.nan
BAD_IMAGES[4, 0, 0, 0] = np.inf
BAD_ROWS = {"explain": [1, 3, 4], "heatmap": [1, 4]}

BATCHES = {
    "three/image": IMAGES[:3],
    "three/target": np.array([-1, 2, 0]),
    "one/image": IMAGES[1:2],
    "one/target": np.array([2]),
    "six/image": IMAGES,  # more than `internal_batch_size`
    "six/target": np.array([-1, 2, 0, -1, -1, 4]),
    "none/image": IMAGES[:0],
    "none/target": np.zeros([0], np.int64),
    "default/image": IMAGES[:3],  # no target: the signature's default
    "bad/image": BAD_IMAGES,
    "bad/target": np.array([-1, -1, 2, 99, 0, -1]),
    "clean/image": IMAGES[[0, 1, 1, 2, 0, 2]],
    "clean/target": np.array([-1, -1, 2, 0, 0, -1]),
}


@dataclasses.dataclass(eq=False)
class Subject:
    """The model, and every way to run the methods on it."""

    model: object
    methods: dict
    directory: pathlib.Path
    loaded: object
    served: dict  # "<signature>/<batch>/<output>" to arrays, from the fresh process

    @functools.cache  # noqa: B019 -- one subject lives as long as the run
    def explainer(self, name):
        return tfgig.Explainer(self.model, self.methods[name])

    def shape(self, name):
        """Of one example's attributions: that of what the method looks at."""
        place = self.explainer(name).place
        return cases.SHAPE if place is None else place.shape

    @functools.cache  # noqa: B019
    def eager(self, name, batch="three"):
        explanation = self.explainer(name)(
            BATCHES[f"{batch}/image"], target=BATCHES.get(f"{batch}/target")
        )
        return {key: value.numpy() for key, value in explanation.items()}

    def session(self, signature, batch="three"):
        prefix = f"{signature}/{batch}/"
        found = {k[len(prefix) :]: v for k, v in self.served.items() if k.startswith(prefix)}
        if "failure" in found:
            pytest.fail(f"{signature} failed for the batch {batch!r}: {found['failure']}")
        return found


def of_each_type(methods):
    """The first method of each type; a picture is drawn in the same way of all others."""
    return list({type(method): name for name, method in reversed(methods.items())}.values())


@pytest.fixture(scope="session")
def subject(tmp_path_factory):
    place = tmp_path_factory.mktemp("conformance")
    model, methods = cases.image_model(), cases.all_methods()
    endpoints = [tfgig.Endpoint(f"explain_{name}", method) for name, method in methods.items()]
    endpoints += [
        tfgig.Endpoint(f"heatmap_{name}", methods[name], kind="heatmap")
        for name in of_each_type(methods)
    ]
    directory = tfgig.export_saved_model(model, place / "model", endpoints)
    np.savez(place / "batches.npz", **BATCHES)
    script = pathlib.Path(__file__).with_name("run_signatures.py")
    cases.run_python(script, directory, place / "batches.npz", place / "results.npz")
    with np.load(place / "results.npz") as file:
        served = dict(file)
    return Subject(model, methods, directory, tf.saved_model.load(str(directory)), served)
