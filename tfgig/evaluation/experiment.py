"""Experiments: methods x metrics x images of one model, resumable at any moment.

An experiment lives in a directory:

    experiment.json   what is run; another experiment is refused the directory
    results.jsonl     one line for each example and method, appended as it goes
    maps/             the pixels' scores of the first examples, for the report

The work is done in a fixed order, in batches of fixed examples, and each line is written once it
is complete. A run that was killed is continued by running it again: what is there is kept, half a
line is cut off, and the file that results is the one that an undisturbed run would have written.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np

from tfgig.evaluation.dataset import UNKNOWN, Dataset, Item
from tfgig.evaluation.results import RESULTS, Results, claim, finished, keep_map
from tfgig.metrics import Example, Metric, Subject, pixel_saliency
from tfgig.metrics.subject import Judged, Probabilities
from tfgig.models import SourceModel
from tfgig.spec import check, to_config
from tfgig.targets import ClassScore, Target

Keep = Literal["all", "correct", "top_5"]
KEEPS = get_args(Keep)
Progress = Callable[[int], Any]
BATCH = 8  # examples explained at once; fixed, for a resumed run must repeat it


@dataclasses.dataclass(frozen=True)
class Experiment:
    """What is compared, on what.

    Args:
        methods: The methods, on their own or over regions, by the names that tables give them.
        metrics: The metrics, by name.
        dataset: The images.
        target: Which output is explained; of each image its top class.
        probabilities: How the model's output becomes probabilities.
        keep: Which images count: "all", those whose top class is the label ("correct"), or those
            whose label is among the top five classes ("top_5").
        maps: Of how many examples, the first, the maps are kept for the report.
    """

    methods: Mapping[str, Judged]
    metrics: Mapping[str, Metric]
    dataset: Dataset
    target: Target = ClassScore()
    probabilities: Probabilities = "as_is"
    keep: Keep = "all"
    maps: int = 24

    def __post_init__(self) -> None:
        check(bool(self.methods), "An experiment needs at least one method.", self.methods)
        check(bool(self.metrics), "An experiment needs at least one metric.", self.metrics)
        check(self.keep in KEEPS, f"`keep` is one of {KEEPS}.", self.keep)

    def config(self, source: SourceModel) -> dict[str, Any]:
        """All that the results depend on, as JSON data."""
        return {
            "model": source.name,
            "weights": fingerprint(source),
            "methods": {name: to_config(method) for name, method in self.methods.items()},
            "metrics": {name: to_config(metric) for name, metric in self.metrics.items()},
            "dataset": to_config(self.dataset),
            "target": to_config(self.target),
            "probabilities": self.probabilities,
            "keep": self.keep,
            "maps": self.maps,
        }


def run(
    experiment: Experiment,
    source: SourceModel,
    directory: str | os.PathLike,
    progress: Progress = lambda done: None,
) -> Results:
    """Runs an experiment, or what is left of it, and returns all its results.

    Args:
        experiment: What is run.
        source: The model, from `tfgig.load_model`.
        directory: Where the results are, or are to be.
        progress: Called with how many examples were just finished.

    Raises:
        ValueError: the directory holds another experiment, or two images have one name.
    """
    directory = pathlib.Path(directory)
    claim(directory, experiment.config(source))
    done = finished(directory)
    judge = _Judge(experiment, source, directory)
    with (directory / RESULTS).open("ab") as file:
        for items in _batches(_distinct(experiment.dataset.items(judge.shape))):
            for line in judge.lines(items, done):
                file.write(json.dumps(line, allow_nan=False).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
            progress(len(items))
    return Results(directory)


class _Judge:
    """One experiment's model and methods, ready to judge batch after batch."""

    def __init__(self, experiment: Experiment, source: SourceModel, directory: pathlib.Path):
        self._experiment = experiment
        self._subjects = {
            name: Subject(source, method, experiment.target, experiment.probabilities)
            for name, method in experiment.methods.items()
        }
        self._any = next(iter(self._subjects.values()))
        self._range = self._any.value_range
        self._directory = directory
        self._maps_left = experiment.maps
        self.shape = image_shape(source)

    def lines(self, items: Sequence[Item], done: set) -> Iterator[dict[str, Any]]:
        """The records of a batch that are not done yet, in their order."""
        if all(
            (item.name, None) in done or all((item.name, m) in done for m in self._subjects)
            for item in items
        ):
            self._maps_left -= sum((item.name, None) not in done for item in items)
            return
        low, high = self._range
        images = np.stack([item.image for item in items])
        images = low + (high - low) * images / 255
        predicted = self._any.predict(images)
        reasons = [self._why_left_out(item, p) for item, p in zip(items, predicted, strict=True)]
        for item, reason in zip(items, reasons, strict=True):
            if reason and (item.name, None) not in done:
                yield {"example": item.name, "method": None, "left_out": reason}
        kept = [i for i, reason in enumerate(reasons) if reason is None]
        shown = {items[i].name for i in kept[: max(self._maps_left, 0)]}
        self._maps_left -= len(kept)
        for name, subject in self._subjects.items():
            if all((items[i].name, name) in done for i in kept):
                continue
            batch = [items[i] for i in kept]
            targets = predicted[kept].argmax(1)
            for line in self._judged(name, subject, batch, images[kept], targets, shown):
                if (line["example"], name) not in done:
                    yield line

    def _judged(self, name, subject, items, images, targets, shown):
        found = subject.explain(images, targets)
        examples = [
            Example(
                images[i],
                found["attributions"][i],
                int(targets[i]),
                float(found["score"][i]),
                float(found["baseline_score"][i]),
                float(found["delta"][i]),
                item.mask if item.mask.any() else None,
            )
            for i, item in enumerate(items)
        ]
        good = [i for i, ok in enumerate(found["ok"]) if ok]
        judged = {
            key: dict(
                zip(good, metric.statistics([examples[i] for i in good], subject), strict=True)
            )
            if good
            else {}
            for key, metric in self._experiment.metrics.items()
        }
        for i, (item, example) in enumerate(zip(items, examples, strict=True)):
            if item.name in shown:
                saliency = pixel_saliency(example.attributions)
                keep_map(self._directory, name, item.name, saliency)
            yield {
                "example": item.name,
                "method": name,
                "label": item.label,
                "target": example.target,
                "ok": bool(found["ok"][i]),
                "score": example.score,
                "baseline_score": example.baseline_score,
                "delta": example.delta,
                "metrics": {
                    key: judged[key].get(i, metric.undefined())
                    for key, metric in self._experiment.metrics.items()
                },
            }

    def _why_left_out(self, item: Item, predicted: np.ndarray) -> str | None:
        if self._experiment.keep == "all":
            return None
        if item.label == UNKNOWN:
            return "it has no label"
        wanted = 1 if self._experiment.keep == "correct" else 5
        if item.label in np.argsort(predicted)[::-1][:wanted]:
            return None
        return f"its label is {item.label}, the model's top class {int(predicted.argmax())}"


def _distinct(items: Iterable[Item]) -> Iterator[Item]:
    seen: set[str] = set()
    for item in items:
        check(item.name not in seen, "Two images of the dataset have one name.", item.name)
        seen.add(item.name)
        yield item


def _batches(items: Iterable[Item]) -> Iterator[list[Item]]:
    iterator = iter(items)
    while batch := list(itertools.islice(iterator, BATCH)):
        yield batch


def fingerprint(source: SourceModel) -> str:
    """A digest of a model's weights: models of one name may be two."""
    # A traced function lists its variables in no order that another process would repeat.
    digests = sorted(
        hashlib.sha256(weight.numpy().tobytes()).digest()
        for weight in source.serve.variables
        if weight.dtype.name != "string"
    )
    return hashlib.sha256(b"".join(digests)).hexdigest()[:16]


def image_shape(source: SourceModel) -> tuple[int, int, int]:
    """The shape [H, W, C] of a model's images, which has to be known."""
    shape = tuple(source.inputs[0].shape[1:])
    check(
        None not in shape,
        "The model leaves its images' size open; say it: load_model(..., shape=(224, 224, 3)), or "
        "--shape=224,224,3.",
        shape,
    )
    return shape
