"""Runs experiments: resumable at any moment, and on several machines.

An experiment lives in a directory:

    experiment.json   what is run; another experiment is refused the directory
    results.jsonl     one line for each example and method, appended as it goes
    maps/             the pixels' scores of the first examples, for the report

The work is done in a fixed order, in batches of fixed examples, and each line is written once it
is complete. A run that was killed is continued by running it again: what is there is kept, half a
line is cut off, and the file that results is the one that an undisturbed run would have written.
Several machines may share the batches out among them (`Shard`); `merge` makes one of their files,
the same once more.

Worker processes take over what needs no model. The model's part of the work goes on meanwhile, a
few groups of lines ahead of the one that is written next. Or whole batches are judged elsewhere
(`Elsewhere`), by processes with models of their own, such as Spark's; the images are read and the
lines are written here all the same.
"""

from __future__ import annotations

import collections
import functools
import itertools
import json
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from tfgig.evaluation.dataset import Item
from tfgig.evaluation.experiment import Experiment, fingerprint, image_shape
from tfgig.evaluation.judging import Clock, Done, Judge, Lines, is_done, judge_batch, packed
from tfgig.evaluation.results import RESULTS, SHARD, Results, claim, finished, gather, keep_map
from tfgig.models import SourceModel
from tfgig.spec import check
from tfgig.workers import Future, Workers

Progress = Callable[[int], Any]
BATCH = 8  # examples explained at once; fixed, for a resumed run must repeat it
# Groups, of a batch and a method, that are explained while workers are at the first; or for each
# worker elsewhere, batches.
_AHEAD = 2


class Shard(NamedTuple):
    """One part of an experiment's images: every `of`-th batch from the `place`-th on."""

    place: int = 1
    of: int = 1

    def size(self, total: int) -> int:
        """How many of `total` images the part holds."""
        starts = range(BATCH * (self.place - 1), total, BATCH * self.of)
        return sum(min(BATCH, total - start) for start in starts)


class Submits(Protocol):
    """What takes calls: `tfgig.workers.Workers`, or `tfgig.bulk.spark.SparkWorkers`."""

    @property
    def count(self) -> int:
        """How many calls are made at once."""

    def submit(self, name: str, function: Callable[..., Any], *arguments: Any) -> Future:
        """Hands in a call, under a name for errors."""


class Elsewhere(NamedTuple):
    """Where whole batches are judged.

    The file is that of a run in this process, byte by byte, where the processes have the same
    packages and TensorFlow as many threads, for then it adds numbers up in the same order.

    Attributes:
        workers: The processes.
        load: What loads the model there, as it is here; it goes through pickle.
    """

    workers: Submits
    load: Callable[[], SourceModel]


