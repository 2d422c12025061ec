"""Experiments: methods x metrics x images of one model, as data."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import Any, Literal, get_args

from tfgig.evaluation.dataset import Dataset
from tfgig.metrics import Metric
from tfgig.metrics.subject import EvaluatedMethod, Probabilities
from tfgig.models import SourceModel
from tfgig.spec import check, to_config
from tfgig.targets import ClassScore, Target

Keep = Literal["all", "correct", "top_5"]
KEEPS = get_args(Keep)


@dataclasses.dataclass(frozen=True)
class Experiment:
    """What is compared, on what.

    Args:
        methods: The methods, on their own, over regions or smoothed, by the names that tables give
            them.
        metrics: The metrics, by name.
        dataset: The images.
        target: Which output is explained; of each image its top class.
        probabilities: How the model's output becomes probabilities.
        keep: Which images count: "all", those whose top class is the label ("correct"), or those
            whose label is among the top five classes ("top_5").
        maps: Of how many examples, the first, the maps are kept for the report.
    """

    methods: Mapping[str, EvaluatedMethod]
    metrics: Mapping[str, Metric]
    dataset: Dataset
    target: Target = ClassScore()
    probabilities: Probabilities = "as_is"
    keep: Keep = "all"
    maps: int = 24

    def __post_init__(self) -> None:
        check(bool(self.methods), "An experiment needs at least one method.", self.methods)
        check(bool(self.metrics), "An experiment needs at least one metric.", self.metrics)
        check(self.keep in KEEPS, f"`keep` must be one of {KEEPS}.", self.keep)

    def config(self, source: SourceModel) -> dict[str, Any]:
        """All that the results depend on, as JSON data."""
        return {
            "model": source.name,
            "weights": fingerprint(source),
            "inputs": {spec.name: spec.shape.as_list() for spec in source.inputs},
            "outputs": list(source.model.served.output_names),
            "value_range": None if source.value_range is None else list(source.value_range),
            "methods": {name: to_config(method) for name, method in self.methods.items()},
            "metrics": {name: to_config(metric) for name, metric in self.metrics.items()},
            "dataset": to_config(self.dataset),
            "target": to_config(self.target),
            "probabilities": self.probabilities,
            "keep": self.keep,
            "maps": self.maps,
        }


def fingerprint(source: SourceModel) -> str:
    """A digest of a model's weights: models of one name may be two."""
    # A traced function lists its variables in no order that another process would repeat.
    digests = sorted(
        hashlib.sha256(weight.numpy().tobytes()).digest()
        for weight in source.model.serve.variables
        if weight.dtype.name != "string"
    )
    return hashlib.sha256(b"".join(digests)).hexdigest()[:16]


def image_shape(source: SourceModel) -> tuple[int, int, int]:
    """The shape [H, W, C] of a model's images, which has to be known."""
    shape = tuple(source.inputs[0].shape[1:])
    check(
        None not in shape,
        "The model leaves the image size open; give it: load_model(..., shape=(224, 224, 3)), or "
        "--shape=224,224,3.",
        shape,
    )
    return shape
