"""A tiny model, images in a directory, and an experiment that takes a second."""

import json

import numpy as np
import pytest
from PIL import Image

import tfgig
from tests.cases import image_model
from tfgig.evaluation.dataset import Directory
from tfgig.evaluation.experiment import Experiment
from tfgig.metrics import Completeness, Insertion, Localization
from tfgig.paths import Guided

SHAPE = (24, 20, 3)


@pytest.fixture(scope="session")
def source():
    return tfgig.load_model(image_model(shape=SHAPE))


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Twelve images; the first has a mask, the second two boxes, all but the last a label."""
    path = tmp_path_factory.mktemp("images")
    (path / "masks").mkdir()
    random = np.random.default_rng(0)
    lines = ["file,label,top,left,bottom,right"]
    for i in range(12):
        name = f"image{i:02d}.png"
        Image.fromarray(random.integers(0, 256, SHAPE, np.uint8)).save(path / name)
        boxes = {1: ["2,3,10,12", "12,0,14,4"], 11: []}.get(i, [",,,"])
        lines += [f"{name},{i % 5},{box}" for box in boxes]
    mask = np.zeros(SHAPE[:2], np.uint8)
    mask[4:12, 6:14] = 255
    Image.fromarray(mask).save(path / "masks" / "image00.png")
    (path / "labels.csv").write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="session")
def experiment(folder):
    return Experiment(
        {
            "ig": tfgig.PathIntegral(steps=4),
            "guided_ig": tfgig.PathIntegral(Guided(fraction=0.5), steps=4),
        },
        {
            "completeness": Completeness(),
            "insertion": Insertion(steps=4),
            "localization": Localization(),
        },
        Directory(str(folder)),
        maps=3,
    )


def lines_of(directory):
    text = (directory / "results.jsonl").read_text()
    assert text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]