def run(
    experiment: Experiment,
    source: SourceModel,
    directory: str | os.PathLike,
    progress: Progress = lambda done: None,
    shard: Shard = Shard(),
    workers: int = 0,
    clock: Clock | None = None,
    elsewhere: Elsewhere | None = None,
) -> Results:
    """Runs an experiment, or what is left of it, and returns all its results.

    Args:
        experiment: What is run.
        source: The model, from `tfgig.load_model`.
        directory: Where the results are, or are to be.
        progress: Called with the number of examples just finished.
        shard: Which part of the images to do.
        workers: How many processes help with metrics; 0 or 1 for none. The file is the same.
        clock: Told, after each explanation of a batch, the method, how many images there were, and
            the seconds that it took, on the clock and of all cores together; each method is warmed
            up before its first.
        elsewhere: Where whole batches are judged, instead of here; then there are no other workers
            and no clock.

    Raises:
        ValueError: the directory holds another experiment or another part, two images have one
            name, or there is no image in the part.
        ChildProcessError: worker processes die over one row, again and again.
    """
    directory = pathlib.Path(directory)
    check(
        1 <= shard.place <= shard.of, "A part is i of n, where i must be from 1 to n.", tuple(shard)
    )
    part = {SHARD: list(shard)} if shard.of > 1 else {}
    claim(directory, {**experiment.config(source), **part})
    done = finished(directory)
    count = 0
    check(elsewhere is None or clock is None, "Only what runs here is timed.", clock)
    with (
        Workers(0 if elsewhere else workers) as helpers,
        (directory / RESULTS).open("ab") as file,
    ):
        batches = _batches(_distinct(experiment.dataset.items(image_shape(source))))
        mine = itertools.islice(batches, shard.place - 1, None, shard.of)
        if elsewhere is None:
            judge = Judge(experiment, source, helpers, clock)
            groups = _groups(judge, mine, done, experiment.maps)
        else:
            groups = _groups_elsewhere(elsewhere, experiment, source, mine, done)

        def ahead() -> int:
            if elsewhere is None:
                return _AHEAD if helpers.count else 0
            return _AHEAD * elsewhere.workers.count  # which grows as executors come

        for lines, images in _running_ahead(groups, ahead):
            count += images
            for line, saliency in lines():
                if saliency is not None:
                    keep_map(directory, line["method"], line["example"], saliency)
                file.write(json.dumps(line, allow_nan=False).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
            if images:
                progress(images)
    check(
        count > 0,
        f"No image to evaluate; images are split among parts in batches of {BATCH}.",
        part,
    )
    return Results(directory)


def merge(
    experiment: Experiment,
    source: SourceModel,
    directory: str | os.PathLike,
    shards: Sequence[str | os.PathLike],
    progress: Progress = lambda done: None,
    workers: int = 0,
    elsewhere: Elsewhere | None = None,
) -> Results:
    """Merges the parts of an experiment into one directory, and computes what they lack.

    The parts may have read the images from different folders.

    Args:
        experiment: The experiment.
        source: The model.
        directory: The directory for all results; its existing results are kept.
        shards: The parts' directories.
        progress: Called with the number of examples just finished.
        workers: The number of worker processes for missing results; 0 or 1 for none.
        elsewhere: Where whole batches of what is lacking are judged, instead of here.

    Raises:
        ValueError: a part belongs to another experiment, or two parts differ.
    """
    directory = pathlib.Path(directory)
    claim(directory, experiment.config(source))
    items = _distinct(experiment.dataset.items(image_shape(source)))
    places = {item.name: i // BATCH for i, item in enumerate(items)}
    gather(directory, [pathlib.Path(shard) for shard in shards], places)
    run(experiment, source, directory, progress, workers=workers, elsewhere=elsewhere)
    gather(directory, [], places)  # what was lacking came last
    return Results(directory)


def _distinct(items: Iterable[Item]) -> Iterator[Item]:
    seen: set[str] = set()
    for item in items:
        check(item.name not in seen, "Two images of the dataset have the same name.", item.name)
        seen.add(item.name)
        yield item


def _batches(items: Iterable[Item]) -> Iterator[list[Item]]:
    iterator = iter(items)
    while batch := list(itertools.islice(iterator, BATCH)):
        yield batch


def _groups(
    judge: Judge, batches: Iterable[list[Item]], done: Done, maps: int
) -> Iterator[tuple[Lines, int]]:
    """What is to be written, group by group, and how many images each group finishes."""
    for items in batches:
        kept, groups = judge.batch(items, done, maps)
        maps = max(0, maps - len(kept))
        for lines in groups:
            yield lines, 0
        yield lambda: iter(()), len(items)


def _groups_elsewhere(
    elsewhere: Elsewhere,
    experiment: Experiment,
    source: SourceModel,
    batches: Iterable[list[Item]],
    done: Done,
) -> Iterator[tuple[Lines, int]]:
    """The same, from batches that are judged elsewhere; a group is a batch."""
    task = packed(experiment, elsewhere.load, fingerprint(source))
    maps = experiment.maps

    def taken(found: Future) -> Iterator:
        """The records of a batch; maps were asked for before it was known how many it takes."""
        nonlocal maps
        kept, records = found.result()
        shown = set(kept[:maps])
        maps = max(0, maps - len(kept))
        for line, saliency in records:
            yield line, saliency if line["example"] in shown else None

    for items in batches:
        mine = {(item.name, method) for item in items for method in (None, *experiment.methods)}
        found: Future = Future()
        if is_done(items, done, experiment.methods):
            found.set_result(([i.name for i in items if (i.name, None) not in done], []))
        else:
            name = f"{items[0].name} to {items[-1].name}"
            found = elsewhere.workers.submit(name, judge_batch, task, items, done & mine, maps)
        yield functools.partial(taken, found), len(items)


def _running_ahead(groups: Iterable, count: Callable[[], int]) -> Iterator:
    """The same, but `count()` of them are always under way beyond the one that is written."""
    waiting: collections.deque = collections.deque()
    try:
        for group in groups:
            waiting.append(group)
            if len(waiting) > count():
                yield waiting.popleft()
    except Exception:
        yield from waiting  # an image that cannot be read costs nothing of those before it
        raise
    yield from waiting
