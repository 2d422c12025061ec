"""Runs an experiment in a process of its own, resting before each insertion score if asked to."""

import json
import pathlib
import sys
import time

import tfgig
from tests.cases import image_model
from tests.evaluation.conftest import SHAPE
from tfgig.evaluation.experiment import Experiment
from tfgig.evaluation.running import run
from tfgig.metrics import Insertion
from tfgig.spec import from_config


def load():
    return tfgig.load_model(image_model(shape=SHAPE))


def other():
    """A model of the same layers."""
    model = image_model(shape=SHAPE)
    model.weights[0].assign(-model.weights[0])
    return tfgig.load_model(model)


def main(directory, config, rest, workers):
    config = json.loads(pathlib.Path(config).read_text())
    methods, metrics = (
        {name: from_config(spec) for name, spec in config[key].items()}
        for key in ("methods", "metrics")
    )
    measure = Insertion.statistics

    def slowly(self, examples, subject):
        time.sleep(float(rest))
        return measure(self, examples, subject)

    Insertion.statistics = slowly
    experiment = Experiment(methods, metrics, from_config(config["dataset"]), maps=config["maps"])
    run(experiment, load(), directory, workers=int(workers))


if __name__ == "__main__":
    main(*sys.argv[1:])
