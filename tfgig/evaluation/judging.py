"""One batch of images judged: what each method says of each image, and what metrics say of that."""

from __future__ import annotations

import functools
import pickle
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from tfgig.evaluation.dataset import UNKNOWN, Item
from tfgig.evaluation.experiment import Experiment, fingerprint, image_shape
from tfgig.evaluation.results import UNREADABLE
from tfgig.image.files import in_units
from tfgig.metrics import Example, Subject, pixel_saliency
from tfgig.models import SourceModel
from tfgig.spec import check
from tfgig.workers import Call, Future, Workers, all_made

Record = tuple[dict[str, Any], np.ndarray | None]  # a line, and a map to keep beside it
Lines = Callable[[], Iterator[Record]]
Done = set[tuple[str, str | None]]  # examples and methods, as `results.finished` has them
# A method, how many images it explained, and the seconds: on the clock, and of all cores together.
Clock = Callable[[str, int, float, float], Any]


class Batch(NamedTuple):
    """A batch under way.

    Attributes:
        kept: The images that count, in their order.
        groups: Its records that are not done yet, in their order, group by group. Each group is a
            function that returns its records, to be called in this order. Groups may be asked for
            before those in front of them are called: their explanations are made then, and the
            workers begin.
    """

    kept: list[str]
    groups: Iterator[Lines]


class Judge:
    """One experiment's model and methods, ready to judge batch after batch.

    The model stays in this process: explanations and predictions are made here, one after the
    other, so a run with workers has the same numbers as one without. What metrics ask for beside
    (`Metric.calls`) is made by the workers meanwhile.
    """

    def __init__(
        self,
        experiment: Experiment,
        source: SourceModel,
        workers: Workers,
        clock: Clock | None = None,
    ) -> None:
        self._experiment = experiment
        self._clock, self._warm = clock, set[str]()
        self._workers = workers
        self._subjects = {
            name: Subject(source, method, experiment.target, experiment.probabilities)
            for name, method in experiment.methods.items()
        }
        self._any = next(iter(self._subjects.values()))
        self._range = self._any.value_range
        self.shape = image_shape(source)

    def batch(self, items: Sequence[Item], done: Done, maps: int) -> Batch:
        """Begins with a batch; maps are given of the first `maps` images that count."""
        if is_done(items, done, self._subjects):
            return Batch([item.name for item in items if (item.name, None) not in done], iter(()))
        images = in_units(np.stack([item.image for item in items]), self._range)
        predicted = self._any.predict(images)
        reasons = [self._why_left_out(item, p) for item, p in zip(items, predicted, strict=True)]
        kept = [item.name for item, reason in zip(items, reasons, strict=True) if reason is None]
        return Batch(kept, self._groups(items, images, predicted, reasons, done, set(kept[:maps])))

    def _groups(self, items, images, predicted, reasons, done, shown) -> Iterator[Lines]:
        left_out: list[Record] = [
            ({"example": item.name, "method": None, "left_out": reason}, None)
            for item, reason in zip(items, reasons, strict=True)
            if reason and (item.name, None) not in done
        ]
        yield lambda: iter(left_out)
        kept = [i for i, reason in enumerate(reasons) if reason is None]
        for name in self._subjects:
            missing = {items[i].name for i in kept if (items[i].name, name) not in done}
            if missing:
                batch = [items[i] for i in kept]
                group = self._explained(name, batch, images[kept], predicted[kept].argmax(1))
                yield functools.partial(self._lines, group, missing, shown)

    def _explained(self, name, items, images, targets) -> _Group:
        subject = self._subjects[name]
        found = self._timed(name, images, targets)
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
                layout=None if subject.only_ranks else subject.layout,
            )
            for i, item in enumerate(items)
        ]
        ok = [bool(value) for value in found["ok"]]
        under_way = [
            self._begun(f"{item.name}, {name}", example) if good else None
            for item, example, good in zip(items, examples, ok, strict=True)
        ]
        return _Group(name, items, examples, ok, under_way)

    def _timed(self, name: str, images: np.ndarray, targets: np.ndarray) -> dict[str, np.ndarray]:
        subject = self._subjects[name]
        if self._clock is None or not len(images):
            return subject.explain(images, targets)
        if name not in self._warm:  # traced and run once, by rows that cost one step
            subject.explain(np.full_like(images, np.nan), targets)
            self._warm.add(name)
        started, cores = time.perf_counter(), time.process_time()
        found = subject.explain(images, targets)
        taken = time.perf_counter() - started
        self._clock(name, len(images), taken, time.process_time() - cores)
        return found

    def _begun(self, name: str, example: Example) -> _UnderWay | None:
        metrics = self._experiment.metrics.values()
        calls = [call for metric in metrics for call in metric.calls(example, self._range)]
        calls = list(dict.fromkeys(calls))
        return _UnderWay(calls, self._workers.submit(name, all_made, calls)) if calls else None

    def _lines(self, group: _Group, missing: set, shown: set) -> Iterator[Record]:
        good = [i for i, ok in enumerate(group.ok) if ok]
        examples = [_with_answers(group.examples[i], group.under_way[i]) for i in good]
        judged = {
            key: dict(
                zip(good, metric.statistics(examples, self._subjects[group.method]), strict=True)
            )
            if good
            else {}
            for key, metric in self._experiment.metrics.items()
        }
        for i, (item, example) in enumerate(zip(group.items, group.examples, strict=True)):
            if item.name not in missing:
                continue
            line = {
                "example": item.name,
                "method": group.method,
                "label": item.label,
                "target": example.target,
                "ok": group.ok[i],
                "score": example.score,
                "baseline_score": example.baseline_score,
                "delta": example.delta,
                "error": example.error,
                "metrics": {
                    key: judged[key].get(i, metric.undefined())
                    for key, metric in self._experiment.metrics.items()
                },
            }
            attributions, layout = example.attributions, example.layout
            seen = item.name in shown
            yield line, pixel_saliency(attributions, None, layout) if seen else None

    def _why_left_out(self, item: Item, predicted: np.ndarray) -> str | None:
        if item.unreadable is not None:
            return f"{UNREADABLE} ({item.unreadable})"
        if self._experiment.keep == "all":
            return None
        if item.label == UNKNOWN:
            return "it has no label"
        wanted = 1 if self._experiment.keep == "correct" else 5
        if item.label in np.argsort(predicted)[::-1][:wanted]:
            return None
        return f"its label is {item.label}, the model's top class {int(predicted.argmax())}"


