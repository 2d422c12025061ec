"""One batch of images judged: what each method says of each image, and what metrics say of that."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tfgig.evaluation.dataset import UNKNOWN, Item
from tfgig.evaluation.experiment import Experiment, image_shape
from tfgig.evaluation.results import keep_map
from tfgig.metrics import Example, Subject, pixel_saliency
from tfgig.models import SourceModel


class Judge:
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
                float(found["error"][i]),
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
                "error": example.error,
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
