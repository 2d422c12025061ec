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
few groups of lines ahead of the one that is written next.
"""

from __future__ import annotations

import collections
import itertools
import json
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from tfgig.evaluation.dataset import Item
from tfgig.evaluation.experiment import Experiment, image_shape
from tfgig.evaluation.judging import Clock, Judge, Lines
from tfgig.evaluation.results import RESULTS, SHARD, Results, claim, finished, gather
from tfgig.models import SourceModel
from tfgig.spec import check
from tfgig.workers import Workers

Progress = Callable[[int], Any]
BATCH = 8  # examples explained at once; fixed, for a resumed run must repeat it
_AHEAD = 2  # groups, of a batch and a method, that are explained while workers are at the first


class Shard(NamedTuple):
    """One part of an experiment's images: every `of`-th batch from the `place`-th on."""

    place: int = 1
    of: int = 1

    def size(self, total: int) -> int:
        """How many of `total` images the part holds."""
        starts = range(BATCH * (self.place - 1), total, BATCH * self.of)
        return sum(min(BATCH, total - start) for start in starts)


def run(
    experiment: Experiment,
    source: SourceModel,
    directory: str | os.PathLike,
    progress: Progress = lambda done: None,
    shard: Shard = Shard(),
    workers: int = 0,
    clock: Clock | None = None,
) -> Results:
    """Runs an experiment, or what is left of it, and returns all its results.

    Args:
        experiment: What is run.
        source: The model, from `tfgig.load_model`.
        directory: Where the results are, or are to be.
        progress: Called with how many examples were just finished.
        shard: Which part of the images to do.
        workers: How many processes help with metrics; 0 or 1 for none. The file is the same.
        clock: Told, after each explanation of a batch, the method, how many images there were, and
            the seconds that it took, on the clock and of all cores together; each method is warmed
            up before its first.

    Raises:
        ValueError: the directory holds another experiment or another part, two images have one
            name, or there is no image in the part.
        ChildProcessError: worker processes die over one row, again and again.
    """
    directory = pathlib.Path(directory)
    check(1 <= shard.place <= shard.of, "A part is i of n, with i from 1 to n.", tuple(shard))
    part = {SHARD: list(shard)} if shard.of > 1 else {}
    claim(directory, {**experiment.config(source), **part})
    done = finished(directory)
    count = 0
    with Workers(workers) as helpers, (directory / RESULTS).open("ab") as file:
        judge = Judge(experiment, source, directory, helpers, clock)
        batches = _batches(_distinct(experiment.dataset.items(judge.shape)))
        mine = itertools.islice(batches, shard.place - 1, None, shard.of)
        groups = _groups(judge, mine, done)
        for lines, images in _running_ahead(groups, _AHEAD if helpers.count else 0):
            count += images
            for line in lines():
                file.write(json.dumps(line, allow_nan=False).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
            if images:
                progress(images)
    check(count > 0, f"No image to judge; parts are shared out by batches of {BATCH}.", part)
    return Results(directory)


def merge(
    experiment: Experiment,
    source: SourceModel,
    directory: str | os.PathLike,
    shards: Sequence[str | os.PathLike],
    progress: Progress = lambda done: None,
    workers: int = 0,
) -> Results:
    """Puts what the parts of an experiment found into one directory, and does what they lack.

    The parts may have had the images in folders of other names.

    Args:
        experiment: What was run.
        source: The model.
        directory: Where all results are to be; what it holds already stays.
        shards: The parts' directories.
        progress: Called with how many examples were just finished.
        workers: How many processes help with what is lacking; 0 or 1 for none.

    Raises:
        ValueError: one is of another experiment, or two differ in what they found.
    """
    directory = pathlib.Path(directory)
    claim(directory, experiment.config(source))
    items = _distinct(experiment.dataset.items(image_shape(source)))
    places = {item.name: i // BATCH for i, item in enumerate(items)}
    gather(directory, [pathlib.Path(shard) for shard in shards], places)
    run(experiment, source, directory, progress, workers=workers)
    gather(directory, [], places)  # what was lacking came last
    return Results(directory)


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


def _groups(judge: Judge, batches: Iterable[list[Item]], done: set) -> Iterator[tuple[Lines, int]]:
    """What is to be written, group by group, and how many images each group finishes."""
    for items in batches:
        for lines in judge.groups(items, done):
            yield lines, 0
        yield lambda: iter(()), len(items)


def _running_ahead(groups: Iterable, count: int) -> Iterator:
    """The same, but `count` of them are always under way beyond the one that is written."""
    waiting: collections.deque = collections.deque()
    try:
        for group in groups:
            waiting.append(group)
            if len(waiting) > count:
                yield waiting.popleft()
    except Exception:
        yield from waiting  # an image that cannot be read costs nothing of those before it
        raise
    yield from waiting