def is_done(items: Sequence[Item], done: Done, methods: Iterable[str]) -> bool:
    """Whether all that there is to say of these images is said."""
    return all(
        (item.name, None) in done or all((item.name, method) in done for method in methods)
        for item in items
    )


def packed(experiment: Experiment, load: Callable[[], SourceModel], weights: str) -> bytes:
    """What another process has to know to judge batches: see `judge_batch`.

    Args:
        experiment: What is run.
        load: What loads its model there; it goes through pickle.
        weights: The model's `fingerprint`, by which one of other weights is found out.
    """
    return pickle.dumps((experiment, load, weights), pickle.HIGHEST_PROTOCOL)


def judge_batch(
    task: bytes, items: Sequence[Item], done: Done, maps: int
) -> tuple[list[str], list[Record]]:
    """Judges a batch with a model of this process's own, which stays for the next one.

    Args:
        task: From `packed`.
        items: The images.
        done: What is done of them.
        maps: Of how many images the pixels' scores are wanted.

    Returns:
        The images that count, and the records.

    Raises:
        ValueError: the model that is found here has other weights.
    """
    batch = _judge(task).batch(items, done, maps)
    return batch.kept, [record for lines in batch.groups for record in lines()]


@functools.lru_cache(maxsize=1)
def _judge(task: bytes) -> Judge:
    experiment, load, weights = pickle.loads(task)
    source = load()
    found = fingerprint(source)
    check(found == weights, f"The model has other weights on a worker, not {weights}.", found)
    return Judge(experiment, source, Workers())


def _with_answers(example: Example, under_way: _UnderWay | None) -> Example:
    """The example, with a memo of its own."""
    if under_way is None:
        return example._replace(memo={})
    return example._replace(memo=dict(zip(under_way.calls, under_way.future.result(), strict=True)))


class _UnderWay(NamedTuple):
    """Calls of an example, and the future of what they return."""

    calls: list[Call]
    future: Future


class _Group(NamedTuple):
    """The images of a batch, explained by one method."""

    method: str
    items: list[Item]
    examples: list[Example]
    ok: list[bool]
    under_way: list[_UnderWay | None]
